"""A light stand-in for the server: it merges records and fires timers as the server does, with rows in memory.

It has the calls of `core.testing.PluginServer` that the tests use, so that a scene runs on either.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

from core.api import CancelTimer, Context, Decide, Effect, Event, Notify, StartTimer, UpdateRecord
from core.testing import (
    NOW,
    RecordingLog,
    calendar_of,
    complaint_event,
    context,
    customer_event,
    directory_of,
    lead_event,
    order_event,
    quote_event,
    timer_event,
    unit_changed_event,
)
from plugins.sla_escalation import plugin
from plugins.sla_escalation.models import ClockRow, KeptRule
from plugins.sla_escalation.settings import Config

BUILDERS: dict[str, Callable[..., Event[Any]]] = {
    "complaint": complaint_event, "customer": customer_event, "lead": lead_event, "order": order_event,
    "quote": quote_event,
}  # fmt: skip
LATE_AFTER = timedelta(seconds=5)
UNITS = {"ev": "new_energy", "packaging": "packaging"}
NEVER = datetime.min.replace(tzinfo=UTC)
Key = tuple[str, str]


def plain(value: Any) -> Any:
    """Return a value as JSON holds it."""
    return json.loads(json.dumps(value, default=lambda item: item.isoformat()))


class MemoryRows:
    """Implements `ctx.session` over rows in memory; writes are made by `apply`."""

    dialect = "sqlite"

    def __init__(self) -> None:
        self.stored: dict[tuple[str, tuple[Any, ...]], Any] = {}
        self.writes: list[Callable[[], None]] = []
        self.record: Key = ("", "")

    def get(self, model: type[Any], key: Any) -> Any:
        return self.stored.get((model.__tablename__, key if isinstance(key, tuple) else (key,)))

    def scalars(self, statement: Any) -> Sequence[Any]:
        """Answer the two questions the plugin asks: which rules there are, and all clocks of the record."""
        if statement.get_final_froms()[0].name == KeptRule.__tablename__:
            return [key[0] for table, key in self.stored if table == KeptRule.__tablename__]
        found = [row for (table, _), row in self.stored.items()
                 if table == ClockRow.__tablename__ and (row.kind, row.record_id) == self.record]  # fmt: skip
        return sorted(found, key=lambda row: (row.unit, row.clock, row.round))

    def upsert(self, model: type[Any], **values: Any) -> None:
        self.writes.append(lambda: self._put(model, values))

    def update(self, model: type[Any], key: Any, values: Mapping[str, Any], expected: Any = None) -> None:
        self.writes.append(lambda: self._put(model, {"id": key, **values}))

    def _put(self, model: type[Any], values: Mapping[str, Any]) -> None:
        table = model.__table__
        key = (model.__tablename__, tuple(values[column.name] for column in table.primary_key.columns))
        old = self.stored.get(key)
        known = {column.name: getattr(old, column.name) for column in table.columns} if old is not None else {}
        kept = {name: json.loads(json.dumps(item)) if isinstance(item, (dict, list)) else item
                for name, item in values.items()}  # fmt: skip
        self.stored[key] = model(**{**known, **kept})

    def apply(self) -> None:
        writes, self.writes = self.writes, []
        for write in writes:
            write()


class Bench:
    """One plugin, its rows, its timers and a clock that is moved by hand."""

    def __init__(self, config: Config, people: str) -> None:
        self.config = config
        self.directory = directory_of(people, unit="new_energy")
        self.calendar = calendar_of("cn")
        self.session = MemoryRows()
        self.now = NOW
        self.states: dict[Key, dict[str, tuple[datetime, Any]]] = {}
        self.units: dict[Key, str] = {}
        self.pending: dict[tuple[Key, str, str], tuple[datetime, Any]] = {}  # record, unit, timer
        self.said: list[Any] = []
        self.sent: list[Any] = []
        self.number = 0

    @property
    def clock(self) -> Any:
        return SimpleNamespace(now=lambda: self.now)

    def send(self, name: str, data: Mapping[str, Any], *, at: datetime | None = None, heard: bool = True) -> None:
        """Let the CRM say something; with `heard` False while the plugin is switched off, so only the record knows."""
        kind = name.partition(".")[0]
        key = (kind, str(data["id"]))
        occurred = at or self.now
        state = self.states.setdefault(key, {})
        newer = {
            field: value for field, value in data.items() if field == "id" or state.get(field, (NEVER,))[0] <= occurred
        }
        if name.endswith(".updated") and set(newer) == {"id"}:
            return  # a newer event has said all that it says
        changed = {field for field, value in newer.items() if field != "id" and value != state.get(field, (0, None))[1]}
        state.update({field: (occurred, value) for field, value in newer.items()})
        before = self.units.get(key)
        unit = self.units[key] = UNITS.get(str(state.get("industry", ("", ""))[1]), "new_energy")
        more = {**self._envelope(unit, occurred), "record": self._record(key), "changed": frozenset(changed)}
        if not heard:
            return
        self._handle(plugin.on_event, BUILDERS[kind](name, event=more, **data))
        if before is not None and before != unit:
            for place in sorted((before, unit)):
                moved = self._envelope(place, occurred)
                event = unit_changed_event(
                    from_unit=before, to_unit=unit, kind=kind, record=self._record(key), event=moved
                )
                self._handle(plugin.on_record_unit_changed, event)

    def later(self, **span: float) -> None:
        end = self.now + timedelta(**span)
        while due := [at for at, _ in self.pending.values() if at <= end]:
            self.now = max(self.now, min(due))
            self.work()
        self.now = end

    def jump(self, **span: float) -> None:
        self.now += timedelta(**span)
        self.work()

    def work(self) -> None:
        while due := sorted((at, name) for name, (at, _) in self.pending.items() if at <= self.now):
            at, name = due[0]
            key, unit, timer = name
            data = self.pending.pop(name)[1]
            late = self.now - at > LATE_AFTER
            more = {**self._envelope(unit, at), "accepted_at": max(self.now, at)}
            fell = timer_event(
                timer, plugin="sla_escalation", kind=key[0], due_at=at, late=late, data=data,
                record=self._record(key), event=more,
            )  # fmt: skip
            self._handle(plugin.on_timer_due, fell)

    def rows(self, model: type[Any]) -> list[Any]:
        return [row for (table, _), row in sorted(self.session.stored.items()) if table == model.__tablename__]

    def decisions(self, record_id: str | None = None) -> list[Any]:
        return [item for item in self.said if record_id in (None, item.record_id)]

    def messages(self, effect: str) -> list[Any]:
        return [item for item in self.sent if item.effect == effect]

    def timers(self) -> list[Any]:
        return [
            SimpleNamespace(unit=unit, timer=timer, due_at=at) for (_, unit, timer), (at, _) in self.pending.items()
        ]

    def problems(self) -> list[str]:
        return []  # what fails here raises

    def _envelope(self, unit: str, occurred: datetime) -> dict[str, Any]:
        self.number += 1
        times = {"occurred_at": occurred, "accepted_at": self.now}
        return {"id": f"evt_{self.number}", "unit": unit, "version": f"t{occurred.isoformat()}", **times}

    def _record(self, key: Key) -> Any:
        known = {field: value for field, (_, value) in self.states[key].items()}
        return BUILDERS[key[0]](f"{key[0]}.updated", known={**known, "id": key[1]}).record

    def _handle(self, hook: Callable[..., list[Effect]], event: Event[Any]) -> None:
        self.session.record = (event.kind, event.record_id)
        records = [self._record(key) for key in self.states if key[0] == "customer"]
        ctx: Context[Any] = context(
            self.config, unit=event.unit, now=self.now, session=cast("Any", self.session), records=records,
            log=RecordingLog(), calendar=self.calendar,
        )  # fmt: skip
        seen = self.directory.at(self.now, event.unit, self.calendar.zone)
        ctx = Context(**{**{name: getattr(ctx, name) for name in ctx.__dataclass_fields__}, "people": seen})
        effects = hook(event, ctx)
        self.session.apply()
        key = (event.kind, event.record_id)
        for effect in effects:
            if isinstance(effect, StartTimer):
                assert effect.due_at is not None
                self.pending[key, event.unit, effect.timer] = (effect.due_at, effect.data)
            elif isinstance(effect, CancelTimer):
                self.pending.pop((key, event.unit, effect.timer), None)
            elif isinstance(effect, Decide):
                stored = {name: plain(getattr(effect, name)) for name in ("inputs", "near_misses")}
                reasons = [reason.as_json() for reason in effect.reasons]
                self.said.append(SimpleNamespace(record_id=event.record_id, outcome=effect.outcome, reasons=reasons,
                                                 summary=effect.summary, rule=effect.rule, **stored))  # fmt: skip
            elif isinstance(effect, Notify):
                body = json.dumps(plain(effect.data))
                self.sent.append(SimpleNamespace(effect="notify", type=f"notify.{effect.template}", target=effect.to,
                                                 body=body, id=f"{event.id}.{effect.key}"))  # fmt: skip
            elif isinstance(effect, UpdateRecord):
                self.states[key].update({field: (self.now, value) for field, value in effect.fields.items()})
                body = json.dumps(effect.fields, separators=(",", ":"))
                self.sent.append(SimpleNamespace(effect="update_record", body=body))
