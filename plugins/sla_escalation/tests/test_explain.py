"""A clock explains itself: golden texts of scenes that are hard to reckon by hand."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from core.api import MessageState
from plugins.sla_escalation.explain import explain, standing_of, state_now
from plugins.sla_escalation.models import ClockRow
from plugins.sla_escalation.seen import Seen
from plugins.sla_escalation.tests.bench import Bench
from plugins.sla_escalation.tests.conftest import PEOPLE
from plugins.sla_escalation.tests.making import at, calendar, config
from plugins.sla_escalation.words import local

WORKING = {
    "policies": {
        "complaint_resolution": {
            "target": "16 working hours", "warn": ["50%"], "levels": [{"to": ["owner", "manager_of:owner"]}],
        }
    }
}  # fmt: skip

DONE = "resolved/solved/closed/completed/已解决/已关闭/已办结/已完成"


def seen_at(bench, now, **more):
    hours = more.pop("hours", None) or calendar("cn")
    return Seen(hours, now, bench.directory.at(now, "new_energy", hours.zone).title, **more)


def lines(bench, name, language, now, **more):
    row = next(row for row in bench.rows(ClockRow) if row.clock == name)
    (rule,) = [rule for rule in bench.config.rules[name] if rule.id == row.rule]
    return [getattr(line, language) for line in explain(row, rule, seen_at(bench, at(now), **more))]


def test_the_national_day_week_of_2025_with_its_make_up_days_and_a_pause():
    bench = Bench(config(WORKING), PEOPLE)
    bench.now = at("2025-09-28T10:00+08:00")  # a Sunday that is worked
    bench.send("complaint.opened", {"id": "T-1", "industry": "ev", "owner": "service.east"})
    bench.later(hours=6)
    bench.send("complaint.updated", {"id": "T-1", "waiting_for": "customer"})
    bench.later(hours=18)
    bench.send("complaint.updated", {"id": "T-1", "waiting_for": "service"})
    bench.later(days=11)
    bench.later(hours=2)
    assert lines(bench, "complaint_resolution", "en", "2025-10-11T12:00+08:00") == [
        "Resolution of a complaint, T-1 @ new_energy: breached, still open (times of Asia/Shanghai)",
        "39 h of 16 h counted, 23 h over, due 2025-09-30 14:00",
        "policy complaint_resolution: 16 working hours (working time of cn), for all others",
        "not taken: complaint_complex: needs severity in complex/复杂, it is unknown",
        "not taken: complaint_complex_by_field: needs extra.complex in true/yes/1/是, it is unknown",
        "started 2025-09-28 10:00 by complaint.opened",
        "2025-09-28 10:00 to 2025-09-28 16:00 counted 5 h",
        "  2025-09-28 5 h (09:00-12:00, 13:00-18:00), make-up working day 中秋节（调休上班）",
        "2025-09-28 16:00 to 2025-09-29 10:00 paused for 18 h, not counted (waiting_for = customer)",
        "2025-09-29 10:00 to now counted 34 h",
        "  2025-09-29 7 h (09:00-12:00, 13:00-18:00)",
        "  2025-09-30 8 h (09:00-12:00, 13:00-18:00)",
        "  2025-10-01 0 s, public holiday 国庆节",
        "  2025-10-02 0 s, public holiday 国庆节",
        "  2025-10-03 0 s, public holiday 国庆节",
        "  2025-10-04 0 s, public holiday 国庆节",
        "  2025-10-05 0 s, public holiday 中秋节",
        "  2025-10-06 0 s, public holiday 中秋节",
        "  2025-10-07 0 s, public holiday 中秋节（调休）",
        "  2025-10-08 0 s, public holiday 中秋节（调休）",
        "  2025-10-09 8 h (09:00-12:00, 13:00-18:00)",
        "  2025-10-10 8 h (09:00-12:00, 13:00-18:00)",
        "  2025-10-11 3 h (09:00-12:00, 13:00-18:00), make-up working day 中秋节（调休上班）",
        "2025-09-29 14:00 warned 50%, message to 李娜 (li_na) (person:li_na → 李娜 (li_na) is there)",
        "2025-09-30 14:00 breached, message to 李娜 (li_na), 孙丽 (sun_li) (person:li_na → 李娜 (li_na) is there; "
        "manager_of:li_na → the manager of 李娜 (li_na) is 孙丽 (sun_li) → 孙丽 (sun_li) is there)",
        "any of these would stop it: resolved_at changes and resolved_at known; complaint.resolved/complaint.closed; "
        f"status changes and status in {DONE}",
        "it stands still while waiting_for in customer/client/客户",
    ]


def test_a_pause_leaves_the_due_moment_open_in_chinese():
    bench = Bench(config(), PEOPLE)
    bench.send("complaint.opened", {"id": "T-1", "industry": "ev", "owner": "service.east", "severity": "复杂"})
    bench.later(hours=4)
    bench.send("complaint.updated", {"id": "T-1", "waiting_for": "customer"})
    bench.later(hours=3)
    assert lines(bench, "complaint_resolution", "zh", "2026-11-23T16:30+08:00") == [
        "投诉解决，T-1 @ new_energy：暂停（时间均为 Asia/Shanghai）",
        "已计 4 小时，共 2 天，剩余 1 天 20 小时，恢复后重新计算到期",
        "政策 complaint_complex：48 小时（自然时间），因为 severity = 复杂",
        "起算 2026-11-23 09:30，事件 complaint.opened",
        "2026-11-23 09:30 至 2026-11-23 13:30 计 4 小时",
        "2026-11-23 13:30 至 现在 暂停 3 小时，不计时（waiting_for = customer）",
        "以下任一发生即停止：resolved_at 变更 且 resolved_at 已知；complaint.resolved/complaint.closed；"
        f"status 变更 且 status 属于 {DONE}",
        "以下情况暂停：waiting_for 属于 customer/client/客户",
    ]


def test_a_breach_that_was_told_before_the_reply_was_known():
    levels = [{"to": ["owner"]}]
    bench = Bench(config({"policies": {"complaint_first_response": {"warn": [], "levels": levels}}}), PEOPLE)
    bench.send("complaint.opened", {"id": "T-1", "industry": "ev"})
    start = bench.now
    bench.later(hours=25)
    bench.send("complaint.replied", {"id": "T-1", "waiting_for": "customer"}, at=start + timedelta(hours=23))
    assert lines(bench, "complaint_first_response", "en", "2026-12-01T00:00") == [
        "First response to a complaint, T-1 @ new_energy: met (times of Asia/Shanghai)",
        "23 h of 1 d counted, due 2026-11-24 09:30",
        "policy complaint_first_response: 24 hours (elapsed time), for all",
        "started 2026-11-23 09:30 by complaint.opened",
        "2026-11-23 09:30 to 2026-11-24 08:30 counted 23 h",
        "2026-11-24 09:30 breached, message to 王芳 (wang_fang), withdrawn later (the record has no owner → "
        "role:bu_manager@new_energy → 王芳 (wang_fang) holds bu_manager@new_energy → 王芳 (wang_fang) is there)",
        "2026-11-24 08:30 met: complaint.replied",
        "the breach was announced at 2026-11-24 09:30, before the reply was known (at 2026-11-24 10:30)",
    ]


def test_a_warning_that_was_told_before_the_reply_was_known_says_so():
    bench = Bench(config({"policies": {"complaint_first_response": {"warn": ["50%"], "levels": []}}}), PEOPLE)
    bench.send("complaint.opened", {"id": "T-1", "industry": "ev", "owner": "service.east"})
    start = bench.now
    bench.later(hours=13)
    bench.send("complaint.replied", {"id": "T-1", "waiting_for": "customer"}, at=start + timedelta(hours=11))
    (told,) = [line for line in lines(bench, "complaint_first_response", "en", "2026-12-01T00:00") if "warned" in line]
    assert ", when it was not known yet that it had ended" in told
    (told,) = [line for line in lines(bench, "complaint_first_response", "zh", "2026-12-01T00:00") if "预警" in line]
    assert "，当时尚不知已结束" in told


def test_what_was_heard_of_late_says_when_people_were_really_told():
    bench = Bench(config(), PEOPLE)
    opened = {"id": "T-1", "industry": "ev", "owner": "li.na"}
    bench.send("complaint.opened", opened, at=bench.now - timedelta(hours=26))
    found = lines(bench, "complaint_first_response", "en", "2026-11-23T10:00+08:00")
    told = [line for line in found if ", message to " in line]
    assert told
    assert all(", late at 2026-11-23 09:30 (it was not known before)" in line for line in told)


def test_a_clock_that_counts_back_says_from_what():
    bench = Bench(config(), PEOPLE)
    dates = {"promised_at": "2026-12-01T08:00:00+08:00", "estimated_at": "2026-12-05T08:00:00+08:00"}
    bench.send("order.delayed", {"id": "O-1", "industry": "ev", **dates})
    found = lines(bench, "order_delay_notice", "en", "2026-11-24T00:00")
    assert found[:3] == [
        "Announcement of a delay to the customer, O-1 @ new_energy: running (times of Asia/Shanghai)",
        "due 2026-11-29 08:00",
        "policy order_delay_notice: 48 hours before promised_at 2026-12-01 08:00 (elapsed time), for all",
    ]


def test_a_running_clock_is_judged_at_the_time_of_asking():
    bench = Bench(config(), PEOPLE)
    bench.send("complaint.opened", {"id": "T-1", "industry": "ev"})
    (row,) = [row for row in bench.rows(ClockRow) if row.clock == "complaint_first_response"]
    rule = bench.config.rules["complaint_first_response"][0]
    for hours, state in ((23, "running"), (24, "breached")):
        standing = standing_of(row, rule, calendar("cn"), bench.now + timedelta(hours=hours))
        assert state_now(row, standing) == state


def seconds_in(text):
    units = {"d": 86_400, "h": 3600, "min": 60, "s": 1}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+) (d|h|min|s)\b", text))


@pytest.mark.parametrize("settings", [None, WORKING])
def test_the_parts_that_are_shown_add_up_to_the_sum_that_is_shown(settings):
    bench = Bench(config(settings), PEOPLE)
    bench.now = at("2025-09-28T10:00:31+08:00")
    bench.send("complaint.opened", {"id": "T-1", "industry": "ev", "owner": "service.east"})
    for number in range(9):
        bench.jump(minutes=47 * number, seconds=40)
        bench.send("complaint.updated", {"id": "T-1", "waiting_for": ("customer", "service")[number % 2]})
    shown = lines(bench, "complaint_resolution", "en", bench.now.isoformat())
    parts = [
        line.partition(" counted ")[2]
        for line in shown
        if " to " in line and "counted" in line and "paused" not in line
    ]
    days = [line for line in shown if line.startswith("  20")]
    total = next(line for line in shown if " of " in line and " counted" in line).partition(" of ")[0]
    assert len(parts) == 5
    assert sum(map(seconds_in, parts)) == seconds_in(total) > 0
    assert not settings or sum(map(seconds_in, days)) == seconds_in(total)


def test_only_the_facts_that_a_policy_looks_at_are_its_reason():
    bench = Bench(config(), PEOPLE)
    bench.send("customer.updated", {"id": "C-1", "tier": "A"})
    bench.send("lead.created", {"id": "L-1", "industry": "ev", "grade": "A", "customer_id": "C-1"})
    policy = "policy lead_grade_a: 4 working hours (working time of cn), because grade = A"
    assert policy in lines(bench, "lead_first_contact", "en", bench.now.isoformat())


def test_a_running_clock_says_who_is_told_next_and_that_nobody_is_while_the_plugin_is_off():
    bench = Bench(config(), PEOPLE)
    bench.send("complaint.opened", {"id": "T-1", "industry": "ev"})
    now = bench.now.isoformat()
    coming = [line for line in lines(bench, "complaint_first_response", "zh", now) if line.startswith("将于")]
    assert coming == [
        "将于 2026-11-23 21:30 预警 50%，通知负责人",
        "将于 2026-11-24 04:42 预警 80%，通知负责人",
        "将于 2026-11-24 09:30 超时，通知负责人、负责人的上级",
        "将于 2026-11-24 13:30 升级（超时后 4 小时），通知事业部经理",
        "将于 2026-11-25 09:30 升级（超时后 24 小时），通知销售总监",
    ]
    english = lines(bench, "complaint_first_response", "en", now)
    assert "coming 2026-11-24 09:30: breach, to the owner, the manager of the owner" in english
    assert not any("switched off" in line for line in english)
    off = lines(bench, "complaint_first_response", "en", now, is_on=False)
    assert "the plugin is switched off in this unit: nobody is told until it is on again, and then late" in off


def test_a_due_moment_in_a_year_whose_holidays_are_not_published_says_so():
    bench = Bench(config({"policies": {"quote_decision": {"target": "3 working days"}}}), PEOPLE)
    bench.now = at("2098-12-31T10:00+08:00")
    bench.send("quote.submitted", {"id": "Q-1", "industry": "ev"})
    said = "2099 年的节假日和调休尚未公布，公布后到期时间可能变化"
    assert said in lines(bench, "quote_decision", "zh", "2098-12-31T11:00+08:00")


def test_an_hour_that_comes_twice_is_told_with_its_offset():
    twice = [at("2026-10-25T00:30Z"), at("2026-10-25T01:30Z")]
    assert [local(when, calendar("berlin")) for when in twice] == ["2026-10-25 02:30 +02:00", "2026-10-25 02:30 +01:00"]
    assert local(at("2026-10-25T03:30Z"), calendar("berlin")) == "2026-10-25 04:30"


@pytest.mark.parametrize(
    ("settings", "people", "ago", "said"),
    [
        ({}, PEOPLE, 20 * 24, "too long ago to tell anybody, only recorded"),
        ({"levels": []}, PEOPLE, 25, "breached, the policy names nobody to tell"),
        ({}, PEOPLE, 25, "warned 80%, it had passed when it became known, so nobody was told of it by itself"),
        ({}, PEOPLE, 29, "breached, message to 王芳 (wang_fang) (in one message with the next)"),
        (
            {}, PEOPLE.replace('units = ["*"]\n', 'units = ["*"]\nleft = 2020-01-01\n'), 25,
            "breached, nobody was found to tell (the record has no owner → role:bu_manager@new_energy → "
            "王芳 (wang_fang) holds bu_manager@new_energy → 王芳 (wang_fang) left after 2020-01-01: passed over → "
            "王芳 (wang_fang) has no manager → nobody is left to ask for role:bu_manager@new_energy on 2026-11-23)",
        ),
    ],
)  # fmt: skip
def test_a_moment_of_which_nobody_was_told_by_itself_says_why(settings, people, ago, said):
    bench = Bench(config({"policies": {"complaint_first_response": settings}}), people)
    bench.send("complaint.opened", {"id": "T-1", "industry": "ev"}, at=bench.now - timedelta(hours=ago))
    found = lines(bench, "complaint_first_response", "en", bench.now.isoformat())
    assert any(said in line for line in found), found


def test_an_owner_whom_nobody_knows_is_given_as_the_reason_for_another(bench):
    bench.send("complaint.opened", {"id": "T-1", "industry": "ev", "owner": "who.knows"})
    bench.later(hours=13)
    (told,) = [
        line for line in lines(bench, "complaint_first_response", "zh", bench.now.isoformat()) if "通知 " in line
    ]
    assert "（记录的负责人不在通讯录 → 事业部经理（bu_manager@new_energy） → 王芳 (wang_fang) 担任" in told


def test_no_explanation_in_chinese_holds_the_english_ids_of_who_was_asked(bench):
    bench.send("complaint.opened", {"id": "T-1", "industry": "ev", "owner": "service.east"})
    bench.later(hours=50)
    text = "\n".join(lines(bench, "complaint_first_response", "zh", bench.now.isoformat()))
    assert not re.search(r"role:|person:|manager_of:|needs|unknown|it is", text)


STATES = {
    "sent by mail at 2026-11-24 09:30:02": MessageState(
        status="sent", channel="mail", reason=None, sent_at=at("2026-11-24T01:30:02"), was_dropped=False),
    "not sent (no channel can take it: mail needs an e-mail address of li_na)": MessageState(
        status="suppressed", channel="nobody", sent_at=None, was_dropped=False,
        reason="no channel can take it: mail needs an e-mail address of li_na"),
    "not sent: it no longer held when it was to be sent (no longer true: state is met)": MessageState(
        status="suppressed", channel="mail", reason="no longer true: state is met", sent_at=None, was_dropped=True),
    "given up by mail (550, the receiver was refused)": MessageState(
        status="discarded", channel="mail", reason="550, the receiver was refused", sent_at=None, was_dropped=False),
    "being tried again by mail (451: later)": MessageState(
        status="retryable", channel="mail", reason="451: later", sent_at=None, was_dropped=False),
    "waiting to be sent by mail": MessageState(
        status="available", channel="mail", reason=None, sent_at=None, was_dropped=False),
}  # fmt: skip


@pytest.mark.parametrize("said", STATES)
def test_what_became_of_a_message_is_told_below_it(bench, said):
    bench.send("complaint.opened", {"id": "T-1", "industry": "ev", "owner": "service.east"})
    bench.later(hours=13)
    (row,) = [row for row in bench.rows(ClockRow) if row.clock == "complaint_first_response"]
    (item,) = row.told
    place = (item["event"], item["messages"][0])
    found = lines(bench, "complaint_first_response", "en", bench.now.isoformat(), messages={place: STATES[said]})
    below = next(number for number, line in enumerate(found) if "warned 50%" in line) + 1
    assert found[below] == f"  李娜 (li_na): {said}"


def test_a_make_up_day_is_named_once_in_chinese():
    bench = Bench(config(WORKING), PEOPLE)
    bench.now = at("2025-09-28T10:00+08:00")
    bench.send("complaint.opened", {"id": "T-1", "industry": "ev", "owner": "service.east"})
    found = lines(bench, "complaint_resolution", "zh", "2025-09-28T16:00+08:00")
    assert "  2025-09-28 计 5 小时（09:00-12:00、13:00-18:00），中秋节（调休上班）" in found
