"""Notify, when it is recorded: who is told, by which channel, in which words, and what cannot be told."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from core.egress.wording import plain
from core.model.effects import Link, Notify, SendWebhook, StartTimer, Still
from core.model.spans import parse_span
from core.pipeline.replay import Replayer
from core.pipeline.templates import check_templates
from core.store import tables
from core.store.database import Database
from core.store.migrate import migrate
from tests.egress.injections import CORPUS
from tests.pipeline.kit import START
from tests.pipeline.telling import CHANNELS, Request, Telling

LEAD = {"company": "远航铝业", "grade": "A"}


def hot_lead(to: str = "sales_director", **more: Any) -> Notify:
    return Notify(**{"to": to, "template": "hot_lead", "data": LEAD, **more})


@pytest.fixture
def telling(database: Database, tmp_path: Path) -> Telling:
    return Telling(database, tmp_path / "alpha")


@pytest.fixture
def quick(sqlite_url: str, tmp_path: Path) -> Telling:
    """On SQLite alone, for what does not touch the database much."""
    database = Database(sqlite_url)
    migrate(database, [])
    return Telling(database, tmp_path / "alpha")


# ---------------------------------------------------------------------------------------------------- who


@pytest.mark.parametrize("to", ["sales_director", "zhang_wei", "u-1", "away"])
def test_a_role_a_slug_a_crm_id_and_an_absent_person_reach_who_is_to_be_asked(telling: Telling, to: str) -> None:
    telling.tell(hot_lead(to))
    row = telling.message()
    data = json.loads(row.channel_data)
    assert (row.target, row.status, row.reason) == ("mail", "available", None)
    assert data["address"] == {"name": "张伟", "email": "zhang.wei@factory.example"}
    assert data["asked"]["person"] == "zhang_wei" and data["asked"]["path"]
    assert json.loads(row.body) == {
        "subject": "热门线索：远航铝业",
        "text": "张伟，您好：\n公司：远航铝业\n级别：A",
    }


def test_a_person_is_told_by_the_first_channel_of_their_own_in_their_language(telling: Telling) -> None:
    telling.tell(hot_lead("smith"))
    assert telling.message().target == "group"
    assert telling.body()["markdown"]["content"] == ("**Hot lead: 远航铝业**\nDear Anna Smith,\n远航铝业 is grade A.")


def test_markdown_has_a_template_of_its_own_where_there_is_one(telling: Telling) -> None:
    telling.tell(hot_lead(channel="group"))
    assert telling.body()["markdown"]["content"] == ("<@ZhangWei>\n**热门线索**\n> 公司：**远航铝业**\n> 级别：A")


def test_a_language_without_a_template_falls_back_to_the_other(quick: Telling) -> None:
    quick.tell(hot_lead("smith", template="only_zh", channel="mail"))
    assert quick.body()["subject"] == "只有中文"


@pytest.mark.parametrize(
    ("effect", "why"),
    [
        (hot_lead("no_mail"), "mail needs an e-mail address of no_mail"),
        (hot_lead("nobody_role"), "nobody is left to ask for role:nobody_role"),
        (hot_lead("sales_directr"), 'Did you mean "sales_director"?'),
        (hot_lead(channel="mial"), 'there is no channel "mial" in plugins.toml Did you mean "mail"?'),
    ],
)
def test_what_nobody_can_take_is_kept_with_the_reason(quick: Telling, effect: Notify, why: str) -> None:
    quick.tell(effect)
    row = quick.message()
    assert row.status == "suppressed" and why in row.reason
    assert quick.body()["data"]["values"] == LEAD
    assert quick.send() == 0


def test_without_channels_it_is_kept_and_needs_no_template(quick: Telling) -> None:
    quick.channels = {}
    quick.tell(hot_lead(template="not_written_yet"))
    assert quick.message().status == "suppressed" and "plugins.toml has no [channels]" in quick.message().reason


def test_the_fallback_takes_what_nobodys_channel_can_take(sqlite_url: str, tmp_path: Path) -> None:
    database = Database(sqlite_url)
    migrate(database, [])
    telling = Telling(database, tmp_path / "alpha", CHANNELS + "fallback = true\nlanguage = 'en'\n")
    telling.tell(hot_lead("nobody_role"), hot_lead("no_mail", key="second"))
    assert [row.target for row in telling.rows()] == ["group", "group"]
    assert "Hot lead" in telling.rows()[0].body and "热门线索" in telling.rows()[1].body
    tried = json.loads(telling.rows()[1].channel_data)["tried"]
    assert tried == ["mail needs an e-mail address of no_mail"]


def test_a_quiet_replay_keeps_the_message_to_itself(telling: Telling) -> None:
    telling.tell(hot_lead(template="decide", link=Link(page="decide")))
    event = telling.message().event_id
    replayer = Replayer(telling.kit.database, telling.kit.clock, telling.configuration, lambda: telling.kit.plugins)
    replayer.replay_event(event, actor="it")
    telling.kit.drain()
    first, second = telling.rows()
    assert (first.status, second.status) == ("available", "suppressed")
    assert len(telling.links()) == 1 and "not-made-in-a-replay" in second.body


# ---------------------------------------------------------------------------------------------------- words


def test_times_amounts_and_numbers_are_told_as_people_of_the_unit_read_them(quick: Telling) -> None:
    quick.template(
        "told.zh.txt",
        "Subject: {{ due | day }}\n{{ due | when }}|{{ text | when }}|{{ due }}|{{ amount | money }}|"
        "{{ amount | money('USD') }}|{{ share | number }}|{{ share | number(1) }}|{{ none }}|{{ unit }}|"
        "{{ record.id }}",
    )
    quick.template("told.en.txt", "Subject: {{ due | day }}\n{{ due | when }}|{{ day | day }}")
    data = {
        "due": datetime(2026, 11, 23, 23, 30, tzinfo=UTC), "text": "2026-11-24T09:00:00+08:00", "none": None,
        "amount": Decimal("1200000.5"), "share": "1234.5500", "day": "2026-10-01",
    }  # fmt: skip
    quick.tell(hot_lead(template="told", data=data), hot_lead("smith", template="told", data=data, channel="mail"))
    zh, en = (json.loads(row.body) for row in quick.rows())
    assert zh["subject"] == "2026年11月24日 周二"
    assert zh["text"] == (
        "2026年11月24日 周二 07:30|2026年11月24日 周二 09:00|2026年11月24日 周二 07:30|CNY 1,200,000.50|"
        "USD 1,200,000.50|1,234.55|1,234.6|—|其他|L1"
    )
    assert en == {"subject": "Tue 24 Nov 2026", "text": "Tue 24 Nov 2026 07:30|Thu 1 Oct 2026"}


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("missing", None, "alpha/templates/missing.zh.txt is missing"),
        ("hot_leed", None, 'Did you mean "hot_lead"?'),
        ("../secret", None, 'There is no template "../secret"'),
        (
            "wrong",
            "Subject: x\n{{ compny }}",
            "templates/wrong.zh.txt: 'compny' is undefined; it is given company, grade",
        ),
        ("wrong", "Subject: x\n{{ record.nmae }}", "'dict object' has no attribute 'nmae'"),
        ("wrong", "Subject: x\n{% if %}", "templates/wrong.zh.txt, line 2"),
        ("wrong", "没有标题\n", 'the first line must be "Subject: …"'),
        ("wrong", "Subject: x\n{{ company | money }}", "远航铝业 is not a number"),
        ("wrong", "Subject: x\n{{ company.__class__.__mro__ }}", "SecurityError"),
        ("wrong", "Subject: x\n{{ link }}", "'link' is undefined"),
        ("wrong", "Subject: x\n{% include 'other' %}", "templates/wrong.zh.txt"),
    ],
)
def test_a_fault_of_a_template_fails_the_delivery_naming_file_and_variable(
    quick: Telling, name: str, text: str | None, why: str
) -> None:
    if text is not None:
        quick.template("wrong.zh.txt", text)
    quick.tell(hot_lead(template=name))
    assert why in quick.refusal() and quick.refusal().startswith("plugin.effect_refused") and quick.rows() == []


def test_a_subject_that_ends_with_a_block_swallows_no_line_of_the_text(quick: Telling) -> None:
    quick.template(
        "block.zh.txt", "Subject: {% if grade == 'A' %}急{% endif %}\n第一行\n{% if grade %}\n第二行\n{% endif %}\n"
    )
    quick.tell(hot_lead(template="block"))
    assert quick.body() == {"subject": "急", "text": "第一行\n第二行"}


def test_templates_can_be_checked_before_anything_is_told(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    for name, text in {
        "a.zh.txt": "Subject: x\n",
        "a.en.txt": "x\n",
        "b.zh.txt": "Subject: {{\n",
        "c.html": "",
    }.items():
        (tmp_path / "templates" / name).write_text(text)
    missing, broken = "templates/b.en.txt is missing", "templates/b.zh.txt: "
    faults = check_templates(tmp_path)
    assert faults[0].startswith("templates/a.en.txt: the first line") and faults[1] == missing
    assert faults[2].startswith(broken) and len(faults) == 3
    assert check_templates(tmp_path / "none") == []


def test_a_template_is_read_once(quick: Telling) -> None:
    quick.tell(hot_lead())
    (quick.folder / "templates" / "hot_lead.zh.txt").unlink()
    quick.tell(hot_lead(), record="L2")
    assert quick.rows()[0].body == quick.rows()[1].body


def test_plugins_that_tell_nobody_touch_neither_directory_nor_templates(
    quick: Telling, monkeypatch: pytest.MonkeyPatch
) -> None:
    def touched(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("was touched")

    monkeypatch.setattr("core.pipeline.recorder.make_notice", touched)
    quick.tell(StartTimer(timer="t", due_at=START))
    assert [row.status for row in quick.kit.rows(tables.deliveries)] == ["completed"]


# ---------------------------------------------------------------------------------------------------- injection


def test_no_value_becomes_a_header_a_line_markup_a_mention_or_code(quick: Telling) -> None:
    quick.template("field.zh.txt", "Subject: 线索 {{ company }} 完\n一 {{ company }} 二\n第三行\n")
    values: dict[str, str] = {}
    for number, value in enumerate(CORPUS):
        if "\ud800" in value or "\x00" in value:
            continue  # no effect holds them: the handler refuses both before anything is recorded
        values[f"L{number}"] = value
    quick.answer = lambda event: [
        hot_lead(template="field", data={"company": values[event.record_id]}, channel=channel, key=channel)
        for channel in ("mail", "group")
    ]
    quick.kit.accept(*(quick.kit.event("lead.created", record) for record in values))
    quick.kit.drain()
    rows = quick.rows()
    assert len(rows) > 200 and {row.status for row in quick.kit.rows(tables.deliveries)} == {"completed"}
    for row in rows:
        body = json.loads(row.body)
        if row.target == "mail":
            assert body["subject"].startswith("线索 ") and len(body["subject"].splitlines()) == 1
            lines = body["text"].split("\n")
            assert len(lines) == 2 and lines[1] == "第三行" and lines[0].startswith("一 ") and lines[0].endswith(" 二")
        else:
            call, subject, *lines = body["markdown"]["content"].split("\n")
            assert call == "<@ZhangWei>" and subject.startswith("**线索 ")
            assert subject.count("**") == 2 or "…" in subject
            told = subject.strip("*") + "".join(lines)
            assert not set(told) & set("<>[]`") and len(row.body.encode()) < 4600


def test_a_value_cannot_take_the_place_of_the_link(quick: Telling) -> None:
    quick.template("decide2.zh.txt", "Subject: x\n{{ company }}\n{{ link }}")
    quick.tell(hot_lead(template="decide2", data={"company": "a", "link": "https://evil.example/{{ link }}"},
                        link=Link(page="decide")))  # fmt: skip
    [link] = quick.links()
    assert "evil" not in quick.message().body and link.id[:43] in quick.message().body


def test_plain_text_of_the_corpus_is_what_a_reader_sees() -> None:
    assert plain("{{ 7 * 7 }}") == "{{ 7 * 7 }}" and plain("远航\r\nBcc: x") == "远航  Bcc: x"


# ------------------------------------------------------------------------------------------ links, still, timers


def test_a_link_is_made_for_the_person_and_only_its_hash_is_kept(telling: Telling) -> None:
    subject = {"request": "R-1", "version": 3, "amount": Decimal("10.50")}
    telling.tell(hot_lead(template="decide", link=Link(page="decide", subject=subject)))
    [link] = telling.links()
    assert (link.plugin, link.page, link.person, link.unit) == ("alpha", "decide", "zhang_wei", "default")
    assert link.subject == {"request": "R-1", "version": 3, "amount": "10.50"}
    assert link.expires_at == START + timedelta(hours=72) and link.used_at is None
    assert f"http://127.0.0.1:8080/pages/alpha/decide/{link.id[:43]}\n" in telling.body()["text"]


@pytest.mark.parametrize(
    ("link", "why"),
    [
        (Link(page="decide", valid_for=timedelta(hours=73)), "at most 3 days"),
        (Link(page="decide", valid_for=timedelta(0)), "more than no time"),
        (Link(page="../admin"), "lower-case"),
    ],
)
def test_a_link_that_cannot_be_fails_the_delivery(quick: Telling, link: Link, why: str) -> None:
    quick.tell(hot_lead(template="decide", link=link))
    assert why in quick.refusal() and quick.links() == []


def test_a_link_does_not_go_to_a_group_that_everybody_reads(quick: Telling) -> None:
    quick.tell(
        hot_lead("smith", template="decide", link=Link(page="decide")),
        hot_lead(template="decide", link=Link(page="decide"), channel="group", key="asked"),
        hot_lead("nobody_role", template="decide", link=Link(page="decide"), key="nobody"),
    )
    own, asked, nobody = quick.rows()
    assert (own.target, own.status) == ("mail", "available")
    assert json.loads(own.channel_data)["tried"] == ["group takes no links for one person (`links = false`)"]
    assert asked.status == "suppressed" and "takes no links" in asked.reason
    assert nobody.status == "suppressed" and "made for one person" in nobody.reason
    assert len(quick.links()) == 1


@pytest.mark.parametrize(
    ("still", "why"),
    [
        (Still(table="alpha_request", key={"id": "1"}, values={"status": "x"}), 'Did you mean "alpha_requests"?'),
        (Still(table="events", key={"id": "1"}, values={"status": "x"}), "none of alpha"),
        (Still(table="alpha_requests", key={"id": "1"}, values={"stats": "x"}), 'Did you mean "status"?'),
        (Still(table="alpha_requests", key={}, values={"status": "x"}), "needs the key"),
        (Still(table="alpha_requests", key={"id": "1"}, values={"status": ["x"]}), "compares texts"),
    ],
)
def test_a_condition_on_what_is_no_row_of_the_plugin_fails_the_delivery(quick: Telling, still: Still, why: str) -> None:
    quick.tell(hot_lead(still=still))
    assert why in quick.refusal()


def test_a_condition_is_stored_as_the_database_sees_it(telling: Telling) -> None:
    telling.tell(hot_lead(still=Still.row(Request, "R-1", status="pending", version=2, is_open=True)))
    assert json.loads(telling.message().still_true) == {
        "table": "alpha_requests",
        "key": {"id": "R-1"},
        "values": {"status": "pending", "version": 2, "is_open": True},
    }


def test_a_timer_can_be_set_in_working_time(telling: Telling) -> None:
    telling.kit.clock.move_to(datetime(2026, 11, 20, 8, 0, tzinfo=UTC))  # Friday, 16:00 in Shanghai
    telling.tell(
        StartTimer(timer="working", after=parse_span("8 working hours")),
        StartTimer(timer="elapsed", after=parse_span("24h")),
    )
    due = {row.timer: row.due_at for row in telling.kit.rows(tables.timers)}
    assert due["elapsed"] == datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
    assert due["working"] == telling.calendar.add(telling.kit.clock.now(), timedelta(hours=8))
    assert due["working"] > datetime(2026, 11, 23, tzinfo=UTC)  # the week-end between does not count


@pytest.mark.parametrize("times", [{}, {"due_at": START, "after": parse_span("1h")}])
def test_a_timer_needs_exactly_one_of_two_times(quick: Telling, times: dict[str, Any]) -> None:
    quick.tell(StartTimer(timer="t", **times))
    assert "exactly one of `due_at` and `after`" in quick.refusal()


def test_a_notify_beside_other_messages_is_recorded_with_them(telling: Telling) -> None:
    telling.tell(hot_lead(), SendWebhook(endpoint="desk", type="a"))
    assert telling.rows() == [] and "no" in telling.refusal()
