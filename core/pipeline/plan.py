"""Plans a batch: merges each accepted event into its record, finds its unit and makes one delivery per plugin."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.engine import Connection

from core.host.plugin import Plugin
from core.host.settings import Configuration
from core.model.calendar import Calendar
from core.model.context import Unit
from core.model.events import EVENT_TYPES, Completeness, Origin
from core.model.inbound import InboundEvent
from core.model.merge import RecordState, merge
from core.model.outcomes import DeliveryStatus, TimerStatus
from core.model.people import People
from core.pipeline.history import is_merged
from core.pipeline.open_deliveries import Open
from core.pipeline.units import NAMED, unit_of
from core.pipeline.work import DeliveryWork, EventWork, RecordKey, RecordWork, build_event
from core.store.lists import about_records, by_record, in_list
from core.store.tables import records
from core.store.together import Question

_STATE = "t.source, t.kind, t.record_id, t.unit, t.unit_reason, t.snapshot, t.versions, t.own, t.last_seq"


@dataclass(frozen=True, slots=True)
class Place:
    """What every plugin of a unit is given, at the batch's moment."""

    unit: Unit
    calendar: Calendar
    people: People


class Linked(NamedTuple):
    """A record that another one names: its last event, and what it holds as of that."""

    last_seq: int
    snapshot: Mapping[str, Any]


@dataclass(slots=True)
class Surroundings:
    """What planning and running look at beside the events: configuration, plugins, quarantine, open deliveries."""

    configuration: Configuration
    plugins: Mapping[str, Plugin]
    now: datetime
    connection: Connection
    quarantined: frozenset[tuple[str, str]] = frozenset()  # (unit, plugin)
    open_before: Open = field(default_factory=dict)  # of the batch's records
    crashed: frozenset[tuple[str, str]] = frozenset()  # (event id, plugin) that took the last worker down
    others: dict[RecordKey, Linked | None] = field(default_factory=dict)  # records the batch does not merge into
    batch: Mapping[RecordKey, RecordWork] = field(default_factory=dict)  # records that the batch itself merges into
    timers: Mapping[str, tuple[int, str]] = field(default_factory=dict)  # timer id -> its round and status now
    baselines: list[dict[str, Any]] = field(default_factory=list)  # long folds, to be kept with what is written
    places: dict[str, Place] = field(default_factory=dict)

    def move_to(self, now: datetime) -> None:
        """Go on at another moment, as an import does; who is there and who is absent depends on it."""
        if now != self.now:
            self.now = now
            self.places.clear()

    def place(self, unit: str) -> Place:
        """Return what plugins are given in a unit; worked out once for a moment."""
        if unit not in self.places:
            settings, calendar = self.configuration.units.get(unit), self.configuration.calendar_of(unit)
            people = self.configuration.directory.at(self.now, unit, calendar.zone)
            self.places[unit] = Place(Unit(unit, settings.title if settings else ""), calendar, people)
        return self.places[unit]

    def unable(self, unit: str, plugin: str) -> str | None:
        """Return why a plugin that is switched on cannot run in a unit, or None when it can."""
        if plugin not in self.plugins:
            return "the plugin cannot be loaded; `outrigger plugins list` says why"
        setting = self.configuration.plugins.get((unit, plugin))
        if setting is not None and setting.config is None:
            return "the plugin cannot read its settings; `outrigger config check` says why"
        return None

    def held_because(self, unit: str, plugin: str) -> str | None:
        """Return why the plugin's deliveries are kept for later in a unit, or None when they may run."""
        if (unit, plugin) in self.quarantined:
            return "the plugin is in quarantine for this unit"
        return self.unable(unit, plugin)

    def hears(self, unit: str, plugin: str, event_type: str) -> bool:
        """Whether an event of this type is for the plugin.

        Of one that cannot be loaded nobody knows its hooks, so every canonical event and every one of its own is kept
        for it; what it does not hear ends without effect once it can be loaded.
        """
        known = self.plugins.get(plugin)
        if known is not None:
            return bool(known.hears(event_type))
        return event_type in EVENT_TYPES or event_type.startswith(f"{plugin}.")

    def linked(self, source: str, kind: str, record_id: str) -> Linked | None:
        """Return another record as it stands, with what this batch merged so far; remembered for the batch.

        Its last event and its snapshot are read together, so that who compares the one knows of which the other is.
        """
        key = (source, kind, record_id)
        work = self.batch.get(key)
        if work is not None:
            return Linked(work.last_seq, work.state.snapshot) if work.exists or work.touched else None
        if key not in self.others:
            rows = by_record(self.connection, "t.last_seq, t.snapshot", "records", [key])
            self.others[key] = Linked(int(rows[0][0]), json.loads(rows[0][1])) if rows else None
        return self.others[key]


def load_records(connection: Connection, keys: list[RecordKey]) -> dict[RecordKey, RecordWork]:
    """Load the state of the records; one that is not known yet starts empty."""
    return record_states(keys, by_record(connection, _STATE, records.name, list(dict.fromkeys(keys))))


def records_question(dialect: str, keys: Sequence[RecordKey]) -> Question:
    """Return the question that `load_records` asks, for records of which each is named once."""
    return about_records(dialect, _STATE, records.name, keys)


def record_states(keys: Sequence[RecordKey], answer: Sequence[tuple[Any, ...]]) -> dict[RecordKey, RecordWork]:
    """Read the answer to `records_question`."""
    found = {key: RecordWork(key) for key in keys}
    for row in answer:
        work = found[(row[0], row[1], row[2])]
        work.unit, work.unit_reason, work.last_seq, work.exists = row[3], row[4], row[8], True
        work.state = RecordState(json.loads(row[5]), json.loads(row[6]), frozenset(json.loads(row[7])))
    return found


def plan_event(row: Any, record: RecordWork, around: Surroundings, *, run: bool) -> EventWork:
    """Merge one event and plan its deliveries. With `run` False they are stored for later, one by one."""
    work = EventWork(row=row, record=record)
    data = json.loads(row.data)
    merged_now = is_merged(row.type, row.kind)
    said = row.unit if merged_now else None
    if merged_now:
        merged = merge(record.state, data, row.version, completeness=row.completeness)
        record.state, work.changed, record.touched = merged.state, merged.changed, True
        if merged.superseded:
            said = None  # an older word on the unit must not move the record back
        if EVENT_TYPES[row.type].is_update and merged.superseded:
            work.skipped = "superseded: a newer version was merged before"
        elif EVENT_TYPES[row.type].is_update and merged.echo:
            work.skipped = "echo: the CRM reports back what Outrigger wrote"
    before = record.unit
    _find_unit(work, around, said)
    record.last_seq = max(record.last_seq, row.seq)
    if work.skipped is None and row.depth > around.configuration.dispatch.follow_up_depth:
        work.skipped = f"too deep: more than {around.configuration.dispatch.follow_up_depth} follow-ups in a chain"
    if work.skipped is None and row.type == "timer.due" and not _is_standing(data, around):
        work.skipped = "the timer was cancelled or started again before this could be dispatched"
    if merged_now and record.exists and before is not None and before != work.unit:
        work.follow_up = _unit_changed(work, before)
    if work.skipped is None:
        work.event = build_event(row, data, work.unit, record.state, work.changed)
        work.deliveries = _deliveries(work, data, around, run=run)
    return work


def _is_standing(data: Mapping[str, Any], around: Surroundings) -> bool:
    """Whether the timer that fell due still stands: events accepted before it may have cancelled or replaced it."""
    now = around.timers.get(data["timer_id"])
    return now is None or (now[0] == data.get("round") and now[1] != TimerStatus.CANCELLED)


def load_timers(connection: Connection, rows: Sequence[Any]) -> dict[str, tuple[int, str]]:
    """Return round and status of the timers whose due events are among `rows`."""
    ids = [json.loads(row.data)["timer_id"] for row in rows if row.type == "timer.due"]
    found = in_list(connection, "SELECT id, round, status FROM timers WHERE id", ids)
    return {row[0]: (row[1], row[2]) for row in found}


def _find_unit(work: EventWork, around: Surroundings, said: str | None) -> None:
    row, record = work.row, work.record
    if said is None and record.unit_reason == NAMED:
        said = record.unit  # senders name the unit once, and their deltas leave it out
    if row.type == "timer.due" or row.kind not in EVENT_TYPE_KINDS:
        # A timer belongs to the unit that started it, whatever became of the record.
        work.unit, work.unit_reason = row.unit or record.unit or "default", "of the timer"
        return
    unit, reason = unit_of(
        around.configuration,
        row.source,
        said,
        record.state.snapshot,
        lambda kind, record_id: getattr(around.linked(row.source, kind, record_id), "snapshot", None),
    )
    work.unit, work.unit_reason = unit, reason
    if is_merged(row.type, row.kind):
        record.unit, record.unit_reason, record.touched = unit, reason, True


EVENT_TYPE_KINDS = frozenset(item.kind for item in EVENT_TYPES.values() if item.kind)


def _unit_changed(work: EventWork, before: str) -> InboundEvent:
    row = work.row
    return InboundEvent(
        source=row.source,
        type="record.unit_changed",
        kind=row.kind,
        record_id=row.record_id,
        dedupe_key=f"unit_changed:{row.id}",
        occurred_at=row.occurred_at,
        data={"id": row.record_id, "from_unit": before, "to_unit": work.unit, "reason": work.unit_reason},
        version=row.version,
        completeness=Completeness.DELTA,
        origin=Origin.CORE,
        depth=row.depth + 1,
        caused_by=row.id,
        body_hash=f"{before}>{work.unit}",
    )


def _audience(work: EventWork, data: Mapping[str, Any], around: Surroundings) -> list[tuple[str, str]]:
    """Return (plugin, unit) for every plugin that hears the event, sorted."""
    row, configuration = work.row, around.configuration
    units = [work.unit]
    only: str | None = None
    if row.type == "timer.due":
        only = data["plugin"]
    elif row.type == "record.unit_changed":
        units = sorted({work.unit, data.get("from_unit") or work.unit})
    return [
        (name, unit)
        for unit in units
        for name in configuration.enabled_plugins(unit)
        if (only is None or name == only) and around.hears(unit, name, row.type)
    ]


def _deliveries(work: EventWork, data: Mapping[str, Any], around: Surroundings, *, run: bool) -> list[DeliveryWork]:
    row = work.row
    audience = _audience(work, data, around)
    if row.type == "timer.due" and not audience:
        work.hold_timer = (data["timer_id"], data["round"])
        work.skipped = "held: the timer's plugin is switched off"
        return []
    result = []
    for plugin, unit in audience:
        delivery = DeliveryWork(plugin=plugin, unit=unit, outward=row.outward)
        before = around.open_before.get((work.record.key, plugin, unit)) if around.open_before else None
        held = around.held_because(unit, plugin)
        if held is not None:
            delivery.planned_as, delivery.planned_reason = DeliveryStatus.QUARANTINED, held
        elif before is not None:
            delivery.planned_as, delivery.waiting_for = DeliveryStatus.WAITING, before.latest
            delivery.planned_reason = "waiting for an earlier event of this record"
        elif (row.id, plugin) in around.crashed:
            delivery.planned_as, delivery.attempts = DeliveryStatus.RETRYABLE, 1
            delivery.planned_reason = "the worker died or hung while this plugin handled the event"
        elif not run:
            delivery.planned_as = DeliveryStatus.AVAILABLE
        result.append(delivery)
    return result
