"""What people read: every template, in both languages, filled with what the plugin gives it."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from core.testing import filled
from plugins.sla_escalation.tests.bench import Bench
from plugins.sla_escalation.tests.conftest import FOLDER, PEOPLE
from plugins.sla_escalation.tests.making import config


def text(template, language, message):
    record = {"source": "crm", "kind": "complaint", "id": "T-1"}
    return filled(FOLDER, template, json.loads(message.body), language=language, record=record)


@pytest.fixture
def told(bench):
    """One message of each template: warned, broken, escalated, then taken back."""
    start = bench.now
    bench.send("complaint.opened", {"id": "T-1", "industry": "ev", "owner": "service.east"})
    bench.later(hours=29)
    bench.send("complaint.replied", {"id": "T-1", "waiting_for": "customer"}, at=start + timedelta(hours=23))
    return {message.type.removeprefix("notify."): message for message in reversed(bench.messages("notify"))}


@pytest.mark.parametrize(
    ("template", "language", "words"),
    [
        ("warned", "zh", ["预警：投诉首次响应 T-1", "2026年11月24日 周二 09:30", "已用 12 小时，时限 24 小时"]),
        ("warned", "en", ["Warning: First response to a complaint T-1", "has used 12 h of 24 hours"]),
        ("breached", "zh", ["超时：投诉首次响应 T-1", "已于 2026年11月24日 周二 09:30 超时"]),
        ("breached", "en", ["is overdue since Tue 24 Nov 2026 09:30; it had 24 hours"]),
        ("escalated", "zh", ["已超时 4 小时", "超时后 4 小时"]),
        ("escalated", "en", ["4 h over", "Level: 4 hours after the breach"]),
        (
            "withdrawn",
            "zh",
            ["2026年11月24日 周二 09:30 发出的超时通知撤回", "已于 2026年11月24日 周二 08:30 完成"],
        ),
        ("withdrawn", "en", ["is withdrawn", "was done Tue 24 Nov 2026 08:30"]),
    ],
)
def test_each_template_tells_what_is_due_and_since_when(told, template, language, words):
    found = text(template, language, told[template])
    assert [word for word in words if word not in found] == []


def test_a_message_after_a_stop_of_the_server_says_that_it_comes_late(bench):
    bench.send("complaint.opened", {"id": "T-1", "industry": "ev"})
    bench.jump(hours=60)
    (message, *_) = [item for item in bench.messages("notify") if item.type == "notify.escalated"]
    assert "told in this one message" in text("escalated", "en", message)
    assert "合并为此一条" in text("escalated", "zh", message)


def test_a_delay_that_was_overdue_when_it_became_known_is_told_as_such(bench):
    dates = {"promised_at": "2026-11-24T08:00:00+08:00", "estimated_at": "2026-11-27T08:00:00+08:00"}
    bench.send("order.delayed", {"id": "T-1", "industry": "ev", **dates})
    (message, *_) = bench.messages("notify")
    assert "was overdue when it became known" in text("breached", "en", message)
    assert "得知时已经超时" in text("breached", "zh", message)


def test_a_deputy_reads_in_whose_place_the_message_comes():
    absence = '{ from = 2026-11-20, until = 2026-11-30, reason = "年假" }'
    away = f'manager = "sun_li"\ndeputy = "zhao_lei"\nabsences = [{absence}]'
    bench = Bench(config(), PEOPLE.replace('manager = "sun_li"', away))
    bench.send("complaint.opened", {"id": "T-1", "industry": "ev", "owner": "service.east"})
    bench.later(hours=13)
    message = bench.messages("notify")[0]
    assert text("warned", "zh", message).endswith(
        "通知您的原因：李娜 (li_na) 不在岗，至 2026-11-30（年假）；代理人：赵磊 (zhao_lei) → 赵磊 (zhao_lei) 在岗"
    )
    assert text("warned", "en", message).endswith(
        "Why you are told: person:li_na → 李娜 (li_na) is absent until 2026-11-30 (年假); deputy: 赵磊 (zhao_lei) → "
        "赵磊 (zhao_lei) is there"
    )
