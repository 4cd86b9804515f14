"""Messages to people on their way out: by mail, robot and webhook; still true, at the channel's rate, no secrets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from core.model.effects import Link, Notify, Still
from core.pipeline.commands import Desk, use_desk
from core.pipeline.interventions import Interventions
from core.pipeline.links import open_link
from core.pipeline.receivers import Pace
from core.store import tables
from core.store.database import Database
from core.store.reading.outbox import MessageFilter, list_messages, show_message
from tests.egress.receivers import Certificates, MailServer, Robot, mail_server, make_certificates, robot
from tests.pipeline.kit import START
from tests.pipeline.sending import SECRET, Receiver_
from tests.pipeline.telling import Request, Telling, channels_of, requests

LEAD = {"company": "远航铝业", "grade": "A"}


def hot_lead(to: str = "zhang_wei", **more: Any) -> Notify:
    return Notify(**{"to": to, "template": "hot_lead", "data": LEAD, **more})


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def post(certificates: Certificates) -> Iterator[MailServer]:
    with mail_server(certificates) as running:
        yield running


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Iterator[Robot]:
    with robot() as running:
        monkeypatch.setenv("ROBOT_URL", running.url)
        yield running


def mail_channel(post: MailServer, certificates: Certificates, more: str = "") -> str:
    return (
        f'[channels.mail]\nkind = "smtp"\nhost = "127.0.0.1"\nport = {post.port}\n'
        f'sender = "outrigger@factory.example"\nca_file = "{certificates.authority}"\n{more}'
    )


ROBOT = '[channels.group]\nkind = "wecom_bot"\nurl = "env:ROBOT_URL"\n'


@pytest.fixture
def telling(database: Database, tmp_path: Path, post: MailServer, certificates: Certificates) -> Telling:
    return Telling(database, tmp_path / "alpha", mail_channel(post, certificates) + ROBOT)


def test_a_person_is_told_by_mail_once(telling: Telling, post: MailServer) -> None:
    telling.tell(hot_lead())
    assert telling.send() == 1 and telling.send() == 0
    [mail] = post.got
    row = telling.message()
    assert (row.status, row.attempts, row.sent_at, row.reason) == ("sent", 1, START, None)
    assert (
        mail.message["Subject"] == "热门线索：远航铝业" and mail.message["Message-ID"] == f"<{row.id}@factory.example>"
    )
    assert "张伟，您好：" in mail.text and mail.receivers == ["zhang.wei@factory.example"]


def test_a_group_is_told_and_its_person_called(telling: Telling, group: Robot) -> None:
    telling.tell(hot_lead(channel="group"))
    telling.send()
    assert telling.message().status == "sent"
    assert group.got[0]["markdown"]["content"].startswith("<@ZhangWei>\n**热门线索**")


def test_a_system_of_ones_own_is_told_by_a_signed_webhook(
    telling: Telling, receiver: Receiver_, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_SECRET", SECRET)
    telling.channels = channels_of(
        f'[channels.desk]\nkind = "webhook"\nurl = "{receiver.url}"\nsecret = "env:TEST_SECRET"\nfallback = true\n'
    )
    telling.tell(hot_lead("sales_directr"))
    telling.send()
    [got] = receiver.got
    said = json.loads(got.body)
    assert got.is_signed and said["type"] == "notify.hot_lead" and said["data"]["values"] == LEAD
    assert said["data"]["subject"] == "热门线索：远航铝业" and said["data"]["link"] is None
    assert said["data"]["person"] is None and said["data"]["record"] == {"source": "crm", "kind": "lead", "id": "L1"}


def test_a_refusal_for_now_is_tried_again_with_the_same_mail(telling: Telling, post: MailServer) -> None:
    post.answers["DATA"] = ["451 later"]
    telling.tell(hot_lead())
    telling.send()
    row = telling.message()
    assert row.status == "retryable" and "451" in row.reason
    telling.kit.clock.move_to(row.due_at)
    telling.send()
    assert telling.message().status == "sent" and len(post.got) == 1
    assert post.got[0].message["Date"] == "Sun, 22 Nov 2026 01:00:00 +0000"


def test_a_refusal_for_good_ends_loudly_and_spares_nobody_else(telling: Telling, post: MailServer) -> None:
    post.answers["RCPT"] = ["550 no such user"] * 6
    for number in range(8):
        telling.tell(hot_lead(), record=f"L{number}")
    telling.send()
    statuses = [row.status for row in telling.rows()]
    assert statuses.count("discarded") == 6 and statuses.count("sent") == 2
    assert "550, the receiver was refused: no such user" in next(row.reason for row in telling.rows() if row.reason)


def test_a_robot_that_is_asked_too_often_gets_nothing_for_a_minute(telling: Telling, group: Robot) -> None:
    group.answers = [(200, {"errcode": 45009, "errmsg": "api freq out of limit"})]
    telling.tell(hot_lead(channel="group"))
    telling.send()
    telling.tell(hot_lead(channel="group"), record="L2")
    assert telling.message_of("L1").status == "retryable" and telling.send() == 0
    telling.kit.later(seconds=60)
    telling.send()
    telling.kit.later(seconds=60)
    telling.send()
    assert {row.status for row in telling.rows()} == {"sent"}


# ---------------------------------------------------------------------------------------------------- links


def test_the_receiver_gets_the_token_and_nobody_else(telling: Telling, post: MailServer) -> None:
    telling.tell(Notify(to="zhang_wei", template="decide", link=Link(page="decide")))
    telling.send()
    address = next(line for line in post.got[0].text.splitlines() if line.startswith("http"))
    token = address.rpartition("/")[2]
    assert address == f"http://127.0.0.1:8080/pages/alpha/decide/{token}"
    use_desk(Desk(telling.kit.database, telling.kit.clock, telling.configuration))
    assert open_link(token, plugin="alpha", page="decide").person == "zhang_wei"
    with telling.kit.database.read() as connection:
        shown = json.dumps(show_message(connection, telling.message().id), default=str)
    assert token not in shown and telling.links()[0].id[:43] in shown


def test_every_attempt_carries_the_same_token(telling: Telling, post: MailServer) -> None:
    post.answers["DATA"] = ["451 later"]
    telling.tell(Notify(to="zhang_wei", template="decide", link=Link(page="decide")))
    telling.send()
    telling.kit.clock.move_to(telling.message().due_at)
    telling.send()
    other = telling.new_sender()
    with telling.kit.database.write() as connection:  # as if the courier had died before writing it down
        connection.execute(sa.update(tables.outbox).values(status="retryable", due_at=telling.kit.clock.now()))
    other.send_due()
    other.settle(20)
    assert len(post.got) == 2 and post.got[0].raw == post.got[1].raw


def test_what_a_quiet_replay_wrote_is_not_sent_by_hand_either(telling: Telling, post: MailServer) -> None:
    telling.tell(Notify(to="zhang_wei", template="decide", link=Link(page="decide")))
    with telling.kit.database.write() as connection:
        data = json.loads(telling.message().channel_data) | {"link": None}
        connection.execute(sa.update(tables.outbox).values(status="suppressed", channel_data=json.dumps(data)))
    Interventions(telling.kit.database, telling.kit.clock).retry_message(telling.message().id, actor="it")
    telling.send()
    assert telling.message().status == "suppressed" and "made no link" in telling.message().reason and post.got == []


# ---------------------------------------------------------------------------------------------------- still true?


def _decided(connection: sa.Connection) -> None:
    connection.execute(sa.update(requests).values(status="approved"))


def _deleted(connection: sa.Connection) -> None:
    connection.execute(sa.delete(requests))


def _dropped(connection: sa.Connection) -> None:
    requests.drop(connection)


def _narrowed(connection: sa.Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE alpha_requests DROP COLUMN version")


@pytest.mark.parametrize(
    ("happens", "why"),
    [
        (None, None),
        (_decided, "alpha_requests.status changed"),
        (_deleted, "the row of alpha_requests is gone"),
        (_dropped, "the table alpha_requests is gone"),
        (_narrowed, "alpha_requests has no column version any more"),
    ],
)
def test_a_message_that_is_no_longer_true_is_not_sent(
    telling: Telling, post: MailServer, happens: Callable[[sa.Connection], None] | None, why: str | None
) -> None:
    with telling.kit.database.write() as connection:
        connection.execute(sa.insert(requests).values(id="R-1", status="pending", version=2, is_open=True))
    telling.tell(hot_lead(still=Still.row(Request, "R-1", status="pending", version=2, is_open=True)))
    if happens is not None:
        with telling.kit.database.write() as connection:
            happens(connection)
    telling.send()
    row = telling.message()
    assert (row.status, row.reason) == (("suppressed", f"no longer true: {why}") if why else ("sent", None))
    assert len(post.got) == (0 if why else 1)


def test_a_condition_somebody_wrote_into_the_database_reads_no_other_table(telling: Telling, post: MailServer) -> None:
    for table, column in (
        ("links", "id"),
        ('alpha_requests"; DROP TABLE links; --', "id"),
        ("alpha_requests", "id = id --"),
    ):
        telling.tell(hot_lead(), record=f"L-{table}-{column}"[:40])
        with telling.kit.database.write() as connection:
            condition = {"table": table, "key": {column: "x"}, "values": {"status": "x"}}
            connection.execute(
                sa.update(tables.outbox)
                .where(tables.outbox.c.status == "available")
                .values(still_true=json.dumps(condition))
            )
        telling.send()
    assert {row.status for row in telling.rows()} == {"suppressed"} and post.got == []
    assert all("cannot be looked at" in row.reason for row in telling.rows())


# ---------------------------------------------------------------------------------------------------- rates


@pytest.fixture
def quick(database: Database, tmp_path: Path, group: Robot) -> Telling:
    return Telling(database, tmp_path / "alpha", ROBOT + 'format = "text"\nrate = "5/m"\n')


def _many(telling: Telling, count: int) -> None:
    telling.answer = lambda event: [hot_lead(channel="group", data={"company": event.record_id, "grade": "A"})]
    telling.kit.accept(*(telling.kit.event("lead.created", f"{number:03}") for number in range(count)))
    telling.kit.drain()
    telling.answer = lambda event: telling.effects


def _drain(telling: Telling) -> int:
    sent = 0
    while started := telling.send():
        sent += started
    return sent


def _order(group: Robot) -> list[str]:
    return [item["text"]["content"].split("：")[1][:3] for item in group.got]


def test_what_is_over_the_rate_waits_and_goes_in_order_and_nothing_is_lost(quick: Telling, group: Robot) -> None:
    _many(quick, 12)
    times: list[tuple[datetime, int]] = []
    for _ in range(20):
        times.append((quick.kit.clock.now(), _drain(quick)))
        quick.kit.later(seconds=15)
    assert [count for _, count in times if count] == [5, 5, 2]
    assert sorted(_order(group)) == [f"{number:03}" for number in range(12)]
    assert [sorted(_order(group)[a : a + 5]) for a in (0, 5)] == [
        [f"{number:03}" for number in range(5)],
        [f"{number:03}" for number in range(5, 10)],
    ]
    assert {row.status for row in quick.rows()} == {"sent"} and {row.attempts for row in quick.rows()} == {1}


def test_a_channel_at_its_rate_holds_up_no_other(quick: Telling, group: Robot, receiver: Receiver_) -> None:
    quick.channels = {**quick.channels, **channels_of(f'[channels.desk]\nkind = "webhook"\nurl = "{receiver.url}"\n')}
    _many(quick, 100)
    quick.tell(hot_lead(channel="desk"), record="last")
    _drain(quick)
    assert len(receiver.got) == 1 and len(group.got) == 5


def test_a_courier_that_starts_again_knows_what_was_just_sent(quick: Telling, group: Robot) -> None:
    _many(quick, 8)
    _drain(quick)
    quick.sender = quick.new_sender()
    assert _drain(quick) == 0 and len(group.got) == 5
    quick.kit.later(seconds=61)
    assert _drain(quick) == 3


def test_a_message_that_is_no_longer_true_takes_nobodys_turn(quick: Telling, group: Robot) -> None:
    for number in range(10):
        quick.tell(hot_lead(channel="group", still=Still.row(Request, "gone", status="x")), record=f"S{number}")
    _many(quick, 5)
    for _ in range(4):
        _drain(quick)
    assert len(group.got) == 5


def test_in_no_stretch_of_time_is_there_more_than_the_rate() -> None:
    pace = Pace(3, 10.0)
    went: list[datetime] = []
    for second in range(100):
        now = START + timedelta(seconds=second)
        for _ in range(pace.room(now) if second % 7 else 0):
            pace.note(now)
            went.append(now)
    for first in went:
        assert sum(first <= other < first + timedelta(seconds=10) for other in went) <= 3
    assert len(went) >= 24


def test_a_rate_that_is_changed_holds_from_then_on(quick: Telling, group: Robot) -> None:
    _many(quick, 12)
    _drain(quick)
    quick.channels = channels_of(ROBOT + 'format = "text"\nrate = "7/m"\n')
    assert _drain(quick) == 2


# ---------------------------------------------------------------------------------------------------- secrets


def test_no_secret_is_in_a_list_a_reason_or_a_row(
    database: Database, tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    canaries = ("canary-mail-71c3", "canary-robot-9a0e")
    monkeypatch.setenv("MAIL_PASSWORD", canaries[0])
    with mail_server(certificates, sign_in=True) as post, robot() as group:
        monkeypatch.setenv("ROBOT_URL", group.url.replace(group.key, canaries[1]))
        more = 'username = "bot"\npassword = "env:MAIL_PASSWORD"\n'
        telling = Telling(database, tmp_path / "alpha", mail_channel(post, certificates, more) + ROBOT)
        telling.tell(hot_lead(), hot_lead(channel="group", key="second"))
        telling.send()
        assert set(post.signed_in) == {("bot", canaries[0])} and len(group.got) == 1
    assert [row.status for row in telling.rows()] == ["retryable", "discarded"]
    with database.read() as connection:
        listed = [show_message(connection, row.id) for row in telling.rows()]
        shown = json.dumps([list_messages(connection, MessageFilter()).items, listed], default=str)
    told = shown + "".join(
        str(tuple(row)) for table in tables.metadata.sorted_tables for row in telling.kit.rows(table)
    )
    assert not any(canary in told for canary in canaries)
