"""Volvo IT tickets of 2012: incidents and closed problems; the first row opens a complaint, later ones are its steps.

The two files name the support team in different columns. A row that changes neither state nor team is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, pairwise
from typing import Any

from deploy.replay.book import DataSet, Kept, Labels, Outcome, Told, by_case, filled, text
from deploy.replay.rows import Files, RefusedRow, Row, days_between, instant

FILES = {"incidents.csv.gz": ("VI", "org:group"), "closed_problems.csv.gz": ("VP", "organization involved")}
SEVERITIES = {"Major": "critical", "High": "high", "Medium": "medium", "Low": "low"}
DONE = ("Resolved", "Closed")
STATE = "lifecycle:transition"


def outcomes(files: Files) -> Iterator[Outcome]:
    """Yield the rows ticket by ticket, file by file."""
    for name, (prefix, team) in FILES.items():
        for log in by_case(files.rows(name), lambda row: row["case:concept:name"]):
            yield from ticket(log, prefix, team)


def ticket(log: Iterable[Row], prefix: str, team: str) -> Iterator[Outcome]:
    """Yield the rows of one ticket."""
    is_done = False
    for before, row in pairwise(chain([None], log)):
        assert row is not None
        try:
            told = _opened(row, prefix, team) if before is None else _step(before, row, prefix, team, is_done=is_done)
        except RefusedRow as refused:
            yield refused
        else:
            yield Kept((told,))
        is_done = row[STATE] in DONE or (is_done and row[STATE] not in ("In Progress", "Assigned"))


def _opened(row: Row, prefix: str, team: str) -> Told:
    at = instant(row["time:timestamp"])
    data = {
        "id": f"{prefix}-{row['case:concept:name']}",
        "product": row["product"],
        "category": "incident" if prefix == "VI" else "problem",
        "severity": SEVERITIES.get(row["impact"]),
        "opened_at": text(at),
        "department": row[team],
        "region": row["organization country"],
        "status": row[STATE].casefold(),
    }
    return Told("complaint.opened", at, filled(data))


def _step(before: Row, row: Row, prefix: str, team: str, *, is_done: bool) -> Told:
    at, state = instant(row["time:timestamp"]), row[STATE]
    data: dict[str, Any] = {"id": f"{prefix}-{row['case:concept:name']}"}
    if row[team] != before[team] and row[team]:
        data["department"] = row[team]
    if row["impact"] != before["impact"] and row["impact"] in SEVERITIES:
        data["severity"] = SEVERITIES[row["impact"]]
    if state != before[STATE]:
        data["status"] = state.casefold()
        if "User" in state or "Customer" in state:
            data["waiting_for"] = "customer"
        elif "User" in before[STATE] or "Customer" in before[STATE]:
            data["waiting_for"] = None
        if state == "Resolved":
            return Told("complaint.resolved", at, {**data, "resolved_at": text(at)})
        if state == "Closed":
            return Told("complaint.closed", at, data)
        if is_done and state in ("In Progress", "Assigned"):
            return Told("complaint.reopened", at, data)
    if len(data) == 1:
        raise RefusedRow("changes neither state nor team nor impact")
    return Told("complaint.updated", at, data)


def labels(files: Files) -> Labels:
    """Return how many days passed between the first row and the last."""
    days: dict[str, float] = {}
    for name, (prefix, _) in FILES.items():
        for log in by_case(files.rows(name), lambda row: row["case:concept:name"]):
            found = days_between(row["time:timestamp"] for row in log)
            if found is not None:
                days[f"{prefix}-{log[0]['case:concept:name']}"] = found
    return {"days_open": days}


SET = DataSet("sla_bpic2013_volvo", "service", outcomes, "no label; compared with the days a ticket was open", labels)
