"""Messages on their way out, to a real receiver on this machine that checks their signatures."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta

import pytest
import sqlalchemy as sa

from core.host.settings import EndpointSettings
from core.model.effects import Notify, UpdateRecord
from core.pipeline.interventions import Interventions
from core.pipeline.receivers import PAUSE
from core.store import tables
from tests.pipeline.kit import START
from tests.pipeline.sending import Outward, Receiver_


def test_a_message_arrives_once_signed_and_as_it_was_captured(outward: Outward, receiver: Receiver_) -> None:
    outward.decide()
    outward.send()
    assert outward.send() == 0
    [got] = receiver.got
    assert got.is_signed and got.path == "/hook?from=outrigger"
    assert got.headers["webhook-timestamp"] == str(int(START.timestamp()))
    assert got.headers["content-type"] == "application/json" and got.headers["host"] == receiver.url.split("/")[2]
    row = outward.message()
    assert (row.status, row.attempts, row.sent_at, row.id) == ("sent", 1, START, got.headers["webhook-id"])
    assert got.body.decode() == row.body
    assert json.loads(got.body)["data"] == {"record_id": "L1", "unit": "default", "等级": "A"}
    assert outward.results == [("send_webhook", "sent")]


def test_what_is_set_on_a_record_goes_back_to_its_source(outward: Outward, receiver: Receiver_) -> None:
    outward.effects = [UpdateRecord(fields={"grade": "A", "budget": "120000.00"})]
    outward.decide()
    outward.send()
    [got] = receiver.got
    data = json.loads(got.body)["data"]
    assert got.is_signed and (data["kind"], data["id"]) == ("lead", "L1")
    assert data["fields"] == {"grade": "A", "budget": "120000.00"} and data["decided_by"] == "alpha"


def test_a_failed_attempt_is_tried_again_under_the_same_id(outward: Outward, receiver: Receiver_) -> None:
    receiver.answers = [(500, {}), (503, {}), (200, {})]
    outward.decide()
    waits = []
    for _ in range(3):
        outward.send()
        waits.append(outward.message().due_at - outward.kit.clock.now())
        outward.kit.clock.move_to(outward.message().due_at)
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 1 and len(receiver.got) == 3
    assert len({got.headers["webhook-timestamp"] for got in receiver.got}) == 3 and all(
        got.is_signed for got in receiver.got
    )
    assert timedelta(seconds=4) <= waits[0] <= timedelta(seconds=6)
    assert timedelta(seconds=240) <= waits[1] <= timedelta(seconds=360)
    assert (outward.message().status, outward.message().attempts) == ("sent", 3)


def test_nothing_is_sent_before_it_is_due(outward: Outward, receiver: Receiver_) -> None:
    receiver.answers = [(500, {})]
    outward.decide()
    outward.send()
    outward.kit.later(seconds=3)
    assert outward.send() == 0 and len(receiver.got) == 1


def test_after_the_last_attempt_it_is_given_up_and_a_person_may_send_it_again(
    outward: Outward, receiver: Receiver_
) -> None:
    receiver.answers = [(500, {})] * 10
    outward.decide()
    for _ in range(10):
        outward.send()
        outward.kit.clock.move_to(max(outward.message().due_at, outward.kit.clock.now()) + PAUSE)
    row = outward.message()
    assert (row.status, row.attempts, row.reason) == ("discarded", 10, "500: refused")
    assert outward.send() == 0
    Interventions(outward.kit.database, outward.kit.clock).retry_message(row.id, actor="it")
    outward.send()
    assert outward.message().status == "sent" and receiver.got[-1].headers["webhook-id"] == row.id


def test_gone_is_final(outward: Outward, receiver: Receiver_) -> None:
    receiver.answers = [(410, {})]
    outward.decide()
    outward.send()
    assert outward.message().status == "discarded" and "410 Gone" in outward.message().reason


def test_a_redirect_is_not_followed(outward: Outward, receiver: Receiver_) -> None:
    receiver.answers = [(302, {"location": receiver.url + "&followed=1"})]
    outward.decide()
    outward.send()
    assert len(receiver.got) == 1
    assert outward.message().status == "retryable" and "redirect" in outward.message().reason


@pytest.mark.parametrize(
    ("said", "at_least"),
    [("120", 120), ("Sun, 22 Nov 2026 01:10:00 GMT", 600), ("99999999999", 86_400), ("soon", 4), ("-5", 4), ("0", 4)],
)
def test_retry_after_is_kept_to(outward: Outward, receiver: Receiver_, said: str, at_least: int) -> None:
    receiver.answers = [(429, {"retry-after": said})]
    outward.decide()
    outward.send()
    wait = outward.message().due_at - START
    assert timedelta(seconds=at_least) <= wait <= timedelta(seconds=max(at_least, 6))


def test_a_private_address_is_refused_unless_it_is_allowed(outward: Outward, receiver: Receiver_) -> None:
    outward.allow = ()
    outward.decide()
    outward.send()
    assert receiver.got == []
    row = outward.message()
    assert row.status == "discarded" and "egress_allow" in row.reason


def test_a_receiver_that_is_not_there_is_tried_again(outward: Outward, receiver: Receiver_) -> None:
    outward.endpoints = {"erp": EndpointSettings("erp", "http://127.0.0.1:9/", "env:TEST_SECRET")}
    outward.decide()
    outward.send()
    assert outward.message().status == "retryable" and "refused" in outward.message().reason


@pytest.mark.parametrize(
    "url",
    ["ftp://example.com/x", "http://user:secret@127.0.0.1/", "http://", "nonsense", "http://127.0.0.1:99999/", "http://[::1/",
     "http://127.0.0.1:abc/", "file:///etc/passwd", "http://\ud800/"],
)  # fmt: skip
def test_a_url_that_is_none_is_given_up_with_a_reason(outward: Outward, url: str) -> None:
    outward.endpoints = {"erp": EndpointSettings("erp", url, "env:TEST_SECRET")}
    outward.decide()
    outward.send()
    assert outward.message().status == "discarded" and outward.message().reason


def test_a_path_in_chinese_is_sent_as_the_web_writes_it(outward: Outward, receiver: Receiver_) -> None:
    outward.endpoints = {"erp": EndpointSettings("erp", receiver.url.replace("/hook", "/写回 1"), "env:TEST_SECRET")}
    outward.decide()
    outward.send()
    assert receiver.got[0].path.startswith("/%E5%86%99%E5%9B%9E%201?from=")


def test_a_destination_nobody_configured_is_shown_as_held_back(outward: Outward, receiver: Receiver_) -> None:
    outward.source = dataclasses.replace(outward.source, write_back_url=None)
    outward.effects = [UpdateRecord(fields={"grade": "A"}), Notify(to="sales", template="hot_lead")]
    outward.decide()
    outward.send()
    found = {row.effect: (row.status, row.reason) for row in outward.kit.rows(tables.outbox)}
    assert found["update_record"] == ("suppressed", "the source crm has no write_back_url")
    assert found["notify"][0] == "suppressed" and "no channel can take it" in found["notify"][1]
    assert receiver.got == []


def test_two_secrets_of_a_source_sign_side_by_side(
    outward: Outward, receiver: Receiver_, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEW_SECRET", "plain new secret")
    outward.source = dataclasses.replace(outward.source, secrets=("env:NEW_SECRET", "env:TEST_SECRET"))
    outward.effects = [UpdateRecord(fields={"grade": "A"})]
    outward.decide()
    outward.send()
    [got] = receiver.got
    assert len(got.headers["webhook-signature"].split()) == 2 and got.is_signed


def test_a_secret_that_cannot_be_read_holds_the_message_back(outward: Outward, monkeypatch: pytest.MonkeyPatch) -> None:
    outward.decide()
    monkeypatch.delenv("TEST_SECRET")
    outward.send()
    assert outward.message().status == "suppressed" and "TEST_SECRET" in outward.message().reason


def test_messages_for_the_inbox_are_not_sent_outward(outward: Outward, receiver: Receiver_) -> None:
    outward.decide()
    with outward.kit.database.write() as connection:
        connection.execute(sa.update(tables.outbox).values(target="inbox"))
    assert outward.send() == 0 and receiver.got == []
