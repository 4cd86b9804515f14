"""What is refused in [people] and [roles], each with its path."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from core.host.faults import Faults
from core.host.people_sections import check_people, check_who
from core.people.directory import Directory
from tests.people.world import COMPANY, FIRST, UNITS, checked, companies

REFUSED: dict[str, tuple[str, str, str, str]] = {
    # what is wrong: (in the company, put this instead, path of the fault, message)
    "an unknown key": (
        'manager = "zhang_wei"', 'manger = "zhang_wei"',
        "people.li_na", "unknown key `manger`. Did you mean `manager`?",
    ),
    "an unknown key of an absence": (
        "{ from = 2026-10-01, until", "{ form = 2026-10-01, until",
        "people.zhang_wei.absences.0", "unknown key `form`. Did you mean `from`?",
    ),
    "an unknown key of a role held": (
        "from = 2027-01-01", "form = 2027-01-01",
        "people.wang_fang.roles.1", "unknown key `form`. Did you mean `from`?",
    ),
    "a person without a name": ('name = "李娜"', "", "people.li_na.name", "is missing"),
    "an empty name": (
        'name = "李娜"', 'name = " "', "people.li_na.name", "Must be one line of text, at most 200 characters.",
    ),
    "a name of two lines": (
        'name = "李娜"', 'name = "李\\n娜"', "people.li_na.name", "Must be one line of text, at most 200 characters.",
    ),
    "a slug with capitals": (
        "[people.li_na]", "[people.Li_Na]",
        "people", '"Li_Na" is no name: lower-case letters, digits, `_` and `-`, at most 63 of them',
    ),
    "a number as CRM id": (
        'crm_ids = ["li.na"]', "crm_ids = [123]",
        "people.li_na.crm_ids", 'Must be a text or a list of texts, such as ["a", "b"]; numbers stand in quotes.',
    ),
    "an address that is none": (
        'email = "zhang.wei@example.com"', 'email = "zhang.wei"',
        "people.zhang_wei.email", 'must be an e-mail address; it is "zhang.wei"',
    ),
    "an unknown language": (
        'language = "en"', 'language = "fr"', "people.wang_fang.language", "Must be one of: zh, en.",
    ),
    "an unknown scope": (
        'scope = "company"', 'scope = "all"', "roles.general_manager.scope", "Must be one of: unit, company.",
    ),
    "a title in an unknown language": (
        'title = "总经理"', 'title = { fr = "directeur" }', "roles.general_manager.title",
        'Must be a text, or a table such as { zh = "事业部经理", en = "BU manager" }.',
    ),
    "a title that is a number": (
        'title = "总经理"', "title = { zh = 1 }", "roles.general_manager.title", "Must be text.",
    ),
    "a day with a time": (
        "joined = 2024-03-01", "joined = 2024-03-01T08:00:00",
        "people.zhang_wei.joined", "Not a day such as 2026-10-01 (without a time).",
    ),
    "a day that does not exist": (
        "joined = 2024-03-01", 'joined = "2024-02-30"',
        "people.zhang_wei.joined", "Not a day such as 2026-10-01 (without a time).",
    ),
    "an absence that ends before it begins": (
        "until = 2026-10-07", "until = 2026-09-30",
        "people.zhang_wei.absences.0.until", "2026-09-30 is before `from`, which is 2026-10-01.",
    ),
    "a role that ends before it begins": (
        "until = 2027-03-31", "until = 2026-03-31",
        "people.wang_fang.roles.1.until", "2026-03-31 is before `from`, which is 2027-01-01.",
    ),
    "a person who left before joining": (
        "joined = 2024-03-01", "joined = 2024-03-01\nleft = 2024-02-01",
        "people.zhang_wei.left", "2024-02-01 is before `joined`, which is 2024-03-01.",
    ),
    "an absence that is no table": (
        "absences = [{ from = 2026-10-01, until = 2026-10-07, deputy = \"li_na\", reason = \"年假\" }]",
        "absences = [2026-10-01]", "people.zhang_wei.absences.0",
        "Must be a table, such as { from = 2026-10-01, until = 2026-10-07 }.",
    ),
    "a role held that is a number": (
        'roles = ["general_manager"]', "roles = [7]", "people.liu_yang.roles.0",
        'Must be a role, such as "bu_manager", or a table: { role = "bu_manager", until = 2026-12-31 }.',
    ),
    "an unknown unit": (
        'units = ["packaging"]', 'units = ["packging"]',
        "people.wang_fang.units", 'there is no unit "packging". Did you mean "packaging"?',
    ),
    "an unknown unit of a role held": (
        'units = ["new_energy"], from', 'units = ["new_enegy"], from',
        "people.wang_fang.roles.1.units", 'there is no unit "new_enegy". Did you mean "new_energy"?',
    ),
    "an unknown channel": (
        '"mail"]', '"mial"]', "people.zhang_wei.channels", 'there is no channel "mial". Did you mean "mail"?',
    ),
    "an unknown role": (
        'roles = ["general_manager"]', 'roles = ["general_manger"]',
        "people.liu_yang.roles.0", 'there is no role "general_manger". Did you mean "general_manager"?',
    ),
    "an unknown fallback": (
        'fallback = "general_manager"', 'fallback = "general_manger"',
        "roles.bu_manager.fallback", 'there is no role "general_manger". Did you mean "general_manager"?',
    ),
    "an unknown manager": (
        'manager = "zhang_wei"', 'manager = "zhang_wie"',
        "people.li_na.manager", 'there is no person "zhang_wie". Did you mean "zhang_wei"?',
    ),
    "an unknown deputy": (
        'deputy = "wang_fang"', 'deputy = "wang_fan"',
        "people.zhang_wei.deputy", 'there is no person "wang_fan". Did you mean "wang_fang"?',
    ),
    "a deputy of an absence by name instead of slug": (
        'deputy = "li_na", reason', 'deputy = "李娜", reason',
        "people.zhang_wei.absences.0.deputy", 'there is no person "李娜". Did you mean "li_na"?',
    ),
    "a manager by CRM id instead of slug": (
        'manager = "zhang_wei"', 'manager = "00123"',
        "people.li_na.manager", 'there is no person "00123". Did you mean "zhang_wei"?',
    ),
    "one CRM id at two people": (
        'crm_ids = ["li.na"]', 'crm_ids = ["li.na", "00123"]',
        "people.li_na.crm_ids", '"00123" is a CRM id of zhang_wei too (people.zhang_wei.crm_ids)',
    ),
    "a CRM id that is another person": (
        'crm_ids = ["li.na"]', 'crm_ids = ["wang_fang"]',
        "people.li_na.crm_ids", '"wang_fang" is another person ([people.wang_fang])',
    ),
    "a CRM id that is a role": (
        'crm_ids = ["li.na"]', 'crm_ids = ["bu_manager"]', "people.li_na.crm_ids",
        '"bu_manager" is a role too ([roles.bu_manager]); give the role another name',
    ),
    "a person named as a role": (
        "[people.zhang_wei]", "[roles.li_na]\nfallback = \"general_manager\"\n[people.zhang_wei]",
        "people.li_na", "li_na is a role too ([roles.li_na]); give one of them another name",
    ),
    "two absences on one day": (
        'reason = "年假" }]', 'reason = "年假" }, { from = 2026-10-07 }]', "people.zhang_wei.absences.1",
        "overlaps absences.0, which is from 2026-10-01 to 2026-10-07",
    ),
    "two absences without end": (
        "absences = [{ from", "absences = [{ from = 2027-01-01 }, { from = 2028-01-01 }, { from",
        "people.zhang_wei.absences.1", "overlaps absences.0, which is from 2027-01-01 to until further notice",
    ),
    "a unit's role held in no unit": (
        'name = "刘洋"\nroles = ["general_manager"]', 'name = "刘洋"\nroles = ["general_manager", "bu_manager"]',
        "people.liu_yang.roles.1",
        "bu_manager is held in units, and none is named: give liu_yang its `units`, or write "
        '{ role = "bu_manager", units = ["…"] }',
    ),
    "a company's role in a unit": (
        'roles = ["general_manager"]', 'roles = [{ role = "general_manager", units = ["packaging"] }]',
        "people.liu_yang.roles.0.units", "general_manager is a role of the whole company and takes no units",
    ),
    "a role that nobody holds in some unit": (
        'fallback = "general_manager"', "",
        "roles.bu_manager",
        'nobody holds this role in default: give it to somebody, "*" in the units of a person being '
        "all of them, or set roles.bu_manager.fallback",
    ),
    "a role that nobody holds at all": (
        'roles = ["general_manager"]', "",
        "roles.general_manager", 'nobody holds this role: give it to somebody, "*" in the units of a person being all '
        "of them, or set roles.general_manager.fallback",
    ),
    "a role held only after its holder left": (
        'roles = ["general_manager"]', 'left = 2026-01-01\nroles = [{ role = "general_manager", from = 2026-01-02 }]',
        "roles.general_manager", 'nobody holds this role: give it to somebody, "*" in the units of a person being all '
        "of them, or set roles.general_manager.fallback",
    ),
    "fallbacks in a circle": (
        'scope = "company"', 'scope = "company"\nfallback = "bu_manager"',
        "roles.bu_manager.fallback", "the fallbacks go round in a circle: bu_manager → general_manager → bu_manager",
    ),
    "managers in a circle": (
        'name = "刘洋"', 'name = "刘洋"\nmanager = "li_na"',
        "people.li_na.manager", "the managers go round in a circle: li_na → zhang_wei → liu_yang → li_na",
    ),
    "somebody who manages oneself": (
        'name = "刘洋"', 'name = "刘洋"\nmanager = "liu_yang"',
        "people.liu_yang.manager", "the managers go round in a circle: liu_yang → liu_yang",
    ),
    "standing deputies in a circle": (
        'language = "en"', 'deputy = "zhang_wei"',
        "people.wang_fang.deputy", "the deputies go round in a circle: wang_fang → zhang_wei → wang_fang",
    ),
    "deputies of absences in a circle on some days": (
        'name = "李娜"', 'name = "李娜"\nabsences = [{ from = 2026-09-20, until = 2026-10-02, deputy = "zhang_wei" }]',
        "people.zhang_wei.absences.0",
        "the deputies go round in a circle from 2026-10-01 to 2026-10-02: li_na → zhang_wei → li_na",
    ),
    "a standing deputy and one of an absence in a circle": (
        'name = "李娜"', 'name = "李娜"\ndeputy = "zhang_wei"\nabsences = [{ from = 2026-10-07 }]',
        "people.li_na.absences.0", "the deputies go round in a circle on 2026-10-07: li_na → zhang_wei → li_na",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_a_fault_is_told_with_its_path_and_the_nearest_right_name(what: str) -> None:
    right, wrong, path, message = REFUSED[what]
    assert COMPANY.count(right) == 1, what
    _, faults = checked(COMPANY.replace(right, wrong))
    assert (path, message) in faults


def test_what_is_right_becomes_canonical_json() -> None:
    found, faults = checked(COMPANY)
    assert faults == []
    assert found["roles"]["general_manager"] == {
        "title": {"zh": "总经理", "en": "总经理"}, "scope": "company", "fallback": None,
    }  # fmt: skip
    assert found["people"]["zhang_wei"]["absences"] == [
        {"from": "2026-10-01", "until": "2026-10-07", "deputy": "li_na", "reason": "年假"}
    ]
    assert found["people"]["wang_fang"]["roles"] == [
        {"role": "bu_manager", "units": ["packaging"], "from": None, "until": None},
        {"role": "bu_manager", "units": ["new_energy"], "from": "2027-01-01", "until": "2027-03-31"},
    ]
    assert found["people"]["liu_yang"]["roles"][0]["units"] == ["*"]


@pytest.mark.parametrize(
    "text",
    ["", "[people.known_by_id]\nname = '老王'\ncrm_ids = 'wang'", "[people.a]\nname='A'\nabsences = []\nchannels = []"],
    ids=["nothing at all", "somebody without a channel", "empty lists"],
)
def test_little_is_needed(text: str) -> None:
    assert checked(text)[1] == []


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("people = 3", "people", "must be a table: [people.<name>]"),
        ("[people]\nli_na = 3", "people.li_na", "must be a table: [people.li_na]"),
        ("roles = []", "roles", "must be a table: [roles.<name>]"),
    ],
)
def test_what_is_no_table_is_refused(text: str, path: str, message: str) -> None:
    assert checked(text)[1] == [(path, message)]


def test_every_fault_is_told_at_once() -> None:
    text = (
        COMPANY.replace('"mail"]', '"mial"]')
        .replace('language = "en"', 'language = "fr"')
        .replace("name = ", "nam = ", 1)
    )
    assert {path for path, _ in checked(text)[1]} == {
        "people.zhang_wei", "people.zhang_wei.name", "people.zhang_wei.channels", "people.wang_fang.language",
    }  # fmt: skip
    assert {path for path, _ in checked(text.replace("nam = ", "name = "))[1]} == {
        "people.zhang_wei.channels", "people.wang_fang.language",
    }  # fmt: skip


def test_the_key_a_fault_is_about_is_told_to_the_one_who_names_places() -> None:
    asked: list[tuple[str, str]] = []

    def place(path: str, key: str = "") -> str:
        asked.append((path, key))
        return path

    check_people({"people": {"a": {"name": "A", "nam": "B"}}}, Faults(), place, units=UNITS, channels=())
    assert asked == [("people.a", "people.a.nam")]


@pytest.mark.parametrize("name", ["bu_manager", "general_manager", "zhang_wei", "00123", "manager_of:li.na"])
def test_a_name_that_can_be_asked_is_accepted(name: str) -> None:
    assert check_who(name, checked(COMPANY)[0]) is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("sales_director", 'there is no role, person or CRM id "sales_director".'),
        ("bu_manger", 'there is no role, person or CRM id "bu_manger". Did you mean "bu_manager"?'),
        ("zhang_wi", 'there is no role, person or CRM id "zhang_wi". Did you mean "zhang_wei"?'),
        ("manager_of:bu_manager", 'there is no person or CRM id "bu_manager".'),
        ("manager_of:liu_yang", "liu_yang has no `manager`, who is asked here"),
    ],
)
def test_a_name_that_nobody_answers_to_is_told(name: str, why: str) -> None:
    assert check_who(name, checked(COMPANY)[0]) == why


def test_names_of_tables_with_faults_are_known_all_the_same() -> None:
    found, faults = checked(COMPANY.replace('name = "李娜"', ""))
    assert faults
    assert check_who("li_na", found) is None
    assert check_who("manager_of:li_na", found) is None


@given(companies())
def test_whatever_name_is_accepted_is_resolved_as_something_known(company: dict[str, Any]) -> None:
    directory = Directory.from_json(company["people"], company["roles"])
    for name in ("r0", "r3", "p0", "p5", "crm-p0", "manager_of:p0", "x"):
        if check_who(name, company) is None:
            assert directory.resolve(name, "a", FIRST, ()).asked.startswith(("role:", "person:", "manager_of:"))
