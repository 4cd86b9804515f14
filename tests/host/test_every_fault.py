"""Tests that every fault of plugins.toml is told at once, whatever others there are, with the nearest right word."""

from __future__ import annotations

from pathlib import Path

import marshmallow as ma
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.host.configuration import resolve
from core.host.discovery import load_plugins
from core.host.environment import Environment
from core.host.every_fault import load_table
from core.host.faults import Faults
from core.model.errors import ConfigurationRefused
from wsgi import assembly

DEMO = (Path(__file__).parents[2] / "deploy/demo/plugins.toml").read_text(encoding="utf-8")

MORE = """
[units.packaging.plugins.sla_escalation.config.policies.complaint_resolution]
target = "24h"
warn = ["50%"]

[units.packaging.plugins.quote_approval.config]
link_valid_hours = 24

[units.packaging.plugins.case_capture.config]
language = "auto"

[[units.packaging.plugins.quote_approval.config.ladder]]
after = "1 day"
to = "manager"
"""

IN_UNIT = "units.packaging.plugins."

# What is written, what a person wrote instead, where that is told, and words that the message has.
PLANTS = [
    ('scope = "company"', 'scope = "compny"', "roles.general_manager.scope", 'Did you mean "company"?'),
    ('fallback = "service_lead"', 'fallback = "servce_lead"', "roles.service_agent.fallback", '"service_lead"'),
    ('name = "周明远"', 'nme = "周明远"', "people.zhou_mingyuan", "unknown key `nme`"),
    ('language = "en"', 'language = "eng"', "people.lu_jingchuan.language", 'Did you mean "en"?'),
    ('manager = "qin_ruoxi"', 'manager = "qin_ruxi"', "people.fang_yuan.manager", '"qin_ruoxi"'),
    ('units = ["packaging"]', 'units = ["packging"]', "people.tang_zhixia.units", '"packaging"'),
    ('based_on = "cn"', 'based_on = "cnn"', "calendars.plant.based_on", '"cn"'),
    ('calendar = "plant"', 'calendar = "plnt"', "units.high_end_manufacturing.calendar", '"plant"'),
    ('title = "建筑装饰事业部"', "title = 3", "units.construction.title", "must be text in quotes"),
    ('unit = "open_data"', 'unit = "open_dat"', "sources.erp.unit", '"open_data"'),
    ('adapter = "generic"', 'adaptr = "generic"', "sources.servicedesk", "unknown key `adaptr`"),
    ('target = "24h"', 'target = "24 workng hours"',
     IN_UNIT + "sla_escalation.config.policies.complaint_resolution.target", 'Did you mean "working"?'),
    ('warn = ["50%"]', 'waarn = ["50%"]',
     IN_UNIT + "sla_escalation.config.policies.complaint_resolution.waarn", '"warn"'),
    ("policies.complaint_resolution]", "policies.complaint_resolutoin]",
     IN_UNIT + "sla_escalation.config.policies.complaint_resolutoin", 'Did you mean "complaint_resolution"?'),
    ("link_valid_hours = 24", "link_valid_hours = 2400", IN_UNIT + "quote_approval.config.link_valid_hours", "72"),
    ('to = "manager"', 'to = "manger"', IN_UNIT + "quote_approval.config.ladder.0.to", 'Did you mean "manager"?'),
    ('language = "auto"', 'language = "aut"', IN_UNIT + "case_capture.config.language", 'Did you mean "auto"?'),
]  # fmt: skip

_ENVIRONMENT = Environment(database_url="sqlite:///unused.sqlite3", config_path=Path("plugins.toml"))
_AROUND = assembly().surroundings(load_plugins(assembly().roots(_ENVIRONMENT)), _ENVIRONMENT)


def faults_of(text: str) -> list[tuple[str, str]]:
    """Return place and message of every fault that a person is told of."""
    try:
        resolve(text, _AROUND)
    except ConfigurationRefused as refused:
        return [(error["path"].removeprefix("plugins.toml: "), error["message"]) for error in refused.errors]
    return []


def planted(numbers: set[int]) -> str:
    """Return the demo's file with these mistakes in it."""
    text = DEMO + MORE
    for number in sorted(numbers):
        right, wrong = PLANTS[number][:2]
        assert right in text
        text = text.replace(right, wrong, 1)
    return text


def is_told(faults: list[tuple[str, str]], number: int) -> bool:
    _, _, place, words = PLANTS[number]
    return any(path.endswith(place) and words in message for path, message in faults)


def test_without_a_mistake_there_is_no_fault() -> None:
    assert faults_of(DEMO + MORE) == []


@pytest.mark.parametrize("number", range(len(PLANTS)), ids=[plant[1] for plant in PLANTS])
def test_one_mistake_is_told_with_the_right_word(number: int) -> None:
    assert is_told(faults_of(planted({number})), number)


# The misspelt policy takes the two mistakes inside it along: nobody can say which policy they were meant for.
_TOGETHER = [number for number, plant in enumerate(PLANTS) if "resolutoin" not in plant[1]]


@given(numbers=st.sets(st.sampled_from(_TOGETHER), min_size=2))
@settings(max_examples=25, deadline=None)
def test_any_mistakes_are_told_all_at_once(numbers: set[int]) -> None:
    faults = faults_of(planted(numbers))
    assert [PLANTS[number][1] for number in numbers if not is_told(faults, number)] == []


@given(numbers=st.sets(st.sampled_from(_TOGETHER), min_size=1))
@settings(max_examples=25, deadline=None)
def test_no_place_without_a_mistake_is_blamed(numbers: set[int]) -> None:
    blamed = {path for path, _ in faults_of(planted(numbers))}
    # A key that is misspelt may also be missing where it belongs.
    beside = {"people.zhou_mingyuan.name", "sources.servicedesk.adapter"}
    expected = {PLANTS[number][2] for number in numbers} | beside
    assert {path for path in blamed if not any(path.endswith(place) for place in expected)} == set()


class _Relation(ma.Schema):
    low = ma.fields.Integer(required=True)
    high = ma.fields.Integer(required=True)
    items = ma.fields.List(ma.fields.Integer())

    @ma.validates_schema
    def _ordered(self, data: dict[str, int], **_: object) -> None:
        if data.get("low", 0) > data.get("high", 10**6):
            raise ma.ValidationError("Must not be above high.", "low")


def test_a_relation_is_checked_beside_a_fault_that_has_nothing_to_do_with_it() -> None:
    found = load_table(_Relation(), {"low": 5, "high": 1, "items": [1, "x"], "hihg": 3})
    assert {(place, message.partition(".")[0]) for place, message, _ in found.faults} == {
        ("items.1", 'must be a whole number, such as 5; it is "x"'),
        ("", "unknown key `hihg`"),
        ("low", "Must not be above high"),
    }


def test_a_relation_to_what_is_missing_is_not_made_up() -> None:
    found = load_table(_Relation(), {"low": 500})
    assert [(place, message) for place, message, _ in found.faults] == [("high", "is missing")]
    assert found.value == {"low": 500} and found.missing == ("high",)


def test_a_role_that_is_missing_for_the_plugins_own_defaults_does_not_hide_what_else_is_wrong() -> None:
    text = (
        "[plugins.sla_escalation]\nenabled = true\n[plugins.sla_escalation.config.policies.quality_solution]\n"
        'target = 24\n[plugins.sla_escalation.config.policies.mine]\nclock = "quality_solutio"\n'
    )
    with pytest.raises(ConfigurationRefused) as caught:
        resolve(text, _AROUND)
    faults = {item["path"].removeprefix("plugins.toml, "): item["message"] for item in caught.value.errors}
    at = "plugins.sla_escalation.config.policies"
    assert faults[f"{at}.quality_solution.target"].endswith("it is 24")
    assert 'Did you mean "quality_solution"' in faults[f"{at}.mine.clock"]
    assert "sales_director" in faults[f"{at}.complaint_resolution.levels.2.to.0"]
    assert caught.value.message.count("sales_director") == 1


def test_what_a_value_must_be_is_told_beside_what_it_is() -> None:
    class Types(ma.Schema):
        words = ma.fields.List(ma.fields.String())
        table = ma.fields.Dict()
        text = ma.fields.String()
        day = ma.fields.Date()

    given = {"words": "50%", "table": [1], "text": 3, "day": "长" * 80}
    told = {place: message for place, message, _ in load_table(Types(), given).faults}
    assert told == {
        "words": 'must be a list in brackets, such as ["a", "b"]; it is "50%"',
        "table": "must be a table; it is a list",
        "text": 'must be text in quotes, such as "a"; it is 3',
        "day": f'must be a date, such as 2026-10-01; it is "{"长" * 59}…',
    }


def test_what_is_wrong_alike_in_many_places_is_told_once_in_the_letter_and_fully_in_the_list() -> None:
    faults = Faults()
    for number in range(5):
        faults.add(f"levels.{number}", "There is no role.")
    faults.add("other", "It is missing.")
    assert faults.letter() == (
        "levels.0: There is no role. The same in 4 more places, such as levels.1.\nother: It is missing."
    )
    assert [item["path"] for item in faults.as_errors()] == [*(f"levels.{number}" for number in range(5)), "other"]
