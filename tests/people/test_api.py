"""The directory over the API: what each key sees, who is asked, and changes with who and why."""

from __future__ import annotations

import copy
import dataclasses
import tomllib
from datetime import date
from typing import Any

import pytest
from flask.testing import FlaskClient

from core.host.faults import Faults
from core.host.people_sections import check_people
from core.host.plugin_schema import plain
from core.host.settings import Configuration, UnitSettings
from core.model.errors import ConfigurationConflict, ConfigurationRefused
from core.people.directory import Directory
from core.store.database import Database
from core.store.migrate import migrate
from core.testing.directories import calendar_of
from tests.people.world import CHANNELS, COMPANY, NOON, UNITS
from tests.web.world import World


class Office:
    """An app over a configuration with people, whose changes are kept instead of made."""

    def __init__(self, database: Database) -> None:
        self.world = World(database)
        self.world.clock.move_to(NOON)
        self.document: dict[str, Any] = plain(tomllib.loads(COMPANY))
        self.number = 1
        self.changed: list[dict[str, Any]] = []
        app = self.world.app(configuration=self.configuration, change=self.change)
        self.client: FlaskClient = app.test_client()

    def directory(self) -> Directory:
        """Return the people of the document. Raises ConfigurationRefused with every fault."""
        faults = Faults()
        found = check_people(self.document, faults, lambda path, key="": path, units=UNITS, channels=CHANNELS)
        if faults:
            raise ConfigurationRefused(faults.letter(), errors=faults.as_errors())
        return Directory.from_json(found["people"], found["roles"])

    def configuration(self) -> Configuration:
        return dataclasses.replace(
            self.world.configuration(),
            number=self.number,
            units={slug: UnitSettings(slug, slug) for slug in UNITS},
            calendars={"cn": calendar_of("cn")},
            directory=self.directory(),
        )

    def change(self, *, changes: Any, reason: str, actor: str, expected: int | None = None) -> int:
        """Change the document, as the host would the file."""
        if expected not in (None, self.number):
            raise ConfigurationConflict("The configuration was changed meanwhile.")
        before = copy.deepcopy(self.document)
        for (section, slug, key), value in changes.items():
            self.document[section][slug][key] = value
            if value is None:
                del self.document[section][slug][key]
        try:
            self.directory()
        except ConfigurationRefused:
            self.document = before
            raise
        self.changed.append({"changes": changes, "reason": reason, "actor": actor})
        self.number += 1
        return self.number

    def get(self, path: str, key_role: str = "reader", /, *units: str, status: int = 200, **query: str) -> Any:
        answer = self.client.get(f"/api/v1{path}", query_string=query, headers=self.world.key(key_role, *units))
        assert answer.status_code == status, answer.text
        return answer.json

    def patch(self, slug: str, body: Any, *units: str, status: int = 200) -> Any:
        answer = self.client.patch(f"/api/v1/people/{slug}", json=body, headers=self.world.key("admin", *units))
        assert answer.status_code == status, answer.text
        return answer.json


@pytest.fixture
def office(sqlite_url: str) -> Office:
    database = Database(sqlite_url)
    migrate(database, [])
    return Office(database)


def slugs(answer: Any) -> list[str]:
    return [item["slug"] for item in answer["items"]]


def test_a_list_shows_everybody_with_how_they_stand_on_the_day(office: Office) -> None:
    found = {item["slug"]: item["standing"] for item in office.get("/people")["items"]}
    assert found == {"li_na": "there", "liu_yang": "there", "wang_fang": "there", "zhang_wei": "absent"}
    later = {item["slug"]: item["standing"] for item in office.get("/people", on="2027-01-01")["items"]}
    assert (later["wang_fang"], later["zhang_wei"]) == ("left", "there")
    assert office.get("/people/zhang_wei", on="2024-02-29")["standing"] == "not_joined"


def test_a_list_is_narrowed_by_unit_role_and_grid(office: Office) -> None:
    assert slugs(office.get("/people", unit="packaging")) == ["wang_fang"]
    assert slugs(office.get("/people", role="bu_manager")) == ["wang_fang", "zhang_wei"]
    assert slugs(office.get("/people", role="bu_manager", unit="new_energy")) == ["zhang_wei"]
    assert slugs(office.get("/people", role="bu_manager", on="2027-02-01")) == ["zhang_wei"]
    assert slugs(office.get("/people", grid="north")) == ["li_na"]


def test_a_key_of_one_unit_sees_its_people_and_those_of_the_whole_company(office: Office) -> None:
    assert slugs(office.get("/people", "reader", "packaging")) == ["liu_yang", "wang_fang"]
    assert office.get("/people/zhang_wei", "reader", "packaging", status=404)["detail"] == (
        'Nobody is known as "zhang_wei".'
    )
    assert office.get("/people/liu_yang", "reader", "packaging")["name"] == "刘洋"
    assert office.get("/people", "reader", "packaging", unit="new_energy", status=404)
    assert office.get("/people/resolve", "reader", "packaging", who="zhang.wei", status=404)


def test_contact_data_is_for_operators_and_admins(office: Office) -> None:
    shown = office.get("/people/00123", "operator")
    assert (shown["email"], shown["phone"], shown["wecom"]) == (
        "zhang.wei@example.com", "+86 138 0000 0000", "ZhangWei",
    )  # fmt: skip
    assert office.get("/people/zhang_wei", "admin") == shown
    read = office.get("/people/zhang_wei", "reader")
    assert read == {key: value for key, value in shown.items() if key not in ("email", "phone", "wecom")}
    assert "example.com" not in str(office.get("/people"))


def test_a_person_is_shown_whole(office: Office) -> None:
    assert office.get("/people/zhang.wei") == {
        "slug": "zhang_wei", "name": "张伟", "standing": "absent", "units": ["new_energy"],
        "roles": [{"role": "bu_manager", "units": ["new_energy"], "from": None, "until": None}],
        "grids": ["east"], "manager": "liu_yang", "deputy": "wang_fang",
        "absences": [{"from": "2026-10-01", "until": "2026-10-07", "deputy": "li_na", "reason": "年假"}],
        "joined": "2024-03-01", "left": None, "language": "zh", "crm_ids": ["zhang.wei", "00123"],
        "channels": ["wecom_sales", "mail"],
    }  # fmt: skip


def test_an_unknown_person_is_answered_with_the_nearest_one(office: Office) -> None:
    assert office.get("/people/zhang_we", status=404)["detail"] == (
        'Nobody is known as "zhang_we". Did you mean "zhang_wei"?'
    )
    assert office.get("/people", role="bu_manger", status=404)["detail"] == (
        'There is no role "bu_manger". Did you mean "bu_manager"?'
    )
    assert office.get("/people", unit="packagin", status=404)["detail"] == (
        'There is no unit "packagin". Did you mean "packaging"?'
    )


def test_who_is_asked_is_answered_with_the_way_there(office: Office) -> None:
    found = office.get("/people/resolve", who="bu_manager", unit="new_energy")
    assert (found["person"], found["name"], found["on"]) == ("li_na", "李娜", "2026-10-03")
    assert (found["path"][-1], found["path_zh"][-1]) == ("李娜 (li_na) is there", "李娜 (li_na) 在岗")
    assert (found["asked_zh"], found["reason_zh"]) == ("事业部经理（bu_manager@new_energy）", None)
    assert office.get("/people/resolve", who="manager_of:li.na", on="2026-09-01")["person"] == "zhang_wei"
    excluded = office.get("/people/resolve", who="bu_manager", unit="new_energy", exclude="00123")
    assert excluded["person"] == "liu_yang"


def test_nobody_left_to_ask_is_an_answer_and_an_unknown_name_is_not(office: Office) -> None:
    found = office.get("/people/resolve", who="liu_yang", exclude="liu_yang")
    assert (found["person"], found["reason"]) == (None, "nobody is left to ask for person:liu_yang on 2026-10-03")
    assert office.get("/people/resolve", who="bu_manger", status=404)["detail"] == (
        'Nobody is known as "bu_manger". Did you mean "bu_manager"?'
    )


def test_a_question_without_a_unit_is_asked_in_the_keys_only_one(office: Office) -> None:
    assert office.get("/people/resolve", who="bu_manager")["asked"] == "role:bu_manager@default"
    own = office.get("/people/resolve", "reader", "packaging", who="bu_manager")
    assert own["asked"] == "role:bu_manager@packaging"
    refused = office.get("/people/resolve", "reader", "packaging", "new_energy", who="bu_manager", status=422)
    assert refused["errors"] == [{"path": "unit", "message": "Say which: new_energy, packaging."}]


def test_roles_are_listed_with_their_holders_in_the_keys_units(office: Office) -> None:
    assert office.get("/roles", "reader", "packaging")["items"] == [
        {
            "slug": "bu_manager", "title": {"zh": "事业部经理", "en": "BU manager"}, "scope": "unit",
            "fallback": "general_manager", "holders": {"packaging": ["wang_fang"]},
        },
        {
            "slug": "general_manager", "title": {"zh": "总经理", "en": "总经理"}, "scope": "company",
            "fallback": None, "holders": {"*": ["liu_yang"]},
        },
    ]  # fmt: skip
    assert office.get("/roles", on="2027-01-01")["items"][0]["holders"]["packaging"] == []


def test_absences_and_deputy_are_changed_with_who_and_why(office: Office) -> None:
    body = {
        "deputy": None,
        "absences": [{"from": "2026-11-01", "until": "2026-11-03", "deputy": "li_na"}, {"from": "2026-12-01"}],
        "reason": "展会",
    }
    answer = office.patch("zhang_wei", body)
    assert answer["deputy"] is None
    assert [item["from"] for item in answer["absences"]] == ["2026-11-01", "2026-12-01"]
    assert office.get("/people/zhang_wei", "admin") == answer
    (made,) = office.changed
    assert made["changes"] == {
        ("people", "zhang_wei", "deputy"): None,
        ("people", "zhang_wei", "absences"): [
            {"from": date(2026, 11, 1), "until": date(2026, 11, 3), "deputy": "li_na"},
            {"from": date(2026, 12, 1)},
        ],
    }
    assert made["reason"] == "展会"
    assert made["actor"].startswith("admin (")
    office.patch("zhang_wei", {"absences": [], "reason": "取消"})
    assert office.changed[1]["changes"] == {("people", "zhang_wei", "absences"): None}


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({"deputy": "li_na"}, ["reason"]),
        ({"reason": "why"}, ["absences"]),
        ({"name": "x", "reason": "why", "deputy": None}, ["name"]),
        ({"absences": [{"until": "2026-01-01"}], "reason": "why"}, ["absences.0.from"]),
        ({"absences": [{"from": "soon"}], "reason": "why"}, ["absences.0.from"]),
    ],
)
def test_a_change_that_does_not_fit_is_refused_with_its_path(office: Office, body: Any, paths: list[str]) -> None:
    answer = office.patch("zhang_wei", body, status=422)
    assert [item["path"] for item in answer["errors"]] == paths
    assert office.changed == []


def test_what_the_configuration_refuses_is_answered_with_its_faults(office: Office) -> None:
    answer = office.patch("zhang_wei", {"deputy": "li_n", "reason": "why"}, status=422)
    assert answer["code"] == "config.refused"
    assert answer["errors"] == [
        {"path": "people.zhang_wei.deputy", "message": 'there is no person "li_n". Did you mean "li_na"?'}
    ]
    assert office.get("/people/zhang_wei")["deputy"] == "wang_fang"


def test_who_looked_at_an_older_version_changes_nothing(office: Office) -> None:
    headers = office.world.key("admin")
    tag = office.client.get("/api/v1/people/zhang_wei", headers=headers).headers["ETag"]
    for deputy, status in (("li_na", 200), ("wang_fang", 409)):
        answer = office.client.patch(
            "/api/v1/people/zhang_wei", json={"deputy": deputy, "reason": "why"}, headers={**headers, "If-Match": tag}
        )
        assert answer.status_code == status, answer.text
    assert office.get("/people/zhang_wei")["deputy"] == "li_na"


def test_a_key_of_one_unit_changes_its_own_people_only(office: Office) -> None:
    body = {"deputy": "li_na", "reason": "why"}
    office.patch("zhang_wei", body, "packaging", status=404)
    office.patch("liu_yang", body, "packaging", status=403)
    office.patch("zhang_wei", body, "new_energy")
    assert len(office.changed) == 1


def test_a_key_of_one_unit_names_no_deputy_for_a_role_that_is_held_in_others_too(office: Office) -> None:
    body = {"deputy": "liu_yang", "reason": "why"}
    office.patch("wang_fang", body, "packaging", status=403)  # she is a manager in new_energy for some months
    office.patch("wang_fang", body, "packaging", "new_energy")
    office.document["people"]["zhang_wei"]["roles"] = ["bu_manager", "general_manager"]
    office.patch("zhang_wei", body, "new_energy", status=403)


@pytest.mark.parametrize(
    "body", [{"deputy": "wang_fang"}, {"absences": [{"from": "2026-12-01", "deputy": "wang_fang"}]}]
)
def test_a_deputy_whom_a_key_of_one_unit_may_not_see_is_nobody_to_it(office: Office, body: dict[str, Any]) -> None:
    answer = office.patch("li_na", {**body, "reason": "why"}, "new_energy", status=404)
    assert answer["detail"].startswith('Nobody is known as "wang_fang".') and office.changed == []
    office.patch("li_na", {**body, "reason": "why"}, "new_energy", "packaging")


def test_a_process_that_cannot_change_the_configuration_says_what_can(office: Office) -> None:
    client = office.world.app(configuration=office.configuration, change=None).test_client()
    body = {"deputy": "li_na", "reason": "why"}
    answer = client.patch("/api/v1/people/zhang_wei", json=body, headers=office.world.key("admin"))
    assert answer.status_code == 409
    assert "This process cannot change the configuration" in answer.text
