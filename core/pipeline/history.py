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
    """Fold each record up to its event, all of them by one question; folding begins at the record's last baseline.

    What took KEEP_AFTER events or more to fold is put into `keep` as a row of `record_baselines`, for `keep_baselines`:
    however many events a record has, folding it again costs little.
    """
    wanted = list(dict.fromkeys(places))
    if not wanted:
        return {}
    [answer] = ask_together(connection, [fold_question(connection.dialect.name, wanted)])
    return fold(wanted, answer, keep)


def fold_question(dialect: str, places: Sequence[Place]) -> Question:
    """Return the question for what `fold` needs of records, each named with an event of it and no two alike.

    It is one statement, and so sees one state of the database: retention, which puts a baseline in the place of events,
    may commit between two.
    """
    if dialect == "sqlite":
        parts = ", ".join(f"json_extract(value, '$[{place}]') AS {name}" for place, name in enumerate(_NAMES))
        named = f"SELECT key AS n, {parts} FROM json_each(?)"
        return Question(_FOLD.format(places=named, number="named.n"), (json.dumps(places),))
    named = "unnest(%s::text[], %s::text[], %s::text[], %s::bigint[]) WITH ORDINALITY AS each(s, k, r, x, n)"
    parameters = tuple(array_literal(column) for column in zip(*places, strict=True))
    return Question(_FOLD.format(places=f"SELECT * FROM {named}", number="named.n - 1"), parameters)


_NAMES = ("s", "k", "r", "x")  # what a place consists of
_BASELINE, _FACT, _UPDATE = range(3)
# CROSS JOIN fixes the order in SQLite: each record is looked up by an index, and no table is gone through.
_FOLD = f"""
WITH wanted AS MATERIALIZED (
    SELECT {{number}} AS n, s, k, r, x AS high, (SELECT max(b.seq) FROM record_baselines AS b
        WHERE b.source = named.s AND b.kind = named.k AND b.record_id = named.r AND b.seq <= named.x) AS base
    FROM ({{places}}) AS named
)
SELECT n, {_BASELINE}, t.seq, 0, t.snapshot, t.versions, t.own, NULL FROM wanted CROSS JOIN record_baselines AS t
WHERE t.source = s AND t.kind = k AND t.record_id = r AND t.seq = base
UNION ALL
SELECT n, {_FACT}, t.seq, 0, t.type, t.data, t.version, t.completeness FROM wanted CROSS JOIN events AS t
WHERE t.source = s AND t.kind = k AND t.record_id = r AND t.seq > coalesce(base, 0) AND t.seq <= high
AND t.status <> '{EventStatus.REJECTED}'
UNION ALL
SELECT n, {_UPDATE}, t.applied_after_seq, t.id, t.fields, NULL, NULL, NULL
FROM wanted CROSS JOIN record_updates AS t WHERE t.source = s AND t.kind = k AND t.record_id = r
AND t.applied_after_seq >= coalesce(base, 0) AND t.applied_after_seq < high
"""


def fold(
    wanted: Sequence[Place], answer: Sequence[tuple[Any, ...]], keep: list[dict[str, Any]] | None = None
) -> dict[Place, RecordState]:
    """Do what `records_as_of` does, from the answer to `fold_question` about the same records."""
    found: list[tuple[list[Any], list[Any], list[Any]]] = [([], [], []) for _ in wanted]
    for number, part, *row in sorted(answer, key=lambda row: row[:4]):
        found[number][part].append(row)
    states: dict[Place, RecordState] = {}
    for place, (baselines, facts, updates) in zip(wanted, found, strict=True):
        base = _state_of(baselines[0]) if baselines else RecordState()
        states[place] = _folded(base, place[1], facts, updates)
        if keep is not None and len(facts) >= KEEP_AFTER:
            keep.append(baseline(place, states[place]))
    return states


def _folded(state: RecordState, kind: str, facts: Sequence[Any], updates: Sequence[Any]) -> RecordState:
    waiting = deque(updates)
    for seq, _, event_type, data, version, completeness in facts:
        while waiting and waiting[0][0] < seq:
            state = set_own(state, json.loads(waiting.popleft()[2]))
        if is_merged(event_type, kind):
            state = merge(state, json.loads(data), version, completeness=completeness).state
    for update in waiting:
        state = set_own(state, json.loads(update[2]))
    return state


def _state_of(row: Sequence[Any]) -> RecordState:
    """Read the row of a baseline: the record as of that."""
    _, _, snapshot, versions, own, _ = row
    return RecordState(json.loads(snapshot), json.loads(versions), frozenset(json.loads(own)))


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
