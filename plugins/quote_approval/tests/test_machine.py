"""Any order of submissions, changes, decisions, timers and ends keeps the promises of an approval."""

from __future__ import annotations

import contextlib

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core.api import OutriggerError
from core.testing import PluginServer, plugin_server
from plugins.quote_approval.models import Asked, Request
from plugins.quote_approval.states import Status
from plugins.quote_approval.tests.scene import CRITICAL, FOLDER, RISKY, SAFE, SETTINGS, Scene

PEOPLE = ["li_na", "chen", "he", "wang", "zhao", "sun", None]
CONTENTS = [SAFE, RISKY, CRITICAL, {**SAFE, "payment_terms": "面议"}, {**SAFE, "payment_terms": None}]
_servers: list[PluginServer] = []


class Approvals(RuleBasedStateMachine):
    """One quote's life; every example has a quote of its own in a server that all share."""

    @initialize()
    def begin(self) -> None:
        _servers[0].sit_down()
        self.scene = Scene(_servers[0])
        self.scene.know_customer()
        self.hash_decided: dict[str, str] = {}

    @rule(content=st.sampled_from(CONTENTS))
    def submit(self, content) -> None:
        self.scene.server.later(minutes=1)
        self.scene.submit(content)

    @rule(
        change=st.sampled_from(
            [{"discount": "0.03"}, {"discount": "0.04"}, {"margin": "0.08"}, {"need": "x"}, {"owner": "he"}]
        )
    )
    def update(self, change) -> None:
        self.scene.tell("quote.updated", **change)

    @rule(by=st.sampled_from(PEOPLE), decision=st.sampled_from(["approve", "approve", "reject", "ask", "answer"]))
    def decide(self, by, decision) -> None:
        if self.scene.request() is not None:
            with contextlib.suppress(OutriggerError):
                self.scene.decide(by, decision, comment="because")

    @rule(hours=st.integers(1, 40))
    def wait(self, hours) -> None:
        self.scene.server.later(hours=hours)

    @rule(unit=st.sampled_from(["packaging", "ev"]))
    def move(self, unit) -> None:
        self.scene.tell("quote.updated", industry=unit)

    @rule(how=st.sampled_from(["accepted", "rejected", "expired"]))
    def end(self, how) -> None:
        self.scene.tell(f"quote.{how}", status=how)

    def rows(self):
        return self.scene.server.rows(Request, Request.record_id == self.scene.quote)

    @invariant()
    def only_the_newest_request_lives(self) -> None:
        if not hasattr(self, "scene"):
            return
        newest = self.scene.request()
        for row in self.rows():
            if row.status in (Status.PENDING, Status.ASKED, Status.APPROVED):
                assert row.id == newest.id

    @invariant()
    def what_is_approved_is_what_was_looked_at(self) -> None:
        if not hasattr(self, "scene"):
            return
        for row in self.rows():
            if row.status == Status.APPROVED:
                assert self.hash_decided.setdefault(row.id, row.content_hash) == row.content_hash
                needed = len(row.route)
                agreed = {
                    asked.level
                    for asked in self.scene.server.rows(Asked, Asked.request_id == row.id)
                    if asked.state == "approved"
                }
                assert agreed == set(range(1, needed + 1))

    @invariant()
    def a_seat_decides_once_and_nobody_twice_or_about_their_own(self) -> None:
        if not hasattr(self, "scene"):
            return
        for row in self.rows():
            decided = [
                asked
                for asked in self.scene.server.rows(Asked, Asked.request_id == row.id)
                if asked.state in ("approved", "rejected") and asked.via != "admin"
            ]
            assert len({(asked.level, asked.slot) for asked in decided}) == len(decided)
            assert len({asked.person for asked in decided}) == len(decided)
            assert {"li.na": "li_na"}.get(row.owner, row.owner) not in {asked.person for asked in decided}

    @invariant()
    def timers_run_only_for_what_is_open(self) -> None:
        if not hasattr(self, "scene"):
            return
        newest = self.scene.request()
        is_open = newest is not None and newest.status in (Status.PENDING, Status.ASKED)
        assert is_open or self.scene.timers() == []

    @invariant()
    def every_delivery_completes(self) -> None:
        if hasattr(self, "scene"):
            assert self.scene.server.problems() == []


TestApprovals = Approvals.TestCase
TestApprovals.settings = settings(max_examples=12, stateful_step_count=12, deadline=None)


def setup_module() -> None:
    """Start the server that all examples share."""
    opened = plugin_server(FOLDER, SETTINGS)
    _servers.append(opened.__enter__())
    _open.append(opened)


def teardown_module() -> None:
    """Stop it."""
    _open.pop().__exit__(None, None, None)
    _servers.clear()


_open: list[contextlib.AbstractContextManager[PluginServer]] = []
