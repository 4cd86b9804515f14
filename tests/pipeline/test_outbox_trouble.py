"""Messages whose receiver is slow or fails, or whose courier dies or is not alone."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest

from core.host.settings import EndpointSettings
from core.model.effects import SendWebhook
from core.pipeline.interventions import Interventions
from core.pipeline.outbox import CLAIM
from core.pipeline.receivers import FAILURES, PAUSE, Receiver
from core.store import tables
from core.store.database import Database
from tests.pipeline.kit import START
from tests.pipeline.sending import Outward, Receiver_


def test_a_slow_receiver_does_not_hold_up_the_others(outward: Outward, receiver: Receiver_) -> None:
    slow = Receiver_()
    thread = threading.Thread(target=slow.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    release = threading.Event()
    slow.before_answer = lambda got: release.wait(20) and None
    outward.endpoints["slow"] = EndpointSettings("slow", slow.url, "env:TEST_SECRET")
    outward.effects = [
        SendWebhook(endpoint="slow", type="a"),
        SendWebhook(endpoint="erp", type="a"),
    ]
    for number in range(30):
        outward.decide(f"L{number}")
    for _ in range(200):
        outward.sender.send_due()
        if len(receiver.got) == 30:
            break
    assert len(receiver.got) == 30 and len(slow.got) <= 8
    release.set()
    assert outward.sender.settle(20) == 0
    assert {row.status for row in outward.kit.rows(tables.outbox, tables.outbox.c.target == "erp")} == {"sent"}
    slow.shutdown()
    thread.join()
    slow.server_close()


def test_a_receiver_that_keeps_failing_is_spared_for_a_while(outward: Outward, receiver: Receiver_) -> None:
    receiver.answers = [(500, {})] * 40
    for number in range(20):
        outward.decide(f"L{number}")
    for _ in range(10):
        outward.send()
    tried = len(receiver.got)
    assert FAILURES <= tried <= 8 + FAILURES  # the first may go out together, before anything is known of it
    outward.kit.clock.move(PAUSE)
    outward.send()
    assert len(receiver.got) == tried + 1


def test_who_asked_to_be_spared_is_spared_whatever_was_on_its_way_meanwhile() -> None:
    known = Receiver()
    known.spare(60, START)
    known.note(True, 0.1, START)  # sent beside the one that was too many
    known.spare(10, START)
    assert known.room(START + timedelta(seconds=59)) == 0
    assert known.room(START + timedelta(seconds=60)) > 0


def test_a_healthy_receiver_gets_several_at_once_and_a_failing_one_gets_one() -> None:
    known = Receiver()
    assert known.room(START) == 8
    known.note(False, 0.1, START)
    assert known.room(START) == 1
    known.note(True, 0.1, START)
    assert known.room(START) == 8
    known.note(True, 3.0, START)
    assert known.room(START) == 1
    for _ in range(FAILURES):
        known.note(False, 0.1, START)
    assert known.room(START) == 0 and known.room(START + PAUSE) == 1


class Dead(BaseException):
    """The courier's process ends here."""


def test_a_courier_that_dies_between_sending_and_writing_it_down_sends_again_under_the_same_id(
    outward: Outward, receiver: Receiver_
) -> None:
    outward.decide()

    def die(step: str) -> None:
        raise Dead

    dying = outward.new_sender()
    dying.step = die
    with pytest.raises(Dead):
        dying.send_due()
        dying.settle(20)
    assert outward.message().status == "available"
    outward.kit.clock.move(CLAIM)  # on PostgreSQL the message belongs to the dead one for so long
    outward.send()
    assert [got.headers["webhook-id"] for got in receiver.got] == [outward.message().id] * 2
    assert outward.message().status == "sent"


def test_two_couriers_on_postgresql_do_not_send_the_same_message(
    postgres_url: str, receiver: Receiver_, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.store.migrate import migrate

    database = Database(postgres_url)
    migrate(database, [])
    outward = Outward(database, receiver.url, monkeypatch)
    for number in range(12):
        outward.decide(f"L{number}")
    release = threading.Event()
    receiver.before_answer = lambda got: release.wait(20) and None
    other = outward.new_sender()
    outward.sender.send_due()
    other.send_due()
    release.set()
    for _ in range(5):
        for sender in (outward.sender, other):
            sender.send_due()
            sender.settle(20)
    assert len(receiver.got) == 12 == len({got.headers["webhook-id"] for got in receiver.got})
    database.close()


def test_while_the_database_is_away_what_was_sent_is_not_sent_again(
    outward: Outward, receiver: Receiver_, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.model.errors import StorageUnavailable

    outward.decide()
    write = outward.kit.database.write
    if outward.kit.database.is_sqlite:
        away = True

        def broken() -> Any:
            if away:
                raise StorageUnavailable
            return write()

        monkeypatch.setattr(outward.kit.database, "write", broken)
        for _ in range(3):
            with pytest.raises(StorageUnavailable):
                outward.sender.send_due()
                outward.sender.settle(20)
        away = False
    outward.sender.send_due()
    outward.sender.settle(20)
    assert len(receiver.got) == 1 and outward.message().status == "sent"


def test_a_message_a_person_gave_up_while_it_was_on_its_way_says_that_it_was_sent(
    outward: Outward, receiver: Receiver_
) -> None:
    outward.decide()
    people = Interventions(outward.kit.database, outward.kit.clock)
    receiver.before_answer = lambda got: people.discard_message(outward.message().id, actor="it", reason="wrong")
    outward.send()
    message = outward.message()
    assert message.status == "sent" and message.sent_at is not None
    assert message.reason == "it was on its way already; before that: discarded by it: wrong"


def test_a_message_a_person_gave_up_while_an_attempt_failed_stays_given_up(
    outward: Outward, receiver: Receiver_
) -> None:
    outward.decide()
    receiver.answers = [(500, {})]
    people = Interventions(outward.kit.database, outward.kit.clock)
    receiver.before_answer = lambda got: people.discard_message(outward.message().id, actor="it", reason="wrong")
    outward.send()
    assert (outward.message().status, outward.message().reason) == ("discarded", "discarded by it: wrong")


@pytest.mark.parametrize("answer", [500, 404])
def test_a_message_a_person_sends_again_while_an_attempt_fails_has_all_its_attempts(
    outward: Outward, receiver: Receiver_, answer: int
) -> None:
    outward.decide()
    receiver.answers = [(500, {}), (answer, {})]
    outward.send()
    outward.kit.later(hours=1)
    people = Interventions(outward.kit.database, outward.kit.clock)

    def send_again(got: Any) -> None:
        receiver.before_answer = lambda got: None
        people.retry_message(outward.message().id, actor="it")

    receiver.before_answer = send_again
    outward.send()
    message = outward.message()
    assert (message.status, message.attempts, message.reason) == ("available", 0, "retried by it")
    outward.send()
    assert outward.message().status == "sent" and len(receiver.got) == 3
