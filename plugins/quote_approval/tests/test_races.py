"""Many people at the same moment: one decision counts, and none for another content than was read."""

from __future__ import annotations

import contextlib
import os
import random
import threading

import pytest

from core.api import Conflict
from plugins.quote_approval import changes, timing
from plugins.quote_approval.deciding import Said, decide
from plugins.quote_approval.models import Asked
from plugins.quote_approval.tests.scene import CRITICAL, SETTINGS, Scene, postgresql_answers, scene

QUOTES = int(os.environ.get("OUTRIGGER_APPROVAL_RACES", "20"))
"""How many quotes fifty decide about at once; a campaign asks for 1,000."""


def race(stage, people, count=50):
    """Let many decide at once about the newest request; return what each heard."""
    request, server = stage.request(), stage.server
    heard, gate = [], threading.Barrier(count)

    def act(number):
        server.sit_down()
        by, decision = people[number % len(people)], ("approve", "reject")[number % 2]
        said = Said(decision=decision, version=request.version, comment=f"{number}", by=by, actor=f"test:{by}")
        gate.wait()
        try:
            decide(request.id, said)
            heard.append("done")
        except Conflict:
            heard.append("conflict")

    threads = [threading.Thread(target=act, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return heard


def test_of_fifty_decisions_at_once_one_counts(both):
    both.hand_in()
    assert sorted(race(both, ["chen"])) == ["conflict"] * 49 + ["done"]
    both.server.work()
    assert both.statuses()[0] in ("approved", "rejected")
    assert [row.outcome for row in both.decisions() if row.decided_by != "rule"][1:] == both.statuses()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_of_fifty_decisions_at_once_one_counts_for_quote_after_quote(on_sqlite):
    on_sqlite.sit_down()
    for _ in range(QUOTES):
        stage = Scene(on_sqlite)
        stage.hand_in()
        assert race(stage, ["chen"]).count("done") == 1
        on_sqlite.work()
        persons = [row for row in stage.decisions() if row.rule == "person"]
        assert [row.outcome for row in persons] == stage.statuses()


def test_all_of_a_level_may_agree_at_the_same_moment(both):
    both.hand_in(CRITICAL)
    both.decide("chen")
    request, heard = both.request(), []

    def act(person):
        both.server.sit_down()
        decide(request.id, Said(decision="approve", version=request.version, by=person, actor=person))
        heard.append(person)

    threads = [threading.Thread(target=act, args=(person,)) for person in ("zhao", "sun")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    both.server.work()
    assert (sorted(heard), both.statuses()) == (["sun", "zhao"], ["approved"])


@pytest.mark.parametrize("seed", range(3))
def test_a_change_and_a_decision_at_the_same_moment_leave_no_approval_of_other_content(both, seed):
    both.hand_in()
    request, server = both.request(), both.server

    def act():
        server.sit_down()
        with contextlib.suppress(Conflict):
            decide(request.id, Said(decision="approve", version=1, by="chen", actor="chen"))

    thread = threading.Thread(target=act)
    steps = [thread.start, lambda: both.server.send("quote.updated", {"id": both.quote, "discount": "0.045"})]
    random.Random(seed).shuffle(steps)
    for step in steps:
        step()
    thread.join()
    both.server.work()
    assert both.statuses() == ["void", "pending"]
    assert both.written()["status"] == "in_approval"
    assert both.server.problems() == []


def meanwhile(monkeypatch, module, name, act):
    """Let somebody decide when a handler has read everything and written nothing; once, and not when decided anew."""
    original = getattr(module, name)
    done: list[bool] = []

    def read_then_act(*args, **values):
        found = original(*args, **values)
        if not done:
            done.append(act())
        return found

    monkeypatch.setattr(module, name, read_then_act)
    return done


def test_a_change_that_read_before_the_approval_voids_it_all_the_same(both, monkeypatch):
    request = both.hand_in()
    said = Said(decision="approve", version=request.version, by="chen", actor="chen")
    done = meanwhile(monkeypatch, changes, "_void", lambda: decide(request.id, said).status)
    both.tell("quote.updated", discount="0.045")
    assert (done, both.statuses()) == (["approved"], ["void", "pending"])
    assert both.outcomes() == ["requested", "approved", "voided", "requested"]
    assert both.written()["status"] == "in_approval"
    assert both.server.problems() == []


def test_a_rung_that_read_before_somebody_agreed_asks_nobody_in_that_place(monkeypatch):
    rules = 'config.rules = [{ name = "all", reason = "x", levels = [{ who = ["reviewer", "finance"] }] }]\n'
    for postgresql in (False, True) if postgresql_answers() else (False,):
        with scene(SETTINGS + rules, postgresql=postgresql) as stage, monkeypatch.context() as patch:
            request = stage.hand_in()
            stage.server.move_to("2026-11-23T06:31:00Z")
            said = Said(decision="approve", version=request.version, by="chen", actor="chen")
            done = meanwhile(patch, timing, "climb", lambda request=request, said=said: decide(request.id, said).status)
            stage.server.move_to("2026-11-24T01:31:00Z")
            rows = stage.server.rows(Asked, Asked.request_id == request.id)
            assert done == ["pending"]
            assert {row.person: row.state for row in rows} == {"chen": "approved", "sun": "open", "zhao": "open"}
            assert stage.server.problems() == []
