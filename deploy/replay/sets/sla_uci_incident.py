"""UCI incident log: the first row of an incident opens a complaint, each later row is one step of its life-cycle.

`resolved_at`, `closed_at`, `closed_code` and `resolved_by` stand on every row of an incident and would tell the end of
the story at its beginning; they are not read. Nor is `made_sla`, which is the label. Rows that change nothing we carry
(notes, assignments to persons) are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deploy.demo.sets.uci_incident import CHANNELS, SEVERITIES
from deploy.replay.book import DataSet, Kept, Labels, Outcome, Told, by_case, filled, text
from deploy.replay.rows import Files, RefusedRow, Row, instant

FILE = "incident_event_log.csv.gz"
FORM = "%d/%m/%Y %H:%M"
WAITING = "Awaiting User Info"
NOTHING = "changes nothing that an event carries"


def outcomes(files: Files) -> Iterator[Outcome]:
    """Yield the rows incident by incident."""
    for log in by_case(files.rows(FILE), lambda row: row["number"]):
        before: Row | None = None
        for row in log:
            try:
                yield Kept((opened(row),) if before is None else (step(before, row),))
            except RefusedRow as refused:
                yield refused
                if before is None:
                    continue  # the incident opens with its first row that can be read
            before = row


def opened(row: Row) -> Told:
    """Return the complaint that an incident's first row opens."""
    at = instant(row["opened_at"], FORM, what="opened_at")
    data = {
        "id": row["number"],
        "opened_at": text(at),
        "category": _known(row["category"]),
        "severity": SEVERITIES.get(row["priority"][:1]),
        "channel": CHANNELS.get(row["contact_type"]),
        "department": _known(row["assignment_group"]),
        "status": "new",
        "extra": filled({"subcategory": _known(row["subcategory"]), "symptom": _known(row["u_symptom"])}),
    }
    return Told("complaint.opened", at, filled(data))


def step(before: Row, row: Row) -> Told:
    """Return what a later row changed."""
    at = max(instant(row["sys_updated_at"], FORM, what="sys_updated_at"), instant(row["opened_at"], FORM))
    data: dict[str, Any] = {"id": row["number"]}
    if row["assignment_group"] not in (before["assignment_group"], "?"):
        data["department"] = row["assignment_group"]
    if row["priority"] != before["priority"] and row["priority"][:1] in SEVERITIES:
        data["severity"] = SEVERITIES[row["priority"][:1]]
    if int(row["reopen_count"]) > int(before["reopen_count"]):
        return Told("complaint.reopened", at, {**data, "status": "reopened"})
    state = row["incident_state"]
    if state != before["incident_state"]:
        if state == "Resolved":
            return Told("complaint.resolved", at, {**data, "status": "resolved", "resolved_at": text(at)})
        if state == "Closed":
            return Told("complaint.closed", at, {**data, "status": "closed"})
        data["status"] = "in progress"
        if WAITING in (state, before["incident_state"]):
            data["waiting_for"] = "customer" if state == WAITING else None
    if len(data) == 1:
        raise RefusedRow(NOTHING)
    return Told("complaint.updated", at, data)


def labels(files: Files) -> Labels:
    """Return which incidents missed their target, by the last row."""
    return {"missed_sla": {row["number"]: float(row["made_sla"] != "True") for row in files.rows(FILE)}}


def _known(cell: str) -> str | None:
    return None if cell == "?" else cell


SET = DataSet(
    "sla_uci_incident", "service", outcomes, "missed_sla is the service desk's own flag at the last row", labels
)
