"""What becomes of the clock of a quote as its approval goes on."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from core.testing import NOW, context, plugin_event, plugin_session, quote_event
from plugins.sla_escalation.models import ClockRow
from plugins.sla_escalation.plugin import on_event
from plugins.sla_escalation.tests.conftest import FOLDER, PEOPLE
from plugins.sla_escalation.tests.making import config

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(("status", "state"), [("approved", "met"), ("asked", "running")])
def test_a_quote_is_decided_when_the_approvers_have_and_not_when_one_asks_back(status, state):
    with plugin_session(FOLDER) as session:
        ctx = context(config(), unit="new_energy", session=session, calendar="cn", people=PEOPLE)
        on_event(quote_event("quote.submitted", event={"unit": "new_energy"}), ctx)
        session.apply()
        record = quote_event("quote.submitted").record
        on_event(plugin_event("quote_approval.decided", {"status": status}, kind="quote", record=record), ctx)
        session.apply()
        (row,) = session.scalars(sa.select(ClockRow))
    assert row.state == state


def test_a_quote_that_is_changed_after_its_approval_has_its_three_days_again():
    with plugin_session(FOLDER) as session:
        ctx = context(config(), unit="new_energy", session=session, calendar="cn", people=PEOPLE)
        on_event(quote_event("quote.submitted", event={"unit": "new_energy"}), ctx)
        record = quote_event("quote.submitted").record
        states = []
        steps = (
            ("quote_approval.requested", {"request": "apr_1"}),
            ("quote_approval.decided", {"status": "approved"}),
            ("quote_approval.requested", {"request": "apr_2"}),
            ("quote_approval.decided", {"status": "approved"}),
        )
        for number, (name, data) in enumerate(steps):
            session.apply()
            at = NOW + (number + 1) * HOUR
            when = {"id": f"evt_{number}", "occurred_at": at, "accepted_at": at}
            on_event(plugin_event(name, data, kind="quote", record=record, event=when), ctx)
            session.apply()
            states.append([row.state for row in session.scalars(sa.select(ClockRow).order_by(ClockRow.round))])
    assert states == [["running"], ["met"], ["met", "running"], ["met", "met"]]
