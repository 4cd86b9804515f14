"""Two small logs with numbers for activities: a help desk's tickets, and the work on loan applications.

A help-desk case is a complaint that is resolved with its last row; a loan application is an order that is fulfilled
with its last row. What an activity's number means is not known, so it is told as the status.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from deploy.replay.book import DataSet, Kept, Labels, Outcome, Told, by_case, text
from deploy.replay.rows import Files, RefusedRow, Row, days_between, instant

FILES = {
    "helpdesk.csv.gz": ("HD", "complaint.opened", "complaint.updated", "complaint.resolved"),
    "bpi_12_w.csv.gz": ("LW", "order.placed", "order.updated", "order.fulfilled"),
}


def outcomes(files: Files) -> Iterator[Outcome]:
    """Yield the rows case by case, file by file."""
    for name, (prefix, *types) in FILES.items():
        for log in by_case(files.rows(name), lambda row: row["CaseID"]):
            yield from case(log, prefix, types)


def case(log: Sequence[Row], prefix: str, types: Sequence[str]) -> Iterator[Outcome]:
    """Yield the rows of one case."""
    for place, row in enumerate(log):
        is_last = place == len(log) - 1
        if place and not is_last and row["ActivityID"] == log[place - 1]["ActivityID"]:
            yield RefusedRow("repeats the activity before")
            continue
        try:
            at = instant(row["CompleteTimestamp"])
        except RefusedRow as refused:
            yield refused
            continue
        data: dict[str, Any] = {"id": f"{prefix}-{row['CaseID']}", "status": f"activity {row['ActivityID']}"}
        kind = types[0] if place == 0 else types[2] if is_last else types[1]
        if kind == "complaint.opened":
            data["opened_at"] = text(at)
        elif kind == "complaint.resolved":
            data["resolved_at"] = text(at)
        yield Kept((Told(kind, at, data),))


def labels(files: Files) -> Labels:
    """Return how many days passed between the first row and the last."""
    days: dict[str, float] = {}
    for name, (prefix, *_) in FILES.items():
        for log in by_case(files.rows(name), lambda row: row["CaseID"]):
            found = days_between(row["CompleteTimestamp"] for row in log)
            if found is not None:
                days[f"{prefix}-{log[0]['CaseID']}"] = found
    return {"days_open": days}


SET = DataSet("sla_eventlogs_small", "service", outcomes, "activities are numbers without a meaning", labels)
