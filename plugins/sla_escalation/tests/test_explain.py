"""A clock explains itself: golden texts of scenes that are hard to reckon by hand."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from plugins.sla_escalation.explain import explain, standing_of, state_now
from plugins.sla_escalation.models import ClockRow
from plugins.sla_escalation.tests.bench import Bench
from plugins.sla_escalation.tests.conftest import PEOPLE
from plugins.sla_escalation.tests.making import at, calendar, config

WORKING = {
    "policies": {
        "complaint_resolution": {
            "target": "16 working hours", "warn": ["50%"], "levels": [{"to": ["owner", "manager_of:owner"]}],
        }
    }
}  # fmt: skip

DONE = "resolved/solved/closed/completed/已解决/已关闭/已办结/已完成"


def lines(bench, name, language, now):
    row = next(row for row in bench.rows(ClockRow) if row.clock == name)
    (rule,) = [rule for rule in bench.config.rules[name] if rule.id == row.rule]
    return [getattr(line, language) for line in explain(row, rule, calendar("cn"), at(now))]


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
        "Resolution of a complaint, T-1 @ new_energy: breached, still open",
        "39 h of 16 h counted, 23 h over, due 2025-09-30 14:00",
        "policy complaint_resolution: 16 working hours (working time of cn), for all others",
        "not taken: complaint_complex: 需要 needs severity in complex/复杂, 实为 it is 未知 unknown",
        "not taken: complaint_complex_by_field: 需要 needs extra.complex in true/yes/1/是, 实为 it is 未知 unknown",
        "started 2025-09-28 10:00 by complaint.opened",
        "2025-09-28 10:00 to 2025-09-28 16:00 counted 5 h",
        "  2025-09-28 5 h, make-up working day 中秋节（调休上班）",
        "2025-09-28 16:00 to 2025-09-29 10:00 paused for 18 h, not counted (waiting_for = customer)",
        "2025-09-29 10:00 to now counted 34 h",
        "  2025-09-29 7 h",
        "  2025-09-30 8 h",
        "  2025-10-01 0 s, public holiday 国庆节",
        "  2025-10-02 0 s, public holiday 国庆节",
        "  2025-10-03 0 s, public holiday 国庆节",
        "  2025-10-04 0 s, public holiday 国庆节",
        "  2025-10-05 0 s, public holiday 中秋节",
        "  2025-10-06 0 s, public holiday 中秋节",
        "  2025-10-07 0 s, public holiday 中秋节（调休）",
        "  2025-10-08 0 s, public holiday 中秋节（调休）",
        "  2025-10-09 8 h",
        "  2025-10-10 8 h",
        "  2025-10-11 3 h, make-up working day 中秋节（调休上班）",
        "2025-09-29 14:00 warned 50%, told li_na (person:li_na → 李娜 (li_na) is there)",
        "2025-09-30 14:00 breached, told li_na, sun_li (person:li_na → 李娜 (li_na) is there; "
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
        "投诉解决，T-1 @ new_energy：暂停",
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
    bench = Bench(config({"policies": {"complaint_first_response": {"warn": [], "levels": []}}}), PEOPLE)
    bench.send("complaint.opened", {"id": "T-1", "industry": "ev"})
    start = bench.now
    bench.later(hours=25)
    bench.send("complaint.replied", {"id": "T-1", "waiting_for": "customer"}, at=start + timedelta(hours=23))
    assert lines(bench, "complaint_first_response", "en", "2026-12-01T00:00") == [
        "First response to a complaint, T-1 @ new_energy: met",
        "23 h of 1 d counted, due 2026-11-24 09:30",
        "policy complaint_first_response: 24 hours (elapsed time), for all others",
        "started 2026-11-23 09:30 by complaint.opened",
        "2026-11-23 09:30 to 2026-11-24 08:30 counted 23 h",
        "2026-11-24 09:30 breached, nobody was told of it by itself, withdrawn later",
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
    told = [line for line in found if ", told " in line]
    assert told
    assert all("told late at 2026-11-23 09:30" in line for line in told)


def test_a_clock_that_counts_back_says_from_what():
    bench = Bench(config(), PEOPLE)
    dates = {"promised_at": "2026-12-01T08:00:00+08:00", "estimated_at": "2026-12-05T08:00:00+08:00"}
    bench.send("order.delayed", {"id": "O-1", "industry": "ev", **dates})
    found = lines(bench, "order_delay_notice", "en", "2026-11-24T00:00")
    assert found[:3] == [
        "Announcement of a delay to the customer, O-1 @ new_energy: running",
        "due 2026-11-29 08:00",
        "policy order_delay_notice: 48 hours before promised_at (elapsed time), for all others",
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
