"""Settings that name whom to ask: checked where the host loads them, with the path marshmallow gives."""

from __future__ import annotations

import marshmallow as ma
import pytest

from core.host.people_sections import check_who
from core.model.who_field import Who, WhoList, checking_names
from tests.people.world import COMPANY, checked


class LevelSchema(ma.Schema):
    after = ma.fields.Integer(required=True)
    who = Who(words=("owner",), required=True)


class SettingsSchema(ma.Schema):
    approver = Who(load_default="general_manager")
    substitute = Who(load_default=None)
    copies = WhoList(load_default=list)
    levels = ma.fields.List(ma.fields.Nested(LevelSchema), load_default=list)


def load(text: str = COMPANY, schema: ma.Schema | None = None, **values: object) -> dict[str, object]:
    found, _ = checked(text)
    with checking_names(lambda name: check_who(name, found)):
        loaded: dict[str, object] = (schema or SettingsSchema()).load(values)
    return loaded


def test_names_are_loaded_as_plain_text() -> None:
    loaded = load(approver="bu_manager", copies=["li_na"], levels=[{"after": 1, "who": "manager_of:owner"}])
    assert loaded == {
        "approver": "bu_manager", "substitute": None, "copies": ["li_na"],
        "levels": [{"after": 1, "who": "manager_of:owner"}],
    }  # fmt: skip


def test_every_name_nobody_answers_to_is_refused_at_its_path() -> None:
    with pytest.raises(ma.ValidationError) as refused:
        load(approver="bu_manger", copies=["li_na", "nobody"], levels=[{"after": 1, "who": "ower"}])
    assert refused.value.messages == {
        "approver": ['There is no role, person or CRM id "bu_manger". Did you mean "bu_manager"?'],
        "copies": {1: ['There is no role, person or CRM id "nobody".']},
        "levels": {0: {"who": ['There is no role, person or CRM id "ower". Did you mean "owner"?']}},
    }


def test_a_default_that_nobody_answers_to_is_refused_too() -> None:
    schema = ma.Schema.from_dict(
        {"one": Who(load_default="sales_director"), "many": WhoList(load_default=["li_na", "cfo"])}
    )()
    with pytest.raises(ma.ValidationError) as refused:
        load(schema=schema)
    assert refused.value.messages == {
        "one": ['There is no role, person or CRM id "sales_director".'],
        "many": {1: ['There is no role, person or CRM id "cfo".']},
    }


def test_outside_of_the_host_nothing_is_checked() -> None:
    assert SettingsSchema().load({"approver": "nobody"})["approver"] == "nobody"
    with pytest.raises(ma.ValidationError):
        load(approver="nobody")
    assert SettingsSchema().load({"approver": "nobody"})["approver"] == "nobody"


def test_what_is_no_text_is_refused_as_ever() -> None:
    with pytest.raises(ma.ValidationError):
        load(approver=3)
