"""Which circles of deputies and which uncovered absences are found: by example, and against a plain search."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given

from core.host.faults import Faults
from core.host.people_sections import check_people
from tests.people.world import FIRST, checked, companies

TWO = """
[people.a]
name = "A"
deputy = "b"
absences = [{ from = 2026-10-01, until = 2026-10-07 }]
[people.b]
name = "B"
"""


def test_two_may_stand_in_for_each_other_while_never_both_are_absent() -> None:
    assert checked(TWO + 'absences = [{ from = 2026-10-08, until = 2026-10-09, deputy = "a" }]')[1] == []


def test_a_circle_of_standing_deputies_is_told_once_also_when_all_of_them_are_absent() -> None:
    assert checked(TWO + 'deputy = "a"\nabsences = [{ from = 2026-10-01, until = 2026-10-07 }]')[1] == [
        ("people.a.deputy", "the deputies go round in a circle: a → b → a")
    ]


def test_a_circle_is_closed_by_the_absence_that_begins_last_whichever_deputy_is_a_standing_one() -> None:
    message = "the deputies go round in a circle from 2026-10-02 to 2026-10-07: a → b → a"
    found = checked(TWO + 'absences = [{ from = 2026-10-02, deputy = "a" }]')[1]
    assert found == [("people.b.absences.0", message)]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("left = 2026-09-30", "B (b) left after 2026-09-30"),
        ("joined = 2026-10-08", "B (b) joins on 2026-10-08"),
        ("absences = [{ from = 2026-09-01 }]", "B (b) is absent until further notice"),
    ],
)
def test_an_absence_on_no_day_of_which_anybody_stands_in_is_refused(more: str, why: str) -> None:
    message = f"nobody stands in from 2026-10-01 to 2026-10-07: A (a) is absent until 2026-10-07; deputy: B (b); {why}"
    assert checked(TWO + more)[1] == [("people.a.deputy", message)]
    own = TWO.replace('deputy = "b"', "").replace("10-07 }", '10-07, deputy = "b" }')
    assert checked(own + more)[1] == [("people.a.absences.0.deputy", message)]


@pytest.mark.parametrize(
    "more",
    [
        "left = 2026-10-01",
        "joined = 2026-10-07",
        "absences = [{ from = 2026-10-02, until = 2026-10-31 }]",
        "absences = [{ from = 2026-09-01, until = 2026-10-06 }]",
        "left = 2026-01-01\ndeputy = 'c'\n[people.c]\nname = 'C'",
    ],
)
def test_an_absence_that_is_covered_on_some_day_is_not_refused(more: str) -> None:
    assert checked(TWO + more)[1] == []


# -- laws, each against a slow check that shares no code with the checker


def _reaches_itself(edges: dict[str, list[str]]) -> bool:
    """Whether any node comes back to itself: the closure, by Warshall's algorithm."""
    reach = {(one, other) for one, others in edges.items() for other in others}
    for middle in edges:
        reach |= {(one, other) for one in edges for other in edges if {(one, middle), (middle, other)} <= reach}
    return any((one, one) in reach for one in edges)


def _absence_of(item: dict[str, Any], day: str) -> dict[str, Any] | None:
    return next((found for found in item["absences"] if found["from"] <= day <= found["until"]), None)


def _has_circle(company: dict[str, Any]) -> bool:
    people, roles = company["people"], company["roles"]
    graphs: list[dict[str, str | None]] = [
        {slug: item["manager"] for slug, item in people.items()},
        {slug: item["deputy"] for slug, item in people.items()},
        {slug: item["fallback"] for slug, item in roles.items()},
    ]
    for offset in range(14):
        day = str(FIRST + timedelta(days=offset))
        absent = {slug: found for slug, item in people.items() if (found := _absence_of(item, day)) is not None}
        graphs.append({slug: found["deputy"] or people[slug]["deputy"] for slug, found in absent.items()})
    return any(
        _reaches_itself({one: [other] if other in graph else [] for one, other in graph.items()}) for graph in graphs
    )


def _document(company: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """Return a company as plugins.toml would say it, with these keys of its people."""
    return {
        "people": {
            slug: {
                key: [{name: value for name, value in one.items() if value} for one in item[key]]
                if key == "absences"
                else item[key]
                for key in keys
                if item[key] is not None
            }
            for slug, item in company["people"].items()
        },
        "roles": {
            slug: {"fallback": item["fallback"]} if item["fallback"] else {} for slug, item in company["roles"].items()
        },
    }


def _faults(document: dict[str, Any]) -> list[str]:
    faults = Faults()
    check_people(document, faults, lambda path, key="": path, units=("a", "b"), channels=())
    return [item["message"] for item in faults.as_errors()]


@given(companies(most=3))
def test_a_circle_is_refused_exactly_where_there_is_one(company: dict[str, Any]) -> None:
    faults = _faults(_document(company, ("name", "manager", "deputy", "absences")))
    assert any("go round in a circle" in message for message in faults) is _has_circle(company)


def _stand_in(people: dict[str, Any], slug: str, day: str, seen: frozenset[str]) -> bool:
    """Whether the person or anybody behind is there, by plain recursion over every way."""
    item, absence = people[slug], _absence_of(people[slug], day)
    here = (item["joined"] or "") <= day <= (item["left"] or "9999")
    if here and absence is None:
        return True
    named = {absence["deputy"] if absence else None, item["deputy"]} - {None} - seen
    return any(_stand_in(people, str(deputy), day, seen | {slug, str(deputy)}) for deputy in named)


def _days_absent(item: dict[str, Any], absence: dict[str, Any]) -> list[str]:
    day, last = date.fromisoformat(absence["from"]), date.fromisoformat(absence["until"])
    days = [str(day + timedelta(days=offset)) for offset in range((last - day).days + 1)]
    return [day for day in days if (item["joined"] or "") <= day <= (item["left"] or "9999")]


@given(companies(most=4))
def test_an_uncovered_absence_is_refused_exactly_where_there_is_one(company: dict[str, Any]) -> None:
    people = company["people"]
    company["roles"].clear()
    for item in people.values():
        item["manager"] = None
        if item["joined"] and item["left"]:
            item["joined"], item["left"] = sorted((item["joined"], item["left"]))
    if _has_circle(company):
        return
    expected = 0
    for slug, item in people.items():
        for absence in item["absences"]:
            days = _days_absent(item, absence)
            if days and (absence["deputy"] or item["deputy"]):
                expected += not any(_stand_in(people, slug, day, frozenset({slug})) for day in days)
    faults = _faults(_document(company, ("name", "deputy", "absences", "joined", "left")))
    assert sum("nobody stands in" in message for message in faults) == expected
