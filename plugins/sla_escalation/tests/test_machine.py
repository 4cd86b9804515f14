"""Whatever happens to a complaint, in whatever order it is heard of: what must always be true of its clocks."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core.testing import NOW
from plugins.sla_escalation.models import ClockRow, Watch
from plugins.sla_escalation.rounds import rounds_of
from plugins.sla_escalation.rules import OPEN
from plugins.sla_escalation.signals import signal_of
from plugins.sla_escalation.tests.bench import Bench
from plugins.sla_escalation.tests.conftest import PEOPLE
from plugins.sla_escalation.tests.making import at, config

CONFIG = config()
EVENTS = [
    ("complaint.replied", {"waiting_for": "customer"}),
    ("complaint.replied", {"waiting_for": "service"}),
    ("complaint.updated", {"owner": "service.east"}),
    ("complaint.updated", {"severity": "complex"}),
    ("complaint.updated", {"severity": "low"}),
    ("complaint.updated", {"category": "quality"}),
    ("complaint.updated", {"category": "delivery"}),
    ("complaint.updated", {"waiting_for": "production"}),
    ("complaint.updated", {"industry": "packaging"}),
    ("complaint.updated", {"industry": "ev"}),
    ("complaint.resolved", {}),
    ("complaint.reopened", {}),
    ("complaint.closed", {}),
]


class Complaint(RuleBasedStateMachine):
    """One complaint, its events and the time."""

    @initialize()
    def begin(self) -> None:
        self.bench = Bench(CONFIG, PEOPLE)
        self.bench.send("complaint.opened", {"id": "T-1", "industry": "ev"})

    @rule(which=st.sampled_from(EVENTS), ago=st.integers(0, 30))
    def something_happens(self, which, ago) -> None:
        name, data = which
        when = max(self.bench.now - timedelta(hours=ago), NOW)
        self.bench.send(name, {"id": "T-1", **data}, at=when)

    @rule(hours=st.integers(1, 40))
    def time_passes(self, hours) -> None:
        self.bench.later(hours=hours)

    @rule(hours=st.integers(1, 60))
    def the_server_stands_still(self, hours) -> None:
        self.bench.jump(hours=hours)

    @rule(minutes=st.integers(1, 90))
    def the_machines_clock_is_set_back(self, minutes) -> None:
        self.bench.jump(minutes=-minutes)

    @invariant()
    def nobody_is_told_early_or_twice(self) -> None:
        for row in self.rows():
            for item in row.told:
                assert at(item["at"]) >= at(item["due"])
            standing = [item["key"] for item in row.told if item["withdrawn"] is None]
            assert len(standing) == len(set(standing))

    @invariant()
    def a_clock_is_open_once_and_has_one_timer_for_what_comes_next(self) -> None:
        open_rows = [row for row in self.rows() if row.state in OPEN]
        names = [(row.clock, row.unit) for row in open_rows]
        assert len(names) == len(set(names))
        assert len({row.unit for row in open_rows}) <= 1
        timers = {(item.timer, item.unit): item.due_at for item in self.bench.timers()}
        wanted = {(row.clock, row.unit): row.timer_at for row in open_rows if row.timer_at is not None}
        assert timers == wanted

    @invariant()
    def what_is_kept_is_what_the_kept_signals_say(self) -> None:
        (watch,) = self.bench.rows(Watch)
        signals = [signal_of(item) for item in watch.signals]
        rounds = {(name, item.number): item for name, clock in CONFIG.clocks.items() if clock.record == "complaint"
                  for item in rounds_of(clock, signals)}  # fmt: skip
        for row in self.rows():
            # What ended in a unit that the record has left stays counted there as it was known then.
            if row.unit == watch.unit and row.state not in ("cancelled", "handed_over"):
                found = rounds[row.clock, row.round]
                assert (row.started_at, row.ended_at) == (found.start.at, found.end.at if found.end else None)

    def rows(self) -> list[ClockRow]:
        return self.bench.rows(ClockRow)


Complaint.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestComplaint = Complaint.TestCase
