"""A channel's rate holds over all couriers of one PostgreSQL database, and one alone still uses all of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from core.model.effects import Notify, Still
from core.pipeline import outbox
from core.pipeline.outbox import CLAIM, Sender
from core.pipeline.turns import is_our_turn, keep_attempts, read_attempts
from core.store import tables
from core.store.database import Database
from core.store.migrate import migrate
from tests.egress.receivers import Robot, robot
from tests.pipeline.kit import START
from tests.pipeline.sending import Receiver_
from tests.pipeline.telling import Request, Telling, channels_of

RATED = '[channels.group]\nkind = "wecom_bot"\nurl = "env:ROBOT_URL"\nformat = "text"\nrate = "5/m"\n'


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Iterator[Robot]:
    with robot() as running:
        monkeypatch.setenv("ROBOT_URL", running.url)
        yield running


@pytest.fixture
def telling(postgres_url: str, tmp_path: Path, group: Robot) -> Iterator[Telling]:
    database = Database(postgres_url)
    migrate(database, [])
    yield Telling(database, tmp_path / "alpha", RATED)
    database.close()


def ask(telling: Telling, count: int, channel: str = "group") -> None:
    """Let the plugin ask for so many messages, each about a record of its own."""
    telling.answer = lambda event: [
        Notify(to="zhang_wei", channel=channel, template="hot_lead", data={"company": event.record_id, "grade": "A"})
    ]
    telling.kit.accept(*(telling.kit.event("lead.created", f"{channel}{number:03}") for number in range(count)))
    telling.kit.drain()


def send(*couriers: Sender) -> None:
    """Let the couriers send, one after the other and again, until none of them finds anything."""
    while sum(courier.send_due() for courier in couriers):
        for courier in couriers:
            assert courier.settle(20) == 0


def test_two_couriers_together_keep_to_the_rate_and_go_on_after_its_time(telling: Telling, group: Robot) -> None:
    ask(telling, 30)
    couriers = telling.sender, telling.new_sender()
    for minutes in range(1, 7):
        send(*couriers)
        assert len(group.got) == 5 * minutes
        telling.kit.later(seconds=30)
        send(*couriers)
        assert len(group.got) == 5 * minutes
        telling.kit.later(seconds=31)
    assert {row.status for row in telling.rows()} == {"sent"} and {row.attempts for row in telling.rows()} == {1}


def test_one_of_two_couriers_uses_all_of_the_rate_when_it_is_alone(telling: Telling, group: Robot) -> None:
    ask(telling, 12)
    first, second = telling.sender, telling.new_sender()
    send(first)
    assert len(group.got) == 5
    send(second)
    assert len(group.got) == 5
    telling.kit.later(seconds=61)
    send(second)
    assert len(group.got) == 10
    telling.kit.later(seconds=61)
    send(first)
    assert len(group.got) == 12


def test_two_claims_at_the_same_time_do_not_both_count_the_same(
    telling: Telling, group: Robot, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(telling, 100)  # more than one claim looks at, so that both see some
    other = telling.new_sender()
    meanwhile: list[int] = []

    def keep(connection: sa.Connection, *given: Any) -> None:
        if not meanwhile:
            meanwhile.append(0)
            meanwhile.append(other.send_due())
        keep_attempts(connection, *given)

    monkeypatch.setattr(outbox, "keep_attempts", keep)
    telling.sender.send_due()
    assert meanwhile == [0, 0]
    send(telling.sender, other)
    assert telling.sender.settle(20) == 0 and len(group.got) == 5


def test_attempts_that_failed_count_for_the_other_courier_too(telling: Telling, group: Robot) -> None:
    group.answers = [(500, {}), (500, {}), (200, {"errcode": 93000, "errmsg": "no such key"})]
    ask(telling, 12)
    telling.sender.send_due(limit=3)
    assert telling.sender.settle(20) == 0
    telling.kit.later(seconds=10)  # two are due again
    send(telling.new_sender())
    assert len(group.got) == 5


def test_what_a_courier_that_died_may_have_sent_counts(telling: Telling, group: Robot) -> None:
    ask(telling, 12)
    released = threading.Event()
    group.before_answer = lambda: released.wait(20) and None
    dying = telling.sender
    dying.send_due(limit=2)
    telling.kit.clock.move(CLAIM)
    other = telling.new_sender()
    other.send_due()
    released.set()
    send(other)
    assert dying.settle(20) == 0 and len(group.got) == 5


def test_a_message_that_is_no_longer_true_takes_nobodys_turn_from_any_courier(telling: Telling, group: Robot) -> None:
    still = Still.row(Request, "gone", status="x")
    for number in range(10):
        telling.tell(
            Notify(to="zhang_wei", channel="group", template="only_zh", data={"company": "x"}, still=still),
            record=f"S{number}",
        )
    telling.answer = lambda event: telling.effects
    ask(telling, 12)
    send(telling.sender, telling.new_sender())
    assert len(group.got) == 5
    telling.kit.later(seconds=61)
    send(telling.new_sender(), telling.sender)
    assert len(group.got) == 10


def test_while_another_courier_claims_only_its_channel_waits(
    telling: Telling, group: Robot, receiver: Receiver_
) -> None:
    desk = channels_of(f'[channels.desk]\nkind = "webhook"\nurl = "{receiver.url}"\n')
    telling.channels = {**telling.channels, **desk}
    ask(telling, 100)
    ask(telling, 1, "desk")
    with telling.kit.database.write() as elsewhere:
        assert is_our_turn(elsewhere, "group")
        send(telling.sender)
        assert len(receiver.got) == 1 and group.got == []
    send(telling.sender)
    assert len(group.got) == 5


def test_a_channel_that_others_filled_does_not_take_the_places_of_another(
    telling: Telling, group: Robot, receiver: Receiver_
) -> None:
    desk = channels_of(f'[channels.desk]\nkind = "webhook"\nurl = "{receiver.url}"\n')
    telling.channels = {**telling.channels, **desk}
    other = telling.new_sender()
    other.send_due()  # it has begun before anything is sent
    ask(telling, 100)
    send(telling.sender)
    ask(telling, 1, "desk")
    other.send_due()
    assert other.settle(20) == 0
    assert len(receiver.got) == 1 and len(group.got) == 5


def test_a_claim_that_is_not_committed_takes_no_turn(
    telling: Telling, group: Robot, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(telling, 5)

    def fail(*args: object) -> None:
        raise OSError("away")

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "keep_attempts", fail)
        with pytest.raises(OSError, match="away"):
            telling.sender.send_due()
    send(telling.sender)
    assert len(group.got) == 5


def test_what_is_kept_of_a_high_rate_stays_small(telling: Telling, group: Robot) -> None:
    telling.channels = channels_of(RATED.replace("5/m", "90000/d"))
    database, day = telling.kit.database, 86_400
    with database.write() as connection:
        keep_attempts(connection, "group", [(START - timedelta(seconds=s), 1) for s in range(0, day, 10)], START)
    ask(telling, 1)
    send(telling.sender)
    with database.read() as connection:
        kept = read_attempts(connection, "group")
    assert len(group.got) == 1 and len(kept) <= 102 and sum(count for _, count in kept) == day // 10 + 1


def test_a_channel_without_a_rate_is_counted_nowhere(telling: Telling, receiver: Receiver_) -> None:
    telling.channels = channels_of(f'[channels.desk]\nkind = "webhook"\nurl = "{receiver.url}"\n')
    ask(telling, 3, "desk")
    asked: list[str] = []
    sa.event.listen(telling.kit.database.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    send(telling.sender)
    assert len(receiver.got) == 3 and not [one for one in asked if "advisory" in one or "leases" in one]
    assert telling.kit.rows(tables.leases, tables.leases.c.name.like("rate of%")) == []
    assert json.loads(receiver.got[0].body)["type"] == "notify.hot_lead"
