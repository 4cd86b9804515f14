"""People for tests: a small company as plugins.toml would say it, and generators of random ones."""

from __future__ import annotations

import tomllib
from datetime import UTC, date, datetime
from typing import Any

from hypothesis import strategies as st

from core.host.faults import Faults
from core.host.people_sections import check_people
from core.host.plugin_schema import plain
from core.model.people import People
from core.people.directory import Directory

UNITS = ("new_energy", "packaging", "default")
CHANNELS = ("mail", "wecom_sales")
NOON = datetime(2026, 10, 3, 4, 0, tzinfo=UTC)  # noon in Shanghai

COMPANY = """
[roles.bu_manager]
title = { zh = "事业部经理", en = "BU manager" }
fallback = "general_manager"
[roles.general_manager]
title = "总经理"
scope = "company"

[people.zhang_wei]
name = "张伟"
crm_ids = ["zhang.wei", "00123"]
email = "zhang.wei@example.com"
phone = "+86 138 0000 0000"
wecom = "ZhangWei"
units = ["new_energy"]
roles = ["bu_manager"]
grids = ["east"]
manager = "liu_yang"
channels = ["wecom_sales", "mail"]
joined = 2024-03-01
deputy = "wang_fang"
absences = [{ from = 2026-10-01, until = 2026-10-07, deputy = "li_na", reason = "年假" }]

[people.li_na]
name = "李娜"
crm_ids = ["li.na"]
units = ["new_energy"]
grids = ["east", "north"]
manager = "zhang_wei"

[people.wang_fang]
name = "王芳"
language = "en"
units = ["packaging"]
roles = ["bu_manager", { role = "bu_manager", units = ["new_energy"], from = 2027-01-01, until = 2027-03-31 }]
manager = "liu_yang"
left = 2026-12-31

[people.liu_yang]
name = "刘洋"
roles = ["general_manager"]
"""


def checked(
    text: str, units: tuple[str, ...] = UNITS, channels: tuple[str, ...] = CHANNELS
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return what the checker makes of plugins.toml's text, and its faults as (path, message)."""
    faults = Faults()
    found = check_people(plain(tomllib.loads(text)), faults, lambda path, key="": path, units=units, channels=channels)
    return found, [(item["path"], item["message"]) for item in faults.as_errors()]


def directory(text: str = COMPANY) -> Directory:
    """Return the directory of a text without faults."""
    found, faults = checked(text)
    assert faults == []
    return Directory.from_json(found["people"], found["roles"])


def people(text: str = COMPANY, *, now: datetime = NOON, unit: str = "new_energy") -> People:
    """Return the view of a text's directory."""
    return directory(text).at(now, unit, "Asia/Shanghai")


# -- random companies, as canonical JSON; nothing in them needs to make sense

FIRST = date(2026, 1, 1)
DAYS = st.dates(FIRST, date(2026, 1, 12))


@st.composite
def spans(draw: st.DrawFn) -> tuple[date, date]:
    first, last = sorted((draw(DAYS), draw(DAYS)))
    return first, last


@st.composite
def companies(draw: st.DrawFn, most: int = 6) -> dict[str, Any]:
    """Draw at most so many people with circles, leavers and absences in any mixture; roles with fallbacks as well."""
    names = [f"p{number}" for number in range(draw(st.integers(1, most)))]
    someone = st.none() | st.sampled_from(names)
    role_names = [f"r{number}" for number in range(draw(st.integers(1, 4)))]
    return {
        "people": {
            name: {
                "name": name.upper(), "crm_ids": [f"crm-{name}"], "email": None, "phone": None, "wecom": None,
                "language": "zh", "units": draw(st.sampled_from([["a"], ["b"], ["a", "b"], ["*"], []])),
                "grids": [], "channels": [], "manager": draw(someone), "deputy": draw(someone),
                "joined": draw(st.none() | DAYS.map(str)), "left": draw(st.none() | DAYS.map(str)),
                "absences": draw(absences(someone)),
                "roles": [
                    {"role": role, "units": draw(st.sampled_from([["a"], ["b"], ["*"]])), "from": None,
                     "until": draw(st.none() | DAYS.map(str))}
                    for role in draw(st.lists(st.sampled_from(role_names), max_size=2))
                ],
            }
            for name in names
        },
        "roles": {
            name: {
                "title": {}, "scope": draw(st.sampled_from(["unit", "company"])),
                "fallback": draw(st.none() | st.sampled_from(role_names)),
            }
            for name in role_names
        },
    }  # fmt: skip


@st.composite
def absences(draw: st.DrawFn, someone: st.SearchStrategy[str | None]) -> list[dict[str, Any]]:
    """Draw absences that do not overlap."""
    found: list[dict[str, Any]] = []
    for first, last in sorted(draw(st.lists(spans(), max_size=2))):
        if not found or first.isoformat() > found[-1]["until"]:
            found.append({"from": str(first), "until": str(last), "deputy": draw(someone), "reason": None})
    return found
