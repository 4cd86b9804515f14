"""The three-day cycle: reminders, escalation, the missed deadline, and timers that no longer stand."""

from __future__ import annotations

import pytest

from core.api import Conflict
from core.testing import plugin_server
from plugins.quote_approval.deciding import Said, decide
from plugins.quote_approval.reading import Filters, list_requests
from plugins.quote_approval.tests.scene import CRITICAL, FOLDER, RISKY, SETTINGS, Scene, scene

# Monday 23 November 2026, 09:30 in Shanghai; the calendar `cn` works 09:00 to 12:00 and 13:00 to 18:00.
STARTED = "2026-11-23T01:30:00Z"


@pytest.fixture
def monday():
    with scene() as made:
        yield made


def test_those_asked_are_reminded_then_their_manager_and_then_the_fallback_is_asked(monday):
    monday.hand_in()
    monday.server.move_to("2026-11-23T06:29:00Z")
    assert monday.outcomes() == ["requested"]
    monday.server.move_to("2026-11-23T06:31:00Z")
    assert monday.notices()[-1] == ("chen", "【提醒】报价 Q 待您审批")
    monday.server.move_to("2026-11-24T01:31:00Z")
    assert monday.notices()[-1] == ("wang", "【升级】报价 Q 待您审批")
    monday.server.move_to("2026-11-25T01:31:00Z")
    assert monday.notices()[-1] == ("zhao", "【升级】报价 Q 待您审批")
    assert monday.outcomes() == ["requested", "reminded", "escalated", "escalated"]
    assert sorted(monday.asked()) == ["chen", "wang", "zhao"]
    assert [timer.timer for timer in monday.timers()] == ["cycle"]
    assert monday.server.problems() == []


def test_whoever_was_asked_above_decides_for_the_one_who_did_not_answer(monday):
    monday.hand_in()
    monday.server.move_to("2026-11-24T01:31:00Z")
    assert monday.decide("wang").decided_by == "王总监"
    assert monday.statuses() == ["approved"]
    assert monday.timers() == []


def test_a_place_that_somebody_above_decided_waits_for_nobody_else(monday):
    rules = 'config.rules = [{ name = "all", reason = "x", levels = [{ who = ["reviewer", "finance"] }] }]\n'
    monday.server.configure(SETTINGS + rules)
    monday.hand_in()
    monday.server.move_to("2026-11-24T01:31:00Z")
    monday.decide("wang")
    with monday.server.desk.read() as session:
        assert list_requests(session, Filters(person="chen"))[0] == []
        assert len(list_requests(session, Filters(person="sun"))[0]) == 1
    with pytest.raises(Conflict, match="in the place of"):
        monday.decide("chen")
    assert monday.decide("sun").status == "approved"


def test_a_cycle_that_is_missed_is_a_decision_of_its_own_and_told_once(monday):
    monday.hand_in()
    monday.server.move_to("2026-11-26T01:31:00Z")
    assert monday.request().overdue is True
    assert monday.outcomes()[-1] == "deadline_missed"
    assert [person for person, subject in monday.notices() if "3 天" in subject] == ["zhao", "li_na"]
    monday.server.later(days=10)
    assert monday.outcomes().count("deadline_missed") == 1
    assert monday.decide("chen").status == "approved"


def test_the_rungs_of_the_next_level_count_from_when_it_was_asked(monday):
    monday.hand_in(CRITICAL)
    monday.server.move_to("2026-11-23T03:30:00Z")
    monday.decide("chen")
    monday.server.move_to("2026-11-23T08:29:00Z")
    assert monday.outcomes() == ["requested", "agreed", "requested"]
    monday.server.move_to("2026-11-23T08:31:00Z")
    assert [person for person, subject in monday.notices() if "提醒" in subject] == ["zhao", "sun"]


def test_only_the_places_that_are_open_climb(monday):
    monday.hand_in(CRITICAL)
    monday.decide("chen")
    monday.decide("zhao")
    monday.server.move_to("2026-11-24T01:31:00Z")
    # Finance's manager is the general manager, who has decided: whoever stands above both is asked, or nobody.
    reminded = [person for person, subject in monday.notices() if "提醒" in subject]
    assert reminded == ["sun"]
    assert "chen" not in monday.asked(2)


def test_a_decided_request_is_neither_reminded_nor_missed(monday):
    monday.hand_in()
    monday.decide("chen")
    told = len(monday.notices())
    monday.server.later(days=5)
    assert (len(monday.notices()), monday.outcomes()) == (told, ["requested", "approved"])


def test_a_question_stops_the_reminders_but_not_the_cycle(monday):
    monday.hand_in()
    monday.decide("chen", "ask", "Sure?")
    monday.server.later(days=4)
    assert monday.outcomes() == ["requested", "asked_back", "deadline_missed"]


def test_timers_that_fire_after_a_stop_say_so(monday):
    monday.hand_in()
    monday.server.jump(days=2)
    late = [row for row in monday.decisions() if row.outcome == "reminded"]
    assert "fired late" in late[0].reasons[0]["text"]


def test_a_ladder_that_became_shorter_ends_early(monday):
    monday.hand_in()
    monday.server.configure(SETTINGS + "config.ladder = []\n")
    monday.server.later(days=2)
    assert monday.outcomes() == ["requested"]
    assert monday.server.problems() == []


def test_somebody_who_can_be_asked_by_now_is_asked_at_the_next_rung():
    away = "absences = [{ from = 2026-11-20, until = 2026-11-23 }]\n"
    alone = SETTINGS.replace('name = "赵总"\n', 'name = "赵总"\n' + away) + 'config.reviewers.B = "general_manager"\n'
    with plugin_server(FOLDER, alone) as server:
        server.sit_down()
        stage = Scene(server)
        assert stage.hand_in().stuck
        server.move_to("2026-11-24T01:31:00Z")
        assert stage.asked() == ["zhao"]
        assert stage.request().stuck is None
        assert stage.decide("zhao").status == "approved"


@pytest.mark.parametrize(("quote", "status", "written"), [(CRITICAL, "pending", None), (RISKY, "approved", "approved")])
def test_what_a_switched_off_plugin_did_not_carry_out_follows_at_the_next_rung(monday, quote, status, written):
    monday.hand_in(quote)
    request = monday.request()
    decide(request.id, Said(decision="approve", version=1, by="chen", actor="chen"))
    monday.server.configure(SETTINGS.replace("enabled = true", "enabled = false"))
    monday.server.work()
    monday.server.configure(SETTINGS)
    assert monday.asked(2) == []
    monday.server.move_to("2026-11-23T06:31:00Z")
    assert monday.request().status == status
    if written:
        assert (monday.written()["status"], monday.timers()) == (written, [])
        assert monday.notices()[-1] == ("li_na", "报价 Q 已批准")
    else:
        assert sorted(monday.asked(2)) == ["sun", "zhao"]
    assert monday.server.problems() == []


# Friday 27 November 2026, 17:00 in Shanghai; some tests take the first week of December off.
FRIDAY = "2026-11-27T09:00:00Z"
DAYS = "\n".join(f'2026-12-{day:02} = {{ kind = "holiday", name = "长假" }}' for day in range(1, 8))
HOLIDAY = f"""
[units.default]
calendar = "plant"
[calendars.plant]
based_on = "cn"
[calendars.plant.days]
{DAYS}
"""


@pytest.fixture
def friday():
    with scene() as made:
        made.server.move_to(FRIDAY)
        yield made


def rungs(stage):
    """Let the ladder run out; return when each rung fired."""
    fired = []
    while ladder := [timer for timer in stage.timers() if timer.timer == "ladder"]:
        fired.append(ladder[0].due_at.strftime("%m-%d %H:%M"))
        stage.server.move_to(ladder[0].due_at)
    return fired


def test_rungs_that_would_come_after_the_cycle_are_brought_forward_into_it(friday):
    # Three days end on Monday at 17:00, after eight hours of work: the rungs come after two, four and six of them.
    assert friday.hand_in().deadline_at.strftime("%m-%d %H:%M") == "11-30 09:00"
    assert rungs(friday) == ["11-30 02:00", "11-30 04:00", "11-30 07:00"]
    assert friday.outcomes() == ["requested", "reminded", "escalated", "escalated"]
    assert "Brought forward" in friday.decisions()[1].reasons[0]["text"]


def test_rungs_of_a_late_level_still_come_within_the_cycle(friday):
    friday.hand_in(CRITICAL)
    friday.server.move_to("2026-11-30T05:00:00Z")
    friday.decide("chen")
    assert rungs(friday) == ["11-30 06:00", "11-30 07:00", "11-30 08:00"]


def test_before_a_holiday_nobody_is_asked_within_minutes_or_out_of_hours(friday):
    friday.server.configure(SETTINGS + HOLIDAY)
    friday.server.move_to("2026-11-30T09:30:00Z")  # half an hour of work is left
    friday.hand_in()
    assert rungs(friday) == ["12-08 01:30", "12-08 02:30", "12-08 03:30"]
    assert friday.outcomes() == ["requested", "deadline_missed", "reminded", "escalated", "escalated"]


def test_a_cycle_in_working_time_stands_still_over_a_holiday(friday):
    friday.server.configure(SETTINGS + 'config.cycle = "3 working days"\n' + HOLIDAY)
    friday.server.move_to("2026-11-30T09:30:00Z")
    assert friday.hand_in().deadline_at.strftime("%m-%d %H:%M") == "12-10 09:30"
    assert rungs(friday) == ["12-08 05:30", "12-08 09:30", "12-09 09:30"]
    assert friday.outcomes() == ["requested", "reminded", "escalated", "escalated"]


def test_a_quote_that_cannot_go_on_is_told_to_its_owner():
    gone = SETTINGS.replace(
        'roles = ["general_manager"]', 'roles = ["general_manager"]\nabsences = [{ from = 2026-01-01 }]'
    )
    with scene(gone) as stage:
        stage.hand_in(CRITICAL)
        assert stage.decide("chen").stuck
        assert ("li_na", "报价 Q 无法继续审批") in stage.notices()
        assert stage.server.problems() == []
