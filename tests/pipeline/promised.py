"""A small model of the promises: what must be true of the tables after any history of events, crashes and switches."""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from core.model.effects import message_id
from core.model.outcomes import OPEN_DELIVERY
from core.store import tables
from tests.pipeline.kit import Kit

ledger = sa.Table(
    "alpha_rows",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("event_id", sa.Text, nullable=False),
    sa.Column("unit", sa.Text, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
)

UNITS = {"ev": "new_energy", "photovoltaic": "new_energy", "packaging": "packaging"}
HEARD = {
    "alpha": {"lead.created", "lead.updated", "lead.lost", "timer.due", "record.unit_changed"},
    "beta": {"lead.created", "lead.updated", "lead.lost", "alpha.noted", "record.unit_changed"},
}


@dataclass
class Sent:
    """An event as it was sent: what the model knows of it."""

    type: str
    record: str
    version: int
    completeness: str
    fields: dict[str, Any]


@dataclass
class Model:
    """What was sent and switched, and what must follow from it."""

    sent: dict[str, Sent] = field(default_factory=dict)  # by event id
    off_at: dict[int, frozenset[tuple[str, str]]] = field(default_factory=lambda: {0: frozenset()})
    audience: dict[str, set[tuple[str, str]]] = field(default_factory=dict)  # event id -> (plugin, unit) at dispatch

    def see_dispatch(self, kit: Kit) -> None:
        """After one batch: what was dispatched just now must have gone to exactly those who were switched on."""
        for row in kit.rows(tables.events, tables.events.c.status == "dispatched"):
            if row.id not in self.audience:
                units = {row.unit}
                if row.type == "record.unit_changed":
                    units.add(json.loads(row.data)["from_unit"])
                only = json.loads(row.data).get("plugin") if row.type == "timer.due" else None
                self.audience[row.id] = {
                    (plugin, unit)
                    for unit in units
                    for plugin, heard in HEARD.items()
                    if row.type in heard and (unit, plugin) not in kit.off and only in (None, plugin)
                }

    def snapshot(self, events: list[Any]) -> dict[str, Any]:
        """Merge a record's events by hand: the newest version of each field counts, a full event clears older ones."""
        full = [self.sent[row.id] for row in events if self.sent[row.id].completeness == "full"]
        floor = max((sent.version for sent in full), default=-1)
        best: dict[str, tuple[int, int, Any]] = {}
        for row in events:
            sent = self.sent[row.id]
            for name, value in sent.fields.items():
                said = (sent.version, row.seq, value)
                best[name] = max(best.get(name, said), said, key=lambda item: item[:2])
        return {name: value for name, (version, _, value) in best.items() if version >= floor}


class Tables:
    """Everything the tables hold, read at one moment."""

    def __init__(self, kit: Kit) -> None:
        self.events = {row.id: row for row in kit.rows(tables.events)}
        self.deliveries = kit.rows(tables.deliveries)
        self.decisions = kit.rows(tables.decisions)
        self.outbox = kit.rows(tables.outbox)
        self.timers = kit.rows(tables.timers)
        self.records = kit.rows(tables.records)
        self.updates = kit.rows(tables.record_updates)
        self.ledger = kit.rows(ledger)


def check(kit: Kit, model: Model) -> None:
    """Check every promise that must hold at any moment."""
    now = Tables(kit)
    _nothing_accepted_is_lost(now, model)
    _one_delivery_each(now, model)
    _effects_happen_once(now)
    _order_is_kept(now)
    _nothing_is_done_while_switched_off(now, model)
    _what_waits_has_something_to_wait_for(now)
    _records_are_merged(now, model)
    _timers_fire_once(now)


def check_rest(kit: Kit, model: Model) -> None:
    """Check what must hold once everything had the time to end well."""
    now = Tables(kit)
    assert not [row.id for row in now.events.values() if row.status == "accepted"]
    assert not [(row.id, row.status, row.reason) for row in now.deliveries if row.status in OPEN_DELIVERY]
    moved = sum(_moves(now, model, record) for record in {sent.record for sent in model.sent.values()})
    assert moved == sum(row.type == "record.unit_changed" for row in now.events.values())
    emitted = [row.id for row in now.outbox if row.target == "inbox"]
    assert len(emitted) == sum(row.origin in ("plugin", "core") for row in now.events.values())


def _nothing_accepted_is_lost(now: Tables, model: Model) -> None:
    for identity, sent in model.sent.items():
        row = now.events[identity]
        assert (row.type, row.record_id) == (sent.type, sent.record)
        assert {name: value for name, value in json.loads(row.data).items() if name != "id"} == sent.fields


def _one_delivery_each(now: Tables, model: Model) -> None:
    had: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for row in now.deliveries:
        if row.generation == 0:
            had[row.event_id][row.plugin, row.unit] += 1
    for identity, row in now.events.items():
        wanted = model.audience.get(identity, set()) if row.status == "dispatched" else set()
        assert had[identity] == Counter(wanted), f"{row.type} {row.status}: {had[identity]}, not {wanted}"


def _effects_happen_once(now: Tables) -> None:
    completed = Counter(
        (row.event_id, row.plugin, row.unit, row.generation) for row in now.deliveries if row.status == "completed"
    )
    decided = Counter((row.event_id, row.plugin, row.unit, row.generation) for row in now.decisions)
    assert decided == completed
    kept = Counter((row.event_id, "alpha", row.unit, row.generation) for row in now.ledger)
    assert kept == Counter({key: number for key, number in completed.items() if key[1] == "alpha"})
    told = Counter(row.id for row in now.outbox if row.effect == "notify")
    assert told == Counter(
        message_id(event, f"{plugin}@{unit}", "notify#0", generation)
        for event, plugin, unit, generation in completed
        if plugin == "beta"
    )


def _order_is_kept(now: Tables) -> None:
    delivered = {(row.event_id, row.plugin, row.unit, row.generation): row for row in now.deliveries}
    last: dict[tuple[str, str, str], int] = {}
    for row in now.decisions:
        delivery = delivered[row.event_id, row.plugin, row.unit, row.generation]
        if delivery.out_of_order or delivery.generation:
            continue  # said aloud, or a replay, which comes later by its nature
        key = (row.record_id, row.plugin, row.unit)
        assert row.event_seq > last.get(key, 0), f"{key}: {row.event_seq} came after {last[key]}"
        last[key] = row.event_seq


def _nothing_is_done_while_switched_off(now: Tables, model: Model) -> None:
    for row in now.decisions:
        assert (row.unit, row.plugin) not in model.off_at[row.config_version]


def _what_waits_has_something_to_wait_for(now: Tables) -> None:
    is_open = {
        (row.event_seq, row.record_id, row.plugin, row.unit) for row in now.deliveries if row.status in OPEN_DELIVERY
    }
    for row in now.deliveries:
        if row.status == "waiting":
            assert (row.waiting_for, row.record_id, row.plugin, row.unit) in is_open, f"dlv_{row.id} waits for nothing"


def _merged(now: Tables, model: Model, record: str) -> list[Any]:
    rows = [now.events[identity] for identity, sent in model.sent.items() if sent.record == record]
    return sorted((row for row in rows if row.status != "accepted"), key=lambda row: int(row.seq))


def _records_are_merged(now: Tables, model: Model) -> None:
    for row in now.records:
        events = _merged(now, model, row.record_id)
        wanted: dict[str, Any] = {"id": row.record_id, **model.snapshot(events)}
        own = [update.fields for update in now.updates if update.record_id == row.record_id]
        if own:
            wanted |= own[-1]
        assert json.loads(row.snapshot) == wanted
        for place, event in enumerate(events, 1):
            assert event.unit == UNITS.get(model.snapshot(events[:place]).get("industry", ""), "default")
            _check_skipping(event, events[: place - 1], model)


def _check_skipping(event: Any, earlier: list[Any], model: Model) -> None:
    """An update is superseded only by a newer version, and a fact of life never is."""
    sent = model.sent[event.id]
    newest = max((model.sent[row.id].version for row in earlier), default=-1)
    if sent.type != "lead.updated" or sent.version > newest:
        assert event.status == "dispatched", event.status_reason


def _moves(now: Tables, model: Model, record: str) -> int:
    units = [event.unit for event in _merged(now, model, record)]
    return sum(before != after for before, after in itertools.pairwise(units))


def _timers_fire_once(now: Tables) -> None:
    rounds = Counter(
        (json.loads(row.data)["timer_id"], json.loads(row.data)["round"])
        for row in now.events.values()
        if row.type == "timer.due"
    )
    assert not [key for key, number in rounds.items() if number > 1]
    for row in now.timers:
        if row.status == "fired":
            assert rounds[row.id, row.round] == 1
