"""The keys of [roles.<slug>] and [people.<slug>], as marshmallow schemas; what they load is canonical JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, ClassVar

import marshmallow as ma

from core.model.choices import OneOf
from core.model.people import ALL_UNITS

LANGUAGES = ("zh", "en")
SCOPES = ("unit", "company")
_DAY = re.compile(r"^\d{4}-\d{2}-\d{2}$")
_LINE = re.compile(r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$")


def _one_line(value: str) -> None:
    if not value.strip() or len(value) > 200 or not _LINE.fullmatch(value):
        raise ma.ValidationError("Must be one line of text, at most 200 characters.")


def line(**options: Any) -> ma.fields.String:
    """One line of text that is not empty."""
    return ma.fields.String(validate=_one_line, **{"load_default": None, **options})


class Day(ma.fields.Field[str]):
    """A day, written as TOML's own date or as text, 2026-10-01; kept as text."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if isinstance(value, date) and not isinstance(value, datetime):
            return value.isoformat()
        try:
            if isinstance(value, str) and _DAY.fullmatch(value):
                return date.fromisoformat(value).isoformat()
        except ValueError:
            pass  # such as the 30th of February
        raise ma.ValidationError("Not a day such as 2026-10-01 (without a time).")


class Words(ma.fields.Field[list[str]]):
    """One text or a list of texts, each kept once; the list may be empty."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[str]:
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(item, str) for item in values):
            raise ma.ValidationError('Must be a text or a list of texts, such as ["a", "b"]; numbers stand in quotes.')
        for item in values:
            _one_line(item)
        return list(dict.fromkeys(item.strip() for item in values))


class Units(Words):
    """Units' slugs; `*` stands for all of them and makes the others needless."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[str]:
        found = super()._deserialize(value, attr, data, **kwargs)
        return [ALL_UNITS] if ALL_UNITS in found else found


class Title(ma.fields.Field[dict[str, str]]):
    """One text for every language, or a table by language; kept as a table."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[str, str]:
        given = dict.fromkeys(LANGUAGES, value) if isinstance(value, str) else value
        if not isinstance(given, Mapping) or not given or set(given) - set(LANGUAGES):
            raise ma.ValidationError('Must be a text, or a table such as { zh = "事业部经理", en = "BU manager" }.')
        for text in given.values():
            if not isinstance(text, str):
                raise ma.ValidationError("Must be text.")
            _one_line(text)
        return dict(given)


class RoleSchema(ma.Schema):
    """The keys of [roles.<slug>]."""

    title = Title(load_default=dict)
    scope = ma.fields.String(load_default="unit", validate=OneOf(SCOPES))
    fallback = line()


class Ordered(ma.Schema):
    """A table with a first and a last day."""

    first_key, last_key = "from", "until"

    @ma.validates_schema(skip_on_field_errors=False)
    def _in_order(self, data: Mapping[str, Any], **_: Any) -> None:
        first, last = data.get(self.first_key), data.get(self.last_key)
        if first and last and first > last:
            raise ma.ValidationError(f"{last} is before `{self.first_key}`, which is {first}.", self.last_key)


class AbsenceSchema(Ordered):
    """One of a person's absences; without `until` it lasts until further notice."""

    error_messages = {"type": "Must be a table, such as { from = 2026-10-01, until = 2026-10-07 }."}  # noqa: RUF012

    class Meta:
        include: ClassVar = {"from": Day(required=True)}  # a word of Python's own, so no attribute can have its name

    until = Day(load_default=None)
    deputy = line()
    reason = line()


class GrantSchema(Ordered):
    """A role held in other units than the person's, or for some time only."""

    error_messages = {  # noqa: RUF012
        "type": 'Must be a role, such as "bu_manager", or a table: { role = "bu_manager", until = 2026-12-31 }.'
    }

    class Meta:
        include: ClassVar = {"from": Day(load_default=None)}

    until = Day(load_default=None)
    role = line(required=True, load_default=ma.missing)
    units = Units(load_default=None)


class Grants(ma.fields.Nested):
    """Roles, each by its slug or as a table; one alone needs no list. Kept as tables."""

    def __init__(self, **options: Any) -> None:
        super().__init__(GrantSchema, many=True, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, partial: Any = None, **kwargs: Any) -> Any:
        values = value if isinstance(value, list) else [value]
        tables = [{"role": item} if isinstance(item, str) else item for item in values]
        return super()._deserialize(tables, attr, data, partial, **kwargs)


class PersonSchema(Ordered):
    """The keys of [people.<slug>]."""

    first_key, last_key = "joined", "left"

    name = line(required=True, load_default=ma.missing)
    crm_ids = Words(load_default=list)
    email = ma.fields.Email(load_default=None)
    phone = line()
    wecom = line()
    language = ma.fields.String(load_default=LANGUAGES[0], validate=OneOf(LANGUAGES))
    units = Units(load_default=list)
    roles = Grants(load_default=list)
    grids = Words(load_default=list)
    manager = line()
    channels = Words(load_default=list)
    joined = Day(load_default=None)
    left = Day(load_default=None)
    deputy = line()
    absences = ma.fields.List(ma.fields.Nested(AbsenceSchema), load_default=list)
