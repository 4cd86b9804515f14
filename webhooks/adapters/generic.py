"""Any sender of JSON, mapped by JMESPath expressions in plugins.toml, so that a new CRM needs no code."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from core.host.settings import SourceSettings
from core.model.errors import ItemRejected, did_you_mean
from core.model.events import kind_of
from core.model.inbound import InboundEvent, body_digest, inbound_event
from core.model.schemas import canonical_json
from webhooks.adapter import Adapter, Fault, InboundRequest, register_adapter
from webhooks.adapters.expressions import Expression, compile_expression, without
from webhooks.adapters.generic_auth import build_verifier
from webhooks.adapters.generic_options import COMPLETENESS, EXPRESSIONS, option_faults
from webhooks.mapping import (
    canonical_instant,
    flat,
    instant_fields,
    is_field,
    object_of,
    put,
    read_instant,
    with_extra,
    zone_of,
)


@register_adapter("generic")
class GenericAdapter(Adapter):
    """A sender whose proof, items and fields are described by the source's options."""

    json_only = False

    def __init__(self, source: SourceSettings) -> None:
        super().__init__(source)
        options = source.options
        auth = options.get("auth", {})
        self.verifier = build_verifier(auth)
        self._token = auth.get("name", "") if auth.get("kind") == "body" else ""
        self._found = {name: compile_expression(options[name], name) for name in EXPRESSIONS if name in options}
        self._types: Mapping[str, str] = options.get("types", {})
        self._zone: ZoneInfo | None = zone_of(options)
        self._envelope: tuple[str, ...] = tuple(options.get("envelope", ()))
        self._fields = {
            path: compile_expression(text, f"fields.{path}") for path, text in flat(options.get("fields", {})).items()
        }
        self._completeness: str | Expression | None = options.get("completeness")
        if self._completeness is not None and self._completeness not in COMPLETENESS:
            self._completeness = compile_expression(self._completeness, "completeness")
        every = [expression for name, expression in self._found.items() if name != "items"] + [*self._fields.values()]
        if isinstance(self._completeness, Expression):
            every.append(self._completeness)
        self._mapped = sorted({path for expression in every for path in expression.paths})

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> list[Fault]:
        """Return every fault: unknown keys, expressions that do not compile, types and fields not known."""
        return option_faults(options)

    @classmethod
    def wants_secret(cls, options: Mapping[str, Any]) -> bool:
        """Whether a source needs a secret: one told by its network alone has none."""
        auth = options.get("auth", {})
        return not isinstance(auth, Mapping) or auth.get("kind") != "network"

    def without_secrets(self, document: Any) -> Any:
        """Leave out the token that the sender puts into the body."""
        if not self._token or not isinstance(document, dict):
            return document
        return without(document, tuple(self._token.split(".")))

    def split(self, document: Any) -> list[Any]:
        """Find the items; each gets the envelope's named fields."""
        expression = self._found.get("items")
        found = [document] if expression is None else expression.find(document)
        if not isinstance(found, list):
            raise ItemRejected(f"options.items: `{expression.text if expression else ''}` finds no list in the body.")
        if not self._envelope or expression is None or not isinstance(document, dict):
            return found
        shared = {name: document[name] for name in self._envelope if name in document}
        return [shared | (item if isinstance(item, dict) else {"value": item}) for item in found]

    def event(self, item: Any, request: InboundRequest) -> InboundEvent:
        """Evaluate the expressions on one item; what none of them reads is kept in `extra`."""
        body = object_of(item)
        event_type = self._event_type(body)
        kind = kind_of(event_type)
        version = self._version(body)
        said = self._plain("occurred_at", body)
        occurred_at = request.received_at if said is None else read_instant(said, self._zone)
        if occurred_at is None:
            raise ItemRejected(
                f'options.occurred_at: "{str(said)[:40]}" is no time with an offset; for local times set '
                "options.timezone."
            )
        data = self._data(kind, body)
        event_id = self._plain("event_id", body)
        if event_id is None:
            fallback = canonical_json(body) if version is None else str(version)
            event_id = "item:" + body_digest(f"{event_type}\x1f{data['id']}\x1f{fallback}".encode())
        unit = self._plain("unit", body)
        return inbound_event(
            source=self.source.slug,
            type=event_type,
            data=data,
            dedupe_key=str(event_id),
            occurred_at=occurred_at,
            occurred_at_original=None if said is None else str(said)[:100],
            version=version,
            completeness=self._complete(body),
            unit=None if unit is None else str(unit)[:100],
        )

    def _event_type(self, body: dict[str, Any]) -> str:
        found = self._plain("type", body)
        if found is None:
            raise ItemRejected(f"options.type: `{self._found['type'].text}` finds no type in the item.")
        if not self._types:
            return str(found)
        if str(found) not in self._types:
            hint = did_you_mean(str(found), self._types)
            raise ItemRejected(f'options.types has no entry for "{str(found)[:80]}".{hint}')
        return self._types[str(found)]

    def _version(self, body: dict[str, Any]) -> int | str | datetime | None:
        """A version that is a time is compared as an instant, whatever offset it is written in."""
        said = self._plain("version", body)
        if not isinstance(said, str) or said.isdecimal():
            return said
        return read_instant(said, self._zone) or said or None

    def _plain(self, name: str, body: dict[str, Any]) -> int | str | None:
        """Evaluate an expression whose result is a text or a whole number."""
        expression = self._found.get(name)
        value = None if expression is None else expression.find(body)
        if value is None or (isinstance(value, (int, str)) and not isinstance(value, bool)):
            return value
        raise ItemRejected(f"options.{name}: what is found there is neither a text nor a whole number.")

    def _complete(self, body: dict[str, Any]) -> str | None:
        if not isinstance(self._completeness, Expression):
            return self._completeness
        found = self._completeness.find(body)
        if found is None or found in COMPLETENESS:
            return None if found is None else str(found)
        raise ItemRejected(f"options.completeness: one of {', '.join(COMPLETENESS)} is expected.")

    def _data(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        record_id = self._plain("id", body)
        if record_id is None:
            raise ItemRejected(f"options.id: `{self._found['id'].text}` finds no id in the item.")
        data: dict[str, Any] = {"id": record_id}
        instants = instant_fields(kind)
        for path, expression in self._fields.items():
            if not is_field(kind, path):
                continue
            value = expression.find(body)
            if value is None and not expression.is_given(body):
                continue  # a field the sender left out is unknown, not empty
            put(data, path, canonical_instant(path, value, self._zone) if path in instants else value)
        rest = body
        for mapped in self._mapped:
            rest = without(rest, mapped)
        return with_extra(data, rest)
