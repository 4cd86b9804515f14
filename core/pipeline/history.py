"""Rebuilds a record as it stood when an event was merged, from the events and updates that came before."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection

from core.model.merge import RecordState, merge, set_own
from core.model.outcomes import EventStatus
from core.model.schemas import canonical_json
from core.store.array_literals import array_literal
from core.store.bulk import insert_rows
from core.store.tables import record_baselines
from core.store.together import Question, ask_together

MERGED_KINDS = frozenset({"lead", "customer", "quote", "order", "complaint", "market"})

KEEP_AFTER = 300
"""A fold of so many events is kept, so that the next one begins there."""


def is_merged(event_type: str, kind: str) -> bool:
    """Whether an event of this type says something about its record that is merged into the snapshot."""
    return kind in MERGED_KINDS and event_type.partition(".")[0] == kind


Place = tuple[str, str, str, int]
"""A record and an event of it: (source, kind, record id, number of the event)."""


def record_as_of(connection: Connection, source: str, kind: str, record_id: str, seq: int) -> RecordState:
    """Fold the record's events up to and including `seq`, and the updates applied before it, into its state."""
    place = (source, kind, record_id, seq)
    return records_as_of(connection, [place])[place]


def records_as_of(
    connection: Connection, places: Sequence[Place], keep: list[dict[str, Any]] | None = None
) -> dict[Place, RecordState]:
    """Fold each record up to its event, all of them in three queries; folding begins at the record's last baseline.

    What took KEEP_AFTER events or more to fold is put into `keep` as a row of `record_baselines`, for `keep_baselines`:
    however many events a record has, folding it again costs little.
    """
    wanted = list(dict.fromkeys(places))
    if not wanted:
        return {}
    [answer] = ask_together(connection, [baselines_question(connection.dialect.name, wanted)])
    return records_since(connection, wanted, answer, keep)


def baselines_question(dialect: str, places: Sequence[Place]) -> Question:
    """Return the question for the baselines of records, each of which is named once, at or before its event."""
    ranges = [(*place[:3], 0, place[3]) for place in places]
    return _in_ranges(
        dialect, "t.seq, t.snapshot, t.versions, t.own", "record_baselines", "t.seq <= wanted.high", ranges, "t.seq"
    )


def records_since(
    connection: Connection,
    wanted: Sequence[Place],
    baselines: Sequence[tuple[Any, ...]],
    keep: list[dict[str, Any]] | None = None,
) -> dict[Place, RecordState]:
    """Do what `records_as_of` does, from the answer to `baselines_question` about the same records."""
    dialect = connection.dialect.name
    bases = {wanted[number]: _state_of(found[-1]) for number, found in _by_place(dialect, baselines).items()}
    ranges = [(*place[:3], bases[place][0] if place in bases else 0, place[3]) for place in wanted]
    facts_question = _in_ranges(
        dialect, "t.seq, t.type, t.data, t.version, t.completeness", "events",
        f"t.seq > wanted.low AND t.seq <= wanted.high AND t.status <> '{EventStatus.REJECTED}'", ranges, "t.seq",
    )  # fmt: skip
    updates_question = _in_ranges(
        dialect, "t.applied_after_seq, t.fields", "record_updates",
        "t.applied_after_seq >= wanted.low AND t.applied_after_seq < wanted.high", ranges, "t.applied_after_seq, t.id",
    )  # fmt: skip
    answers = ask_together(connection, [facts_question, updates_question])
    facts, updates = (_by_place(dialect, answer) for answer in answers)
    found: dict[Place, RecordState] = {}
    for number, place in enumerate(wanted):
        base = bases[place][1] if place in bases else RecordState()
        found[place] = _folded(base, place[1], facts.get(number, []), updates.get(number, []))
        if keep is not None and len(facts.get(number, [])) >= KEEP_AFTER:
            keep.append(baseline(place, found[place]))
    return found


def _folded(state: RecordState, kind: str, facts: Sequence[Any], updates: Sequence[Any]) -> RecordState:
    waiting = deque(updates)
    for seq, event_type, data, version, completeness in facts:
        while waiting and waiting[0][0] < seq:
            state = set_own(state, json.loads(waiting.popleft()[1]))
        if is_merged(event_type, kind):
            state = merge(state, json.loads(data), version, completeness=completeness).state
    for _, fields in waiting:
        state = set_own(state, json.loads(fields))
    return state


def _state_of(row: Sequence[Any]) -> tuple[int, RecordState]:
    """Read a baseline: the number of its event, and the record as of that."""
    return int(row[0]), RecordState(json.loads(row[1]), json.loads(row[2]), frozenset(json.loads(row[3])))


def baseline(place: Place, state: RecordState) -> dict[str, Any]:
    """Return the row that keeps a record as of an event."""
    return {
        **dict(zip(("source", "kind", "record_id", "seq"), place, strict=True)),
        "snapshot": canonical_json(state.snapshot),
        "versions": json.dumps(state.versions),
        "own": json.dumps(sorted(state.own)),
    }


def keep_baselines(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write baselines; one that is there says the same, since what lies before an event never changes."""
    insert_rows(connection, record_baselines, rows, on_conflict="ON CONFLICT DO NOTHING")


def _in_ranges(
    dialect: str,
    columns: str,
    table: str,
    within: str,
    ranges: Sequence[tuple[str, str, str, int, int]],
    order: str,
) -> Question:
    """Ask for `columns` of `table` (alias `t`) for records, each with its own `low` and `high`."""
    select = f"SELECT wanted.n, {columns} FROM"
    matched = f"t.source = wanted.s AND t.kind = wanted.k AND t.record_id = wanted.r AND {within}"
    tail = f"ON {matched} ORDER BY wanted.n, {order}"
    if dialect == "sqlite":
        # CROSS JOIN fixes the join order: each wanted record is looked up by the index, the table is never scanned.
        names = ("s", "k", "r", "low", "high")
        parts = ", ".join(f"json_extract(value, '$[{place}]') AS {name}" for place, name in enumerate(names))
        statement = f"{select} (SELECT key AS n, {parts} FROM json_each(?)) AS wanted CROSS JOIN {table} AS t {tail}"
        return Question(statement, (json.dumps(ranges),))
    kinds = "%s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[]"
    wanted = f"unnest({kinds}) WITH ORDINALITY AS wanted(s, k, r, low, high, n)"
    parameters = tuple(array_literal(column) for column in zip(*ranges, strict=True))
    return Question(f"{select} {wanted} JOIN {table} AS t {tail}", parameters)


def _by_place(dialect: str, answer: Sequence[tuple[Any, ...]]) -> dict[int, list[tuple[Any, ...]]]:
    """Read the answer to what `_in_ranges` asks: what was found of each record, by its place in `ranges`."""
    first = 0 if dialect == "sqlite" else 1
    found: dict[int, list[tuple[Any, ...]]] = {}
    for number, *row in answer:
        found.setdefault(int(number) - first, []).append(tuple(row))
    return found
