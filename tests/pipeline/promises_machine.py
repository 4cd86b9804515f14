"""Drives one small server through any history: events, duplicates, disorder, crashes, switches, interventions."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core.model.effects import CancelTimer, Decide, EmitEvent, Notify, StartTimer, UpdateRecord
from core.model.errors import Conflict
from core.model.outcomes import Cancel, Snooze
from core.pipeline.dispatch import Dispatcher, Redo
from core.pipeline.interventions import Interventions
from core.pipeline.quarantine import lift, record_crash, release_lifted, release_overdue
from core.pipeline.replay import Replayer
from core.pipeline.slot import Call
from core.pipeline.timers import release_held
from core.store import tables
from core.store.database import Database
from tests.pipeline.kit import Kit, plugin
from tests.pipeline.promised import Model, Sent, check, check_rest, ledger

STEPS = ("plugin_running", "decided", "effects_written", "marked_done", "committed")
MOODS = st.sampled_from(["well", "fails", "snoozes", "fails", "cancels", "dies"])
RECORDS = st.sampled_from(["L1", "L2"])
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "industry": st.sampled_from(["ev", "packaging"]),
        "status": st.sampled_from("abc"),
        "region": st.sampled_from("xy"),
    },
)
PLUGINS = st.sampled_from(["alpha", "beta"])
UNITS = st.sampled_from(["default", "new_energy"])
EVENTS = st.builds(
    Sent,
    type=st.sampled_from(["lead.created", "lead.updated", "lead.updated", "lead.lost"]),
    record=RECORDS,
    version=st.integers(0, 30),
    completeness=st.sampled_from(["delta", "delta", "full"]),
    fields=FIELDS,
)


class Crash(BaseException):
    """The worker's process ends here."""

    def __init__(self, call: Call | None = None) -> None:
        self.call = call


class Promises(RuleBasedStateMachine):
    """Drives one small server against the model."""

    database: Database  # set by the subclass of each test

    @initialize(
        max_wait=st.sampled_from([None, None, 30]),
        batch=st.sampled_from([1, 2, 64]),
        moods=st.fixed_dictionaries({(name, record): MOODS for name in ("alpha", "beta") for record in ("L1", "L2")}),
        events=st.lists(EVENTS, min_size=1, max_size=4),
    )
    def begin(self, max_wait: int | None, batch: int, moods: dict[tuple[str, str], str], events: list[Sent]) -> None:
        self.clear()
        self.model = Model()
        self.mood = dict(moods)
        names = ("on_lead_created", "on_lead_updated", "on_lead_lost", "on_timer_due", "on_record_unit_changed")
        alpha = plugin("alpha", **dict.fromkeys(names, self.handle_alpha))
        beta = plugin("beta", on_event=self.handle_beta)
        self.kit = Kit(self.database, {"alpha": alpha, "beta": beta})
        self.kit.limits(
            max_wait=timedelta(minutes=max_wait) if max_wait else None, batch_size=batch, max_attempts=4,
            crashes_to_quarantine=2,
        )  # fmt: skip
        self.interventions = Interventions(self.database, self.kit.clock)
        self.replayer = Replayer(self.database, self.kit.clock, self._configuration, lambda: self.kit.plugins)
        for sent in events:
            self.send(sent)

    def clear(self) -> None:
        raise NotImplementedError

    def _configuration(self) -> Any:
        with self.database.read() as connection:
            return self.kit.current(connection)

    # ------------------------------------------------------------ the plugins

    def _behave(self, name: str, event: Any, ctx: Any) -> None:
        mood = self.mood.get((name, event.record_id), "well")
        if mood == "fails":
            raise RuntimeError("as planned")
        if mood == "snoozes":
            raise Snooze(minutes=5)
        if mood == "cancels":
            raise Cancel("as planned")
        if mood == "dies":
            self.mood[name, event.record_id] = "well"
            seq = next(row.seq for row in self.kit.rows(tables.events, tables.events.c.id == event.id))
            raise Crash(Call(ctx.unit.slug, name, event.id, seq, event.generation))

    def handle_alpha(self, event: Any, ctx: Any) -> list[Any]:
        self._behave("alpha", event, ctx)
        ctx.session.insert(ledger, event_id=event.id, unit=ctx.unit.slug, generation=event.generation)
        effects: list[Any] = [Decide(kind="seen", outcome=event.type, summary="", rule="test")]
        if event.type == "lead.created":
            effects += [UpdateRecord(fields={"grade": event.version[-4:]}, write_back=False)]
            effects += [StartTimer(timer="call", due_at=ctx.now + timedelta(minutes=10))]
        elif event.type == "lead.lost":
            effects += [CancelTimer(timer="call"), EmitEvent(type="alpha.noted", data={"from": event.type})]
        return effects

    def handle_beta(self, event: Any, ctx: Any) -> list[Any]:
        self._behave("beta", event, ctx)
        return [
            Decide(kind="seen", outcome=event.type, summary="", rule="test"),
            Notify(to="sales", template="seen"),
        ]

    # ------------------------------------------------------------ what may happen

    def send(self, sent: Sent, number: int | None = None) -> str:
        identity = self.kit.send(
            sent.type, sent.record, key=f"m{len(self.model.sent) if number is None else number}",
            version=sent.version, completeness=sent.completeness, **sent.fields,
        )  # fmt: skip
        if number is None:
            self.model.sent[identity] = sent
        return identity

    @rule(events=st.lists(EVENTS, max_size=2), batches=st.integers(0, 3))
    def work(self, events: list[Sent], batches: int) -> None:
        for sent in events:
            self.send(sent)
        for _ in range(batches):
            self._batch(lambda name: None)

    @rule(number=st.integers(0, 50), other_body=st.booleans())
    def send_again(self, number: int, other_body: bool) -> None:
        number %= len(self.model.sent)
        identity, sent = list(self.model.sent.items())[number]
        if other_body:
            sent = replace(sent, fields={"status": "other"})
        assert self.send(sent, number) == identity

    @rule(event=EVENTS, step=st.sampled_from(STEPS), after=st.integers(0, 2))
    def crash(self, event: Sent, step: str, after: int) -> None:
        self.send(event)
        left = after

        def at(name: str) -> None:
            nonlocal left
            if name == step:
                left -= 1
                if left < 0:
                    raise Crash

        self._batch(at)

    @rule(what=st.sampled_from(["discard", "retry", "replay"]), which=st.integers(0, 20))
    def meanwhile(self, what: str, which: int) -> None:
        """Somebody intervenes between deciding and writing, and a later event of the record is just being decided."""
        found = self.kit.rows(tables.deliveries, tables.deliveries.c.status != "completed")
        if not found:
            return
        chosen = found[which % len(found)]
        self.send(Sent("lead.lost", chosen.record_id, which, "delta", {"status": "c"}))
        act = {
            "discard": lambda: self.interventions.discard_delivery(chosen.id, actor="it", reason="test"),
            "retry": lambda: self.interventions.retry_delivery(chosen.id, actor="it"),
            "replay": lambda: self.replayer.replay_event(chosen.event_id, actor="it"),
        }[what]
        # On PostgreSQL an intervention waits until the batch has let go of the lane, so there it comes just before.
        self._batch_with("decided" if self.kit.database.is_sqlite else "", lambda: self._try(act))

    @rule(unit=UNITS, name=PLUGINS)
    def switch_meanwhile(self, unit: str, name: str) -> None:
        """A switch is committed between deciding and writing."""
        self._batch_with("decided", lambda: self.switch(unit, name, (unit, name) in self.kit.off))

    def _batch_with(self, step: str, act: Callable[[], None]) -> None:
        waiting = [act]
        if not step:
            waiting.pop()()

        def at(name: str) -> None:
            if name == step and waiting:
                waiting.pop()()

        self._batch(at)

    def _batch(self, step: Any) -> None:
        old = self.kit.dispatcher
        self.kit.dispatcher = Dispatcher(self.database, self.kit.clock, self.kit.plugins, self.kit, step=step)
        self.kit.dispatcher.one_at_a_time, self.kit.dispatcher.crashed = old.one_at_a_time, old.crashed
        try:
            self.kit.dispatcher.drain()
        except Redo:
            pass
        except Crash as crash:
            # The supervisor starts a new worker, which learns what the one before it died of.
            self.kit.dispatcher = Dispatcher(self.database, self.kit.clock, self.kit.plugins, self.kit)
            if crash.call is not None:
                with self.database.write() as connection:
                    record_crash(connection, crash.call, "killed", self.kit.clock.now(), limit=2)
                self.kit.dispatcher.one_at_a_time = 2
                self.kit.dispatcher.crashed = frozenset({(crash.call.event_id, crash.call.plugin)})
        finally:
            self.kit.dispatcher._step = lambda name: None
        self.model.see_dispatch(self.kit)

    @rule(minutes=st.sampled_from([0, 1, 6, 20, 45]), batches=st.integers(0, 2))
    def wait(self, minutes: int, batches: int) -> None:
        """Time passes, and the courier and the upkeep do their rounds."""
        self.kit.later(minutes=minutes)
        self._round()
        for _ in range(batches):
            self._batch(lambda name: None)

    def _round(self) -> None:
        """Timers whose plugin is on again run, due ones and follow-ups become events; what is over is let go."""
        now = self.kit.clock.now()
        with self.database.write() as connection:
            release_held(connection, self.kit.current(connection))
            release_lifted(connection, now)
            release_overdue(connection, now)
        self.kit.pass_on()

    @rule(name=PLUGINS, record=RECORDS, mood=MOODS)
    def change_mood(self, name: str, record: str, mood: str) -> None:
        self.mood[name, record] = mood

    @rule(unit=UNITS, name=PLUGINS, on=st.booleans())
    def switch(self, unit: str, name: str, on: bool) -> None:
        self.kit.switch(unit, name, on=on)
        self.model.off_at[self.kit.number] = frozenset(self.kit.off)

    @rule(unit=UNITS, name=PLUGINS)
    def lift_quarantine(self, unit: str, name: str) -> None:
        with self.database.write() as connection:
            lift(connection, unit, name, "it", self.kit.clock.now())

    @rule(what=st.sampled_from(["discard", "retry"]), which=st.integers(0, 20))
    def intervene(self, what: str, which: int) -> None:
        found = self.kit.rows(tables.deliveries, tables.deliveries.c.status != "completed")
        if found:
            identity = found[which % len(found)].id
            if what == "discard":
                self._try(lambda: self.interventions.discard_delivery(identity, actor="it", reason="test"))
            else:
                self._try(lambda: self.interventions.retry_delivery(identity, actor="it"))

    @rule(which=st.integers(0, 20))
    def replay(self, which: int) -> None:
        found = self.kit.rows(tables.events)
        if found:
            self._try(lambda: self.replayer.replay_event(found[which % len(found)].id, actor="it"))

    def _try(self, act: Callable[[], object]) -> None:
        """Do something a person may be refused."""
        with contextlib.suppress(Conflict):
            act()

    # ------------------------------------------------------------ what must be true

    @invariant()
    def promises_hold(self) -> None:
        check(self.kit, self.model)

    def teardown(self) -> None:
        """Let everything end well: every plugin works and is on, nothing is in quarantine, and time passes."""
        if not hasattr(self, "kit"):
            return
        self.mood.clear()
        for unit, name in sorted(self.kit.off):
            self.switch(unit, name, True)
        for unit, name in ((unit, name) for unit in self.kit.units for name in self.kit.plugins):
            self.lift_quarantine(unit, name)
        for _ in range(40):
            self._round()
            for _ in range(50):
                written = self.kit.dispatcher.drain()
                self.model.see_dispatch(self.kit)
                if not written.events and not written.deliveries:
                    break
            self.kit.later(hours=1)
        check(self.kit, self.model)
        check_rest(self.kit, self.model)
