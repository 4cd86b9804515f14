"""Asks the running server what was decided, through the API alone, as any client could."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from deploy.demo.client import Client

Found = dict[str, Any]
GRADES = "ABCDEF"


def every(api: Client, path: str, **query: Any) -> Iterator[Found]:
    """Yield every item of a list, page by page."""
    cursor = None
    while True:
        page = api.get(path, limit=200, **query, **({"cursor": cursor} if cursor else {}))
        yield from page["items"]
        cursor = page.get("next")
        if not cursor:
            return


def every_unit(api: Client) -> list[Found]:
    """Return the business units in the order of plugins.toml."""
    units: list[Found] = api.get("/api/v1/units")["items"]
    return units


def latest_decisions(api: Client, decision: str) -> dict[tuple[str, str], Found]:
    """Return the newest decision of a kind for every record, by source and record id."""
    latest: dict[tuple[str, str], Found] = {}
    for item in every(api, "/api/v1/decisions", decision=decision):
        latest.setdefault((item["source"], item["record_id"]), item)  # the list is newest first
    return latest


def grades_by_unit(graded: dict[tuple[str, str], Found]) -> dict[str, Counter[str]]:
    """Count the grades in every unit."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for item in graded.values():
        counts[item["unit"]][item["outcome"]] += 1
    return counts


def outcomes_by_grade(api: Client, unit: str) -> dict[str, Counter[str]]:
    """Count how leads really ended, by the grade they had been given before that was known."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for item in latest_decisions(api, "lead_closed").values():
        grade = item["inputs"].get("grade")
        if item["unit"] == unit and grade:
            counts[grade][item["outcome"]] += 1
    return counts


def skipped(api: Client) -> list[Found]:
    """Return the events that were kept and started nothing, each with its reason."""
    return list(every(api, "/api/v1/events", status="skipped"))


def cases_by_kind(api: Client) -> Counter[tuple[str, str]]:
    """Count the cases by kind and status."""
    return Counter((case["kind"], case["status"]) for case in every(api, "/api/v1/cases"))


def suggestions(api: Client, record_ids: list[str]) -> list[Found]:
    """Return what was suggested when these complaints opened."""
    found = latest_decisions(api, "similar_cases")
    return [found["crm", name] for name in record_ids if ("crm", name) in found]
