"""The shapes of the API's requests and answers about people, roles and who is asked."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from core.web.requests import line, word


def _text(**options: Any) -> fields.String:
    return fields.String(allow_none=True, **options)


def _day(name: str, **options: Any) -> fields.Date:
    """A day under a name that may be a word of Python's own."""
    return fields.Date(attribute=name, data_key=name, allow_none=True, **options)


class PeopleQuery(ma.Schema):
    """Which people a list shows."""

    unit = word()
    role = word(metadata={"description": "Only those who hold this role on that day."})
    grid = word(metadata={"description": "Only those who serve this grid (区域网格)."})
    on = fields.Date(metadata={"description": "As of this day; today by default."})


class PersonQuery(ma.Schema):
    """As of which day a person or the roles are shown."""

    on = fields.Date(metadata={"description": "As of this day; today by default."})


class ResolveQuery(ma.Schema):
    """Who is to be asked."""

    who = word(required=True, metadata={"description": "A role, a slug, a CRM id, or `manager_of:` before a person."})
    unit = word(metadata={"description": "In which unit; `default` by default, or the only one of the key."})
    on = fields.Date(metadata={"description": "On this day; today by default."})
    excluded = word(
        data_key="exclude", metadata={"description": "A person who may not be asked, such as who made the request."}
    )


class Absence(ma.Schema):
    """Days on which somebody is away."""

    first = _day("from", required=True)
    last = _day("until", metadata={"description": "The last day; without one until further notice."})
    deputy = word(allow_none=True, metadata={"description": "Who stands in; the standing deputy by default."})
    reason = line(200, allow_none=True)


class PersonPatch(ma.Schema):
    """What changes of a person: the standing deputy, all absences, or both; and why."""

    deputy = word(allow_none=True, metadata={"description": "A person's slug; null for none."})
    absences = fields.List(
        fields.Nested(Absence), validate=validate.Length(max=500), metadata={"description": "Replaces all there are."}
    )
    reason = line(500, required=True)

    @ma.validates_schema
    def _something(self, data: dict[str, Any], **_: Any) -> None:
        if "deputy" not in data and "absences" not in data:
            raise ma.ValidationError("Send `deputy` or `absences`, or both.", "absences")


class RoleHeld(ma.Schema):
    """A role that a person holds."""

    role = fields.String()
    units = fields.List(fields.String())
    first = _day("from")
    last = _day("until")


class Person(ma.Schema):
    """A person of the directory; contact data is shown to keys of operators and admins only."""

    slug = fields.String()
    name = fields.String()
    standing = fields.String(metadata={"description": "`there`, `absent`, `left` or `not_joined`, on that day."})
    units = fields.List(fields.String(), metadata={"description": "`*` for all; none for nobody's in particular."})
    roles = fields.List(fields.Nested(RoleHeld))
    grids = fields.List(fields.String())
    manager = _text()
    deputy = _text(metadata={"description": "The standing deputy (代理人)."})
    absences = fields.List(fields.Nested(Absence))
    joined = _day("joined")
    left = _day("left", metadata={"description": "The last day."})
    language = fields.String()
    crm_ids = fields.List(fields.String())
    channels = fields.List(fields.String())
    email = _text()
    phone = _text()
    wecom = _text()


class Resolution(ma.Schema):
    """Who is asked in the end, with every step."""

    asked = fields.String()
    asked_zh = fields.String(metadata={"description": "The same in Chinese."})
    person = _text(metadata={"description": "The slug; null when nobody is left to ask."})
    name = _text()
    path = fields.List(fields.String())
    path_zh = fields.List(fields.String(), metadata={"description": "The same steps in Chinese."})
    reason = _text(metadata={"description": "Why nobody."})
    reason_zh = _text(metadata={"description": "The same in Chinese."})
    on = fields.Date()


class Role(ma.Schema):
    """A role, and who holds it."""

    slug = fields.String()
    title = fields.Dict(keys=fields.String(), values=fields.String())
    scope = fields.String(metadata={"description": "`unit` or `company`."})
    fallback = _text(metadata={"description": "The role that stands in when nobody of this one can be asked."})
    holders = fields.Dict(keys=fields.String(), values=fields.List(fields.String()))
