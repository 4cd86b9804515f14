"""The demo's facts: the shipped records as one stream of events in time, moved so that the newest is now."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parent / "data"
WRITTEN = "written_for_demo"
SOURCES: Mapping[str, str] = {
    WRITTEN: "crm",
    "uci_online_retail": "erp",
    "uci_bank_marketing": "hubspot",
    "banking77": "hubspot",
    "uci_incident": "servicedesk",
}
"""Which of the four CRMs sends which set."""

SPREAD = timedelta(days=2)
_INSTANT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")


@dataclass(frozen=True, slots=True)
class Fact:
    """One event of one record, as the CRM that owns the record will tell it."""

    source: str
    set: str
    kind: str
    record_id: str
    type: str
    at: datetime
    data: Mapping[str, Any]
    index: int  # its place in the record's own history
    act: int = 1  # later acts are told one after the other, each when the one before was dealt with: see acts.py

    @property
    def id(self) -> str:
        """The id the sender gives the event, the same in every run and on every repeat."""
        return hashlib.sha256(f"{self.set}/{self.record_id}/{self.index}/{self.type}".encode()).hexdigest()[:24]


def read_rows(directory: Path = DATA) -> list[dict[str, Any]]:
    """Return every shipped record, file by file in the order of their names."""
    rows: list[dict[str, Any]] = []
    for path in sorted(directory.glob("*.jsonl")):
        with path.open(encoding="utf-8") as stream:
            rows.extend(json.loads(line) for line in stream)
    return rows


def read_facts(now: datetime, directory: Path = DATA) -> list[Fact]:
    """Return every event of the sample in the order of its time, the newest of each set at `now`."""
    by_set: dict[str, list[dict[str, Any]]] = {}
    for row in read_rows(directory):
        by_set.setdefault(row["set"], []).append(row)
    facts = [fact for name, rows in sorted(by_set.items()) for fact in _facts_of(name, rows, now)]
    return sorted(facts, key=lambda fact: (fact.act, fact.at, fact.source, fact.record_id, fact.index))


def _facts_of(name: str, rows: list[dict[str, Any]], now: datetime) -> Iterator[Fact]:
    times = [_parse(event["at"]) for row in rows for event in row["events"] if "at" in event]
    span = now - max(times) if times else timedelta(0)
    for place, row in enumerate(rows):
        for index, event in enumerate(row["events"]):
            # A set without times is spread evenly over the last two days, in the order of its file.
            untimed = now - SPREAD * (len(rows) - place) / (len(rows) + 1)
            yield Fact(
                source=SOURCES[name],
                set=name,
                kind=row["kind"],
                record_id=row["id"],
                type=event["type"],
                at=_parse(event["at"]) + span if "at" in event else untimed,
                data=_moved(event["data"], span),
                index=index,
                act=row.get("act", 1),
            )


def _moved(value: Any, span: timedelta) -> Any:
    """Move every instant inside a payload by the same span as the event itself."""
    if isinstance(value, Mapping):
        return {key: _moved(item, span) for key, item in value.items()}
    if isinstance(value, list):
        return [_moved(item, span) for item in value]
    if isinstance(value, str) and _INSTANT.match(value):
        return text_of(_parse(value) + span)
    return value


def _parse(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def text_of(at: datetime) -> str:
    """Write an instant as RFC 3339 in UTC, to the millisecond, as a CRM would."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def history(facts: Iterable[Fact], record_id: str) -> list[Fact]:
    """Return the facts of one record in the order of its own history."""
    return sorted((fact for fact in facts if fact.record_id == record_id), key=lambda fact: fact.index)
