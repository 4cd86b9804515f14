"""What a set's module says about each row, and the book in which rows and events are counted."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TextIO

from deploy.replay.rows import Files, RefusedRow


@dataclass(frozen=True, slots=True)
class Told:
    """One canonical event, as the CRM of the set would have told it."""

    type: str
    at: datetime
    data: Mapping[str, Any]

    def line(self, source: str, place: int) -> str:
        """Return the event as a line for `outrigger events import`."""
        key = hashlib.sha256(f"{source}/{self.type}/{self.data['id']}/{place}".encode()).hexdigest()[:24]
        body = {"id": key, "source": source, "type": self.type, "timestamp": text(self.at), "data": self.data}
        return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Kept:
    """A row whose content went into at least one event; the events it adds, if others did not add them already."""

    events: tuple[Told, ...] = ()


Outcome = Kept | RefusedRow
"""What became of one row."""

Labels = Mapping[str, Mapping[str, float]]
"""What really happened, by the name of the figure and the record's id; 1 and 0 for yes and no. Plugins never see it."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """How one set becomes events. `outcomes` yields exactly one outcome for each row it reads."""

    name: str
    unit: str  # the business unit whose settings fit the set; its source in plugins.toml has the set's name
    outcomes: Callable[[Files], Iterator[Outcome]]
    note: str  # what a reader of the figures should know
    labels: Callable[[Files], Labels] | None = None
    run_on: timedelta = timedelta(days=30)


@dataclass(slots=True)
class Book:
    """The rows of one set and what became of them."""

    read: int = 0
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)

    def write(self, data: DataSet, files: Files, out: TextIO) -> None:
        """Write the set's events to `out`, one a line, and count its rows.

        Raises AssertionError when the set's module lost a row: accepted and refused must be the rows read.
        """
        for outcome in data.outcomes(files):
            if isinstance(outcome, RefusedRow):
                self.refused[str(outcome)] += 1
                continue
            self.accepted += 1
            for told in outcome.events:
                self.events[told.type] += 1
                out.write(told.line(data.name, self.events.total()) + "\n")
        self.read = sum(files.seen.values())
        lost = self.read - self.accepted - self.refused.total()
        if lost:
            raise AssertionError(f"{data.name}: {lost} rows are neither accepted nor refused")

    def as_json(self) -> dict[str, Any]:
        """Return the counts, the most frequent reason first."""
        return {
            "rows_read": self.read,
            "rows_accepted": self.accepted,
            "rows_refused": self.refused.total(),
            "refused": dict(self.refused.most_common()),
            "events": dict(sorted(self.events.items())),
        }


def each(rows: Iterable[Any], tell: Callable[[Any], Iterable[Told]]) -> Iterator[Outcome]:
    """Map rows that each tell of one record: `tell` returns a row's events or raises RefusedRow."""
    for row in rows:
        try:
            yield Kept(tuple(tell(row)))
        except RefusedRow as refused:
            yield refused


def by_case(rows: Iterable[Any], key: Callable[[Any], str]) -> Iterator[list[Any]]:
    """Gather the rows of each case; cases come in the order of their first row."""
    cases: dict[str, list[Any]] = {}
    for row in rows:
        cases.setdefault(key(row), []).append(row)
    yield from cases.values()


def text(at: datetime) -> str:
    """Write an instant as RFC 3339 in UTC."""
    return at.isoformat().replace("+00:00", "Z")


def filled(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record without the fields that the row leaves empty, so that nothing is invented."""
    return {key: value for key, value in data.items() if value not in (None, "", {}, [])}
