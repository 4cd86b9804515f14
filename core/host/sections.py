"""The sections of plugins.toml beside the plugins: server, dispatch, retention, sources, units, endpoints; checked.

Public: `SectionChecker(...)` gathers faults; its methods return canonical JSON values.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import marshmallow as ma

from core.host.every_fault import load_table
from core.host.faults import Faults
from core.host.field_checks import secret_reference, web_address
from core.host.settings import DispatchSettings, RetentionSettings, SourceSettings
from core.host.unit_schema import UnitSchema
from core.model.errors import did_you_mean
from core.model.span_field import SpanField

CheckSource = Callable[[SourceSettings], Sequence[Mapping[str, str]]]
"""The adapters' check of a source: returns its faults as `{"path", "message"}`, paths as seen from the source."""

DEFAULT_UNIT = "default"
BY_RULE = "by_rule"
_SLUG = re.compile(r"^[a-z0-9][a-z0-9_-]{0,62}$")
_LIMITS = DispatchSettings()
_KEPT = RetentionSettings()
LONGEST_DAYS = 36_500


def _network(value: str) -> None:
    try:
        ipaddress.ip_network(value)
    except ValueError as error:
        raise ma.ValidationError(f'Not a network such as "10.1.0.0/16": {error}.') from None


class ServerSchema(ma.Schema):
    """The keys of [server]."""

    plugin_directories = ma.fields.List(ma.fields.String(), load_default=list)


def _whole(low: int, high: int, default: int) -> ma.fields.Integer:
    return ma.fields.Integer(strict=True, load_default=default, validate=ma.validate.Range(low, high))


class DispatchSchema(ma.Schema):
    """The keys of [dispatch], with the defaults of `DispatchSettings`."""

    hook_time_limit_s = ma.fields.Float(load_default=_LIMITS.hook_time_limit_s, validate=ma.validate.Range(0.1, 600))
    crashes_to_quarantine = _whole(1, 1000, _LIMITS.crashes_to_quarantine)
    max_attempts = _whole(1, 100, _LIMITS.max_attempts)
    follow_up_depth = _whole(0, 100, _LIMITS.follow_up_depth)
    max_wait = SpanField(elapsed_only=True, load_default=None)
    batch_size = _whole(1, 1000, _LIMITS.batch_size)
    egress_allow = ma.fields.List(ma.fields.String(validate=_network), load_default=list)
    max_backlog = _whole(1, 1_000_000_000, _LIMITS.max_backlog)


class RetentionSchema(ma.Schema):
    """The keys of [retention], with the defaults of `RetentionSettings`."""

    events_days = _whole(30, LONGEST_DAYS, _KEPT.events_days)
    # A sender may repeat a message for days, and a restored backup for weeks.
    keys_days = _whole(30, LONGEST_DAYS, _KEPT.keys_days)
    decisions_days = _whole(30, LONGEST_DAYS, _KEPT.decisions_days)
    messages_days = _whole(1, LONGEST_DAYS, _KEPT.messages_days)
    links_days = _whole(1, LONGEST_DAYS, _KEPT.links_days)
    idempotency_days = _whole(1, LONGEST_DAYS, _KEPT.idempotency_days)

    @ma.validates_schema(skip_on_field_errors=True)
    def _decisions_outlive_events(self, data: Mapping[str, Any], **_: Any) -> None:
        if data["decisions_days"] < data["events_days"]:
            message = f"Must be at least `events_days`, {data['events_days']}: an event is shown with its decisions."
            raise ma.ValidationError(message, "decisions_days")


class SourceSchema(ma.Schema):
    """The keys of [sources.<slug>]; what an adapter needs beside them stands in its `options` table."""

    adapter = ma.fields.String(required=True)
    secrets = ma.fields.List(ma.fields.String(validate=secret_reference), load_default=list)
    unit = ma.fields.String(load_default=BY_RULE)
    write_back_url = ma.fields.String(load_default=None, validate=web_address)
    write_back_secret = ma.fields.String(load_default=None, validate=secret_reference)
    options = ma.fields.Dict(keys=ma.fields.String(), load_default=dict)


class EndpointSchema(ma.Schema):
    """The keys of [endpoints.<slug>]."""

    url = ma.fields.String(required=True, validate=web_address)
    secret = ma.fields.String(load_default=None, validate=secret_reference)


def source_settings(slug: str, item: Mapping[str, Any]) -> SourceSettings:
    """Return the typed settings of a source from its JSON values."""
    return SourceSettings(slug=slug, **{**item, "secrets": tuple(item["secrets"])})


class SectionChecker:
    """Checks the sections of one document; every fault goes to `faults` with its place."""

    def __init__(
        self,
        document: Mapping[str, Any],
        faults: Faults,
        place: Callable[..., str],
        with_header: Collection[str] = (),
    ) -> None:
        """`with_header` are the units that have a header of their own, such as [units.packaging]."""
        self._with_header = with_header
        self._in_part: set[str] = set()  # the tables of which only a part is sound
        self._document = document
        self._faults = faults
        self._place = place

    def server(self) -> dict[str, Any]:
        """Return [server]."""
        return self._load(ServerSchema(), self._document.get("server", {}), "server")

    def dispatch(self) -> dict[str, Any]:
        """Return [dispatch], with defaults filled in."""
        loaded = self._load(DispatchSchema(), self._document.get("dispatch", {}), "dispatch")
        if loaded.get("max_wait") is not None:
            loaded["max_wait"] = loaded["max_wait"].amount.total_seconds()
        return loaded

    def retention(self) -> dict[str, Any]:
        """Return [retention], with defaults filled in."""
        return self._load(RetentionSchema(), self._document.get("retention", {}), "retention")

    def units(self, calendars: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return the units in the order of the file; `default`, which takes the rest, is always there and last."""
        calendars = list(calendars)
        units: dict[str, dict[str, Any]] = {}
        for slug, table in self._tables("units"):
            own = {key: value for key, value in table.items() if key != "plugins"}
            units[slug] = self._load(UnitSchema(), own, f"units.{slug}", also=("plugins",))
            if not self._is_declared(slug, table):
                self._refuse_undeclared(slug)
            named = units[slug].get("calendar")
            if named is not None and named not in calendars:
                known = f"Known: {', '.join(calendars)}."
                message = f'there is no calendar "{named}".{did_you_mean(named, calendars)} {known}'
                self._faults.add(self._place(f"units.{slug}.calendar"), message)
        default = units.pop(DEFAULT_UNIT, {"title": "", "match": {}, "calendar": None})
        if default.get("match"):
            self._faults.add(self._place(f"units.{DEFAULT_UNIT}.match"), "the default unit takes what no other takes")
        return {**units, DEFAULT_UNIT: default}

    def _is_declared(self, slug: str, table: Mapping[str, Any]) -> bool:
        return set(table) != {"plugins"} or slug in self._with_header or slug == DEFAULT_UNIT

    def _refuse_undeclared(self, slug: str) -> None:
        """Refuse a unit that only sets plugins: most often another was meant, and these values would never hold."""
        declared = [name for name, table in self._tables("units") if self._is_declared(name, table)]
        message = (
            f'sets plugins of a unit "{slug}" that is not declared.{did_you_mean(slug, [*declared, DEFAULT_UNIT])} '
            f"To declare a new one, add [units.{slug}] with its `title`."
        )
        self._faults.add(self._place(f"units.{slug}"), message)

    def sources(self, units: Iterable[str], check_source: CheckSource) -> dict[str, dict[str, Any]]:
        """Return the sources; adapter, options and need of a secret are checked by the adapters themselves."""
        known_units = [BY_RULE, *units]
        sources = {}
        for slug, table in self._tables("sources"):
            where = f"sources.{slug}"
            sources[slug] = source = self._load(SourceSchema(), table, where)
            unit = source.get("unit", BY_RULE)
            if unit not in known_units:
                self._faults.add(
                    self._place(f"{where}.unit"), f'there is no unit "{unit}".{did_you_mean(unit, known_units)}'
                )
            if where in self._in_part:
                continue
            for fault in check_source(source_settings(slug, source)):
                self._faults.add(self._place(f"{where}.{fault['path']}"), fault["message"])
        return sources

    def endpoints(self) -> dict[str, dict[str, Any]]:
        """Return the endpoints."""
        return {
            slug: self._load(EndpointSchema(), table, f"endpoints.{slug}") for slug, table in self._tables("endpoints")
        }

    def _tables(self, section: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
        tables = self._document.get(section, {})
        if not isinstance(tables, Mapping):
            self._faults.add(self._place(section), f"must be a table: [{section}.<name>]")
            return
        for slug, table in tables.items():
            if not _SLUG.match(slug):
                message = f'"{slug[:80]}" is no name: lower-case letters, digits, `_` and `-`, at most 63 of them'
                self._faults.add(self._place(section), message)
            elif not isinstance(table, Mapping):
                self._faults.add(self._place(f"{section}.{slug}"), f"must be a table: [{section}.{slug}]")
            else:
                yield slug, table

    def _load(self, schema: ma.Schema, table: Any, where: str, also: Sequence[str] = ()) -> dict[str, Any]:
        """Return the loaded table, or what of it is sound; `also` are keys checked elsewhere."""
        loaded = load_table(schema, table, known=also)
        for path, message, key in loaded.faults:
            self._faults.add(self._place(f"{where}.{path}" if path else where, f"{where}.{key}"), message)
        if loaded.faults:
            self._in_part.add(where)
        return loaded.value or {}
