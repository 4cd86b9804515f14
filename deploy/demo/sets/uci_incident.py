"""Maps the UCI incident log to complaints: each row of an incident's audit trail is one step of its life-cycle.

`resolved_at`, `closed_at`, `closed_code` and `resolved_by` are repeated on every row of an incident and would tell
the end of the story at its beginning; they are ignored, and the time of the row that says Resolved or Closed is
taken. Callers, operators and places are left out; groups and categories are numbers in the source already.
"""

from __future__ import annotations

import csv
import gzip
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

SET = "uci_incident"
FILE = Path("sla_uci_incident", "open", "incident_event_log.csv.gz")
WANTED = 40
WINDOW = timedelta(days=21)
CHANNELS = {"Phone": "phone", "Email": "email", "Self service": "portal", "IVR": "phone", "Direct opening": "desk"}
SEVERITIES = {"1": "critical", "2": "high", "3": "medium", "4": "low"}
Step = dict[str, Any]


def rows(directory: Path, seed: int) -> list[dict[str, Any]]:
    """Return the sample: seeded incidents opened in one window, reopened ones among them, by time of opening."""
    incidents: dict[str, list[dict[str, str]]] = defaultdict(list)
    with gzip.open(directory / FILE, "rt", encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            incidents[row["number"]].append(row)
    closed = {key: log for key, log in incidents.items() if log[-1]["incident_state"] == "Closed" and len(log) <= 12}
    newest = max(_instant(log[0]["opened_at"]) for log in closed.values())
    window = sorted(key for key, log in closed.items() if _instant(log[0]["opened_at"]) > newest - WINDOW)
    reopened = [key for key in window if int(closed[key][-1]["reopen_count"]) > 0]
    draw = random.Random(seed)
    picked = set(draw.sample(reopened, min(5, len(reopened))))
    picked |= set(draw.sample([key for key in window if key not in picked], WANTED - len(picked)))
    records = [_record(key, closed[key]) for key in picked]
    return sorted(records, key=lambda record: (record["events"][0]["at"], record["id"]))


def _record(number: str, log: list[dict[str, str]]) -> dict[str, Any]:
    steps: list[Step] = [_opened(number, log[0])]
    previous = log[0]
    for row in log[1:]:
        step = _step(number, previous, row)
        if step is not None:
            steps.append(step)
        previous = row
    return {"set": SET, "kind": "complaint", "id": number, "events": sorted(steps, key=lambda step: str(step["at"]))}


def _opened(number: str, row: dict[str, str]) -> Step:
    data: dict[str, Any] = {
        "id": number,
        "opened_at": _text(_instant(row["opened_at"])),
        "category": row["category"],
        "severity": SEVERITIES.get(row["priority"][:1]),
        "channel": CHANNELS.get(row["contact_type"]),
        "department": row["assignment_group"],
        "status": "new",
        "extra": {
            "set": SET,
            "mapped": "priority->severity, contact_type->channel, assignment_group->department",
            "subcategory": row["subcategory"],
            "symptom": row["u_symptom"],
        },
    }
    kept = {key: value for key, value in data.items() if value not in (None, "?")}
    kept["extra"] = {key: value for key, value in data["extra"].items() if value != "?"}
    return {"type": "complaint.opened", "at": data["opened_at"], "data": kept}


def _step(number: str, before: dict[str, str], row: dict[str, str]) -> Step | None:
    """Say what a row of the audit trail changed; rows that change nothing we carry are no event."""
    state, at = row["incident_state"], _text(_instant(row["sys_updated_at"]))
    data: dict[str, Any] = {"id": number}
    if row["assignment_group"] not in (before["assignment_group"], "?"):
        data["department"] = row["assignment_group"]
    if row["priority"] != before["priority"]:
        data["severity"] = SEVERITIES.get(row["priority"][:1], "medium")
    if int(row["reopen_count"]) > int(before["reopen_count"]):
        return {"type": "complaint.reopened", "at": at, "data": {**data, "status": "reopened"}}
    if state != before["incident_state"]:
        if state == "Resolved":
            return {"type": "complaint.resolved", "at": at, "data": {**data, "status": "resolved", "resolved_at": at}}
        if state == "Closed":
            return {"type": "complaint.closed", "at": at, "data": {**data, "status": "closed"}}
        data["status"] = "in_progress"
        if state == "Awaiting User Info":
            data["waiting_for"] = "customer"
        elif before["incident_state"] == "Awaiting User Info":
            data["waiting_for"] = None
    return {"type": "complaint.updated", "at": at, "data": data} if len(data) > 1 else None


def _instant(text: str) -> datetime:
    return datetime.strptime(text, "%d/%m/%Y %H:%M").replace(tzinfo=UTC)


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
