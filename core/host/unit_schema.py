"""The keys of a [units.<slug>] table, checked so that a mistyped rule is refused instead of never fitting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import marshmallow as ma

from core.model.errors import did_you_mean
from core.model.records import KINDS
from core.model.schemas import known_fields

EXTRA = "extra."
"""What stands before the name of a CRM's own field, one that the canonical records do not have."""


class TextList(ma.fields.Field[list[str]]):
    """One text or a list of texts, none of them empty."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[str]:
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not values or not all(isinstance(v, str) and v.strip() for v in values):
            raise ma.ValidationError("Must be a text or a list of texts, none of them empty.")
        return values


class Match(ma.fields.Field[dict[str, list[str]]]):
    """The fields a unit's records have: canonical ones by their name, a CRM's own as `extra.<name>`."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[str, list[str]]:
        if not isinstance(value, Mapping):
            raise ma.ValidationError('Must be a table of fields, such as { industry = ["ev", "storage"] }.')
        faults: dict[str, list[str]] = {}
        found: dict[str, list[str]] = {}
        for name, values in _spelt_out(value).items():
            try:
                _check_field(name)
                found[name] = TextList().deserialize(values) or []
            except ma.ValidationError as error:
                faults[name] = [str(message) for message in error.messages]
        if faults:
            raise ma.ValidationError(faults)
        return found


def _spelt_out(match: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields by their full names: TOML reads an unquoted `extra.channel` as a table in a table."""
    found: dict[str, Any] = {}
    for name, values in match.items():
        if name == "extra" and isinstance(values, Mapping):
            found |= {f"{EXTRA}{inner}": given for inner, given in values.items()}
        else:
            found[name] = values
    return found


def _check_field(name: str) -> None:
    if name.startswith(EXTRA) and len(name) > len(EXTRA):
        return
    fields = sorted(set().union(*(known_fields(kind) for kind in KINDS)) - {"extra"})
    if name not in fields:
        raise ma.ValidationError(
            f'No record has a field "{name}".{did_you_mean(name, fields)} A field that only your CRM has is written '
            f"as `extra.{name if name != 'extra' else '<name>'}`."
        )


class UnitSchema(ma.Schema):
    """The keys of [units.<slug>]; its `plugins` are checked with the plugins."""

    title = ma.fields.String(load_default="")
    match = Match(load_default=dict)
    calendar = ma.fields.String(load_default=None)  # whether there is one is checked with the calendars
