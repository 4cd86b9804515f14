"""Checks a drained database from outside: nothing acknowledged is gone, no effect is doubled, order was kept."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.load.databases import Outside
from tests.load.server import LEDGERS


@dataclass(slots=True)
class Findings:
    """What is wrong; each is a number of events, and the first few are told in words."""

    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0
    wrong_snapshots: int = 0
    integrity: str = "ok"
    words: list[str] = field(default_factory=list)

    def tell(self, kind: str, text: str) -> None:
        """Count one finding and keep its words."""
        setattr(self, kind, getattr(self, kind) + 1)
        if len(self.words) < 20:
            self.words.append(f"{kind}: {text}")

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found."""
        return not (self.lost or self.doubled or self.out_of_order or self.wrong_snapshots) and self.integrity == "ok"


def check(outside: Outside, acknowledged: Mapping[str, Sequence[str]], *, ledgers: Sequence[str] = LEDGERS) -> Findings:
    """Look at everything. `acknowledged` holds, for each record, the ids in the order in which a client waited.

    A plugin that is not among `ledgers`, as it was switched off for a while, is looked at for order alone.
    """
    found = Findings(integrity=outside.integrity())
    events = {
        row[0]: row
        for row in outside.rows("SELECT id, seq, type, record_id, status, caused_by, version, data FROM events")
    }
    _check_acknowledged(found, events, acknowledged)
    _check_deliveries(found, outside, events, ledgers)
    _check_effects(found, outside, events, ledgers)
    _check_follow_ups(found, outside, events)
    _check_order(found, outside, events)
    _check_snapshots(found, outside, events)
    return found


def _check_acknowledged(
    found: Findings, events: Mapping[str, Sequence[object]], acknowledged: Mapping[str, Sequence[str]]
) -> None:
    for record, ids in acknowledged.items():
        before = 0
        for identity in ids:
            row = events.get(identity)
            if row is None:
                found.tell("lost", f"{identity} of {record} was acknowledged and is not there")
                continue
            seq = int(str(row[1]))
            if seq < before:
                found.tell("out_of_order", f"{identity} of {record} was sent after {before} was acknowledged")
            before = seq


def _expected(event_type: str, status: str, ledgers: Sequence[str]) -> set[str]:
    """Return who must have had an event of this type."""
    if status != "dispatched":
        return set()
    return {"ledger_second"} if event_type == "timer.due" else set(ledgers)


def _check_deliveries(
    found: Findings, outside: Outside, events: Mapping[str, Sequence[object]], ledgers: Sequence[str]
) -> None:
    had: dict[str, Counter[str]] = defaultdict(Counter)
    for event_id, plugin, status in outside.rows("SELECT event_id, plugin, status FROM deliveries"):
        if plugin in LEDGERS and plugin not in ledgers:
            continue
        had[event_id][plugin] += 1
        if status != "completed":
            found.tell("lost", f"the delivery of {event_id} to {plugin} ended {status}")
    for identity, row in events.items():
        if row[4] not in ("dispatched", "skipped"):
            found.tell("lost", f"{identity} ({row[2]}) is still {row[4]}")
        _compare(found, identity, had[identity], _expected(str(row[2]), str(row[4]), ledgers), "deliveries")


def _compare(found: Findings, identity: str, had: Counter[str], expected: set[str], what: str) -> None:
    for plugin in expected | set(had):
        count = had[plugin]
        if count > (plugin in expected):
            found.tell("doubled", f"{identity} has {count} {what} of {plugin}")
        elif count < (plugin in expected):
            found.tell("lost", f"{identity} has no {what} of {plugin}")


def _check_effects(
    found: Findings, outside: Outside, events: Mapping[str, Sequence[object]], ledgers: Sequence[str]
) -> None:
    rows: dict[str, Counter[str]] = defaultdict(Counter)
    for plugin in ledgers:
        for event_id, count in outside.rows(f"SELECT event_id, count(*) FROM {plugin}_rows GROUP BY event_id"):
            rows[event_id][plugin] = count
    decided: dict[str, Counter[str]] = defaultdict(Counter)
    for event_id, plugin, count in outside.rows(
        "SELECT event_id, plugin, count(*) FROM decisions GROUP BY event_id, plugin"
    ):
        if plugin in LEDGERS and plugin not in ledgers:
            continue
        decided[event_id][plugin] = count
    for identity, row in events.items():
        expected = _expected(str(row[2]), str(row[4]), ledgers)
        _compare(found, identity, rows[identity], expected, "rows")
        _compare(found, identity, decided[identity], expected, "decisions")


def _check_follow_ups(found: Findings, outside: Outside, events: Mapping[str, Sequence[object]]) -> None:
    born: dict[str, Counter[str]] = defaultdict(Counter)
    for row in events.values():
        if row[5] is not None:
            born[str(row[5])][str(row[2])] += 1
    emitted = {row[0] for row in outside.rows("SELECT event_id FROM outbox WHERE target = 'inbox'")}
    timed = {row[0] for row in outside.rows("SELECT started_by FROM timers")}
    for identity in {*born, *emitted, *timed}:
        expected = {"ledger_third.followed"} if identity in emitted else set()
        expected |= {"timer.due"} if identity in timed else set()
        _compare(found, identity, born[identity], expected, "follow-up events")
    doubled = outside.one("SELECT count(*) - count(DISTINCT id) FROM outbox")
    if doubled:
        found.tell("doubled", f"{doubled} messages share an id")


def _check_order(found: Findings, outside: Outside, events: Mapping[str, Sequence[object]]) -> None:
    marked = set(outside.rows("SELECT event_id, plugin FROM deliveries WHERE out_of_order"))
    excused = {(row[0], row[1]) for row in marked}
    for plugin in LEDGERS:
        last: dict[str, int] = {}
        for event_id, record in outside.rows(f"SELECT event_id, record_id FROM {plugin}_rows ORDER BY id"):
            row = events.get(event_id)
            if row is None or (event_id, plugin) in excused:
                continue
            seq = int(str(row[1]))
            if seq < last.get(record, 0):
                found.tell("out_of_order", f"{plugin} handled {event_id} of {record} after a later event")
            last[record] = max(seq, last.get(record, 0))


def _check_snapshots(found: Findings, outside: Outside, events: Mapping[str, Sequence[object]]) -> None:
    newest: dict[str, tuple[str, object]] = {}
    for row in events.values():
        department = json.loads(str(row[7])).get("department")
        if department is not None and str(row[6]) >= newest.get(str(row[3]), ("", None))[0]:
            newest[str(row[3])] = (str(row[6]), department)
    for record, snapshot in outside.rows("SELECT record_id, snapshot FROM records"):
        known = json.loads(snapshot).get("department")
        if record in newest and known != newest[record][1]:
            found.tell("wrong_snapshots", f"{record} has {known!r}, its newest version says {newest[record][1]!r}")
