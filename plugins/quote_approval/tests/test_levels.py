"""Who is asked and when: levels one after the other, deputies, questions and their answers."""

from __future__ import annotations

import json

import pytest

from plugins.quote_approval.tests.scene import CRITICAL, SETTINGS, scene

MOVED = {"industry": "packaging"}


# ------------------------------------------------------------------------------------------------------------- levels


def test_levels_are_asked_one_after_the_other(both):
    both.hand_in(CRITICAL)
    assert both.asked() == ["chen"]
    request = both.decide("chen")
    assert (request.status, request.level, request.version) == ("pending", 2, 2)
    assert sorted(both.asked(2)) == ["sun", "zhao"]
    assert both.decide("sun").status == "pending"
    request = both.decide("zhao", comment="同意")
    assert (request.status, request.decided_by, request.comment) == ("approved", "赵总", "同意")
    assert both.written()["status"] == "approved"
    assert both.notices()[-1] == ("li_na", "报价 Q 已批准")
    assert both.outcomes() == ["requested", "agreed", "requested", "agreed", "approved"]
    assert both.timers() == []


def test_one_rejection_is_enough(stage):
    stage.hand_in(CRITICAL)
    stage.decide("chen")
    request = stage.decide("sun", "reject", "账期太长")
    assert (request.status, request.decided_by) == ("rejected", "孙会计")
    assert stage.notices()[-1] == ("li_na", "报价 Q 未获批准")


@pytest.mark.parametrize(("level", "needed"), [('mode = "any"', 1), ("min_approvers = 2", 2)])
def test_a_level_may_need_only_some(level, needed):
    who = 'who = ["reviewer", "finance", "general_manager"]'
    rules = f'config.rules = [{{ name = "all", reason = "x", levels = [{{ {who}, {level} }}] }}]\n'
    with scene(SETTINGS + rules) as stage:
        stage.hand_in()
        assert sorted(stage.asked()) == ["chen", "sun", "zhao"]
        for number, person in enumerate(["sun", "zhao"][:needed], 1):
            assert stage.decide(person).status == ("approved" if number == needed else "pending")


def test_nobody_is_asked_about_their_own_quote(stage):
    stage.hand_in(owner="chen")
    assert stage.asked() == ["wang"]


def test_whoever_agreed_is_not_asked_again_at_the_next_level():
    rules = (
        'config.rules = [{ name = "all", reason = "x", levels = [{ who = ["reviewer"] }, { who = ["bu_manager"] }] }]\n'
    )
    with scene(SETTINGS + rules) as stage:
        stage.hand_in()
        stage.decide("chen")
        assert stage.asked(2) == ["wang"]


def test_an_absent_approvers_deputy_is_asked():
    away = SETTINGS.replace('deputy = "he"', 'deputy = "he"\nabsences = [{ from = 2026-11-20, until = 2026-11-30 }]')
    with scene(away) as stage:
        stage.hand_in()
        assert stage.asked() == ["he"]
        assert "Quote Q waits" in stage.notices()[0][1]


def test_a_request_that_nobody_can_be_asked_about_is_stuck_and_says_why():
    alone = 'config.reviewers.B = "zhao"\nconfig.fallback = "zhao"\n'
    with scene(SETTINGS + alone) as stage:
        request = stage.hand_in(owner="zhao")
        assert "nobody is left" in request.stuck
        assert stage.outcomes() == ["stuck"]
        assert stage.decide(None, comment="Board decision").status == "approved"


# ---------------------------------------------------------------------------------------------------- question, answer


def test_a_question_goes_to_the_owner_and_the_answer_back(both):
    both.hand_in()
    request = both.decide("chen", "ask", "为什么毛利这么低？")
    assert (request.status, request.question, request.version) == ("asked", "为什么毛利这么低？", 2)
    assert both.written()["status"] == "question"
    assert both.notices()[-1] == ("li_na", "关于报价 Q 的问题")
    assert [timer.timer for timer in both.timers()] == ["cycle"]
    request = both.decide("li_na", "answer", "首单，走量")
    assert (request.status, request.answer, request.version) == ("pending", "首单，走量", 3)
    assert both.notices()[-1] == ("chen", "报价 Q 待您审批")
    assert "首单" in both.messages("notify")[-1].body
    assert both.decide("chen").status == "approved"
    assert both.outcomes() == ["requested", "asked_back", "answered", "approved"]


def test_the_same_quote_handed_in_again_answers_a_question(stage):
    stage.hand_in()
    stage.decide("chen", "ask", "Sure?")
    assert stage.submit().status == "pending"
    assert stage.outcomes()[-1] == "answered"
    assert stage.decide("chen").status == "approved"


def test_a_changed_quote_answers_a_question_with_a_new_request(stage):
    stage.hand_in()
    stage.decide("chen", "ask", "Sure?")
    assert stage.tell("quote.updated", discount="0.02").status == "pending"
    assert stage.statuses() == ["void", "pending"]


def test_every_message_is_there_in_english_too():
    english = SETTINGS.replace('language = "en"\n', "").replace('email = "', 'language = "en"\nemail = "')
    with scene(english) as stage:
        stage.hand_in(payment_terms=None)
        stage.submit()
        stage.decide("chen", "ask", "Why?")
        stage.decide("li_na", "answer", "Because")
        stage.server.later(days=4)
        stage.tell("quote.updated", discount="0.04")
        stage.decide("chen", "reject", "No")
        stage.submit(discount="0.02")
        stage.decide("chen", comment="Yes")
        stage.tell("quote.updated", discount="0.01")
        stage.tell("quote.accepted", status="accepted")
        assert stage.server.problems() == []
        subjects = {subject for _, subject in stage.notices()}
        texts = "".join(json.loads(row.body)["text"] for row in stage.messages("notify"))
    assert subjects == {
        "Quote Q is returned: something is missing",
        "Quote Q waits for your approval",
        "[Reminder] Quote Q waits for your approval",
        "[Escalated] Quote Q waits for your approval",
        "A question about quote Q",
        "Quote Q is not decided after 3 days",
        "The approval of quote Q is void",
        "Quote Q is not approved",
        "Quote Q is approved",
        "The customer accepted quote Q before it was approved",
    }
    assert not any(word in texts for word in ("客户：", "金额：", "期限：", "请您"))


def test_a_decision_that_the_quote_overtook_leaves_the_crm_alone(stage):
    stage.hand_in()
    server = stage.server
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "work", lambda: None)
        server.send("quote.updated", {"id": stage.quote, "discount": "0.04"})
        stage.decide("chen")
    server.work()
    assert stage.statuses() == ["void", "pending"]
    assert stage.written()["status"] == "in_approval"
    assert server.problems() == []
