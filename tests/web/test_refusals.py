"""Every refused webhook request leaves a log line and a count, and tells a stranger nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import pytest
from waitress.adjustments import Adjustments
from waitress.parser import HTTPRequestParser

from core import metrics, signals
from core.model.errors import OutriggerError
from core.web.acknowledging import AcknowledgingDispatcher
from core.web.refusals import LINES, WINDOW_S, Refusals
from tests.web.world import World
from tests.webhooks.senders import SECRET, encode, standard_headers
from webhooks import ADAPTERS, InboundRequest, Reply, blueprint
from webhooks.adapters.standard import StandardAdapter

LEAD = encode({"type": "lead.created", "timestamp": "2026-11-22T07:59:00Z", "data": {"id": "L-1"}})
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def post(sqlite_world: World) -> Callable[..., Any]:
    pages = blueprint(
        sources=lambda: sqlite_world.configuration().sources,
        accept=lambda items: pytest.fail("a refused request reached the inbox"),
        secrets=lambda reference: SECRET,
        clock=sqlite_world.clock,
        public_url="https://outrigger.example.com",
    )
    client = sqlite_world.app(webhook_blueprint=pages).test_client()

    def send(path: str = "/webhooks/crm", body: bytes = LEAD, method: str = "POST", **headers: str) -> Any:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.open(path, method=method, data=body, headers={"Content-Type": "application/json"} | given)

    return send


def counted(source: str, code: str) -> float:
    labels = {"source": source, "code": code}
    return metrics.REGISTRY.get_sample_value("outrigger_webhook_refusals_total", labels) or 0.0


BAD = encode({"type": "lead.created"})[:-1]


@pytest.mark.parametrize(
    ("request_", "status", "code", "source"),
    [
        ({}, 401, "webhook.signature", "crm"),
        ({"webhook_signature": "v1,c2VjcmV0"}, 401, "webhook.signature", "crm"),
        ({"path": "/webhooks/crmm"}, 404, "webhook.unknown_source", "unknown"),
        ({"path": "/webhooks/crmm", "method": "GET"}, 404, "webhook.unknown_source", "unknown"),
        ({"path": "/webhooks/crm/more"}, 404, "not_found", "crm"),
        ({"path": "/webhooks/"}, 404, "not_found", "unknown"),
        ({"body": b" " * 1_048_577}, 413, "webhook.too_large", "crm"),
        ({"Content_Type": "text/xml"}, 415, "webhook.media_type", "crm"),
        ({"Content_Encoding": "gzip"}, 415, "webhook.media_type", "crm"),
        ({"method": "GET"}, 405, "method_not_allowed", "crm"),
        ({"method": "DELETE"}, 405, "method_not_allowed", "crm"),
    ],
)
def test_a_refusal_can_be_found_by_the_id_in_its_answer(
    post: Callable[..., Any], lines: Lines, request_: dict[str, Any], status: int, code: str, source: str
) -> None:
    metrics.connect_observers()
    before = counted(source, code)
    answer = post(webhook_id="msg_77", **request_)
    assert (answer.status_code, answer.json["code"]) == (status, code)
    (line,) = lines()
    assert (line["event"], line["source"], line["status"], line["code"]) == ("webhook_refused", source, status, code)
    assert line["request_id"] == answer.json["instance"] == answer.headers["X-Request-Id"]
    assert (line["client"], line["webhook_id"]) == ("127.0.0.1", "msg_77")
    assert line["reason"].startswith(answer.json["detail"])
    assert "c2VjcmV0" not in json.dumps(line)
    assert "L-1" not in json.dumps(line)
    assert counted(source, code) == before + 1


def test_an_unreadable_body_of_a_true_sender_is_written_down(
    sqlite_world: World, post: Callable[..., Any], lines: Lines
) -> None:
    headers = standard_headers(BAD, at=int(sqlite_world.clock.now().timestamp()))
    answer = post(body=BAD, **{name.replace("-", "_"): value for name, value in headers.items()})
    assert (answer.status_code, answer.json["code"]) == (400, "webhook.unreadable")
    (line,) = lines()
    assert (line["code"], line["source"], line["webhook_id"]) == ("webhook.unreadable", "crm", "msg_1")


def test_a_stranger_is_not_told_which_sources_there_are_but_the_log_is(post: Callable[..., Any], lines: Lines) -> None:
    answer = post("/webhooks/crmm")
    assert "Did you mean" not in answer.text
    assert '"crm"' not in answer.text
    assert 'Did you mean "crm"?' in lines()[0]["reason"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"])
def test_a_sender_without_a_handshake_is_told_to_post_and_nothing_else(post: Callable[..., Any], method: str) -> None:
    answer = post(method=method)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    if method != "HEAD":
        assert answer.json["detail"] == f"{method} is not taken here. Use POST."


class Shaping(StandardAdapter):
    """A sender that wants every answer to be a 200 of its own."""

    def refuse(self, error: OutriggerError) -> int | Reply:
        return Reply(200, b"retry", "text/plain")

    def handshake(self, request: InboundRequest, secrets: object) -> Reply | None:
        return Reply(200, b"hello", "text/plain")


def test_a_refusal_that_an_adapter_shapes_itself_is_written_down_as_well(
    post: Callable[..., Any], lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ADAPTERS, "standard", Shaping)
    answer = post()
    assert (answer.status_code, answer.data) == (200, b"retry")
    (line,) = lines()
    assert (line["status"], line["code"]) == (200, "webhook.signature")
    assert line["request_id"] == answer.headers["X-Request-Id"]
    assert post(method="GET").data == b"hello"
    assert lines() == []
    assert set(post(method="PUT").headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}


def test_a_flood_of_refusals_is_summed_up_and_counted_in_full(lines: Lines) -> None:
    now, due = [0.0], []
    counts: list[str] = []

    def count(sender: str, **_: Any) -> None:
        counts.append(sender)

    refusals = Refusals(lambda: {"crm": 1}, seconds=lambda: now[0], later=lambda after, work: due.append((after, work)))
    with signals.webhook_refused.connected_to(count):
        for _ in range(LINES + 30):
            refusals.note("/webhooks/crm", status=401, code="webhook.signature", reason="no")
        refusals.note("/webhooks/crm", status=415, code="webhook.media_type", reason="no")
    assert len(counts) == LINES + 31
    assert [line["code"] for line in lines()] == ["webhook.signature"] * LINES + ["webhook.media_type"]
    ((after, sum_up),) = due
    assert after == WINDOW_S
    now[0] = WINDOW_S
    sum_up()
    (line,) = lines()
    assert (line["event"], line["source"], line["code"], line["more"]) == (
        "webhooks_refused", "crm", "webhook.signature", 30,
    )  # fmt: skip
    refusals.note("/webhooks/crm", status=401, code="webhook.signature", reason="no")
    assert len(lines()) == 1


def test_strangers_who_try_many_names_share_one_count_and_one_bound(lines: Lines) -> None:
    refusals = Refusals(lambda: {}, seconds=lambda: 0.0, later=lambda after, work: None)
    for number in range(LINES * 3):
        refusals.note(f"/webhooks/guess{number}", status=404, code="webhook.unknown_source", reason="no")
    assert {line["source"] for line in lines()} == {"unknown"}


class Channel:
    """A connection whose request the server itself refused."""

    addr = ("10.1.2.3", 4711)

    def __init__(self, path: str) -> None:
        parser = HTTPRequestParser(Adjustments(max_request_body_size=10))
        parser.received(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n".encode())
        assert parser.error is not None
        self.requests = [parser]


def test_what_the_server_refuses_before_the_app_sees_it_is_written_down(lines: Lines) -> None:
    refusals = Refusals(lambda: {"crm": 1})
    dispatcher = AcknowledgingDispatcher(cast(Any, None), cast(Any, None), lambda: False, refusals)
    dispatcher.add_task(Channel("/webhooks/crm"))
    dispatcher.add_task(Channel("/api/v1/replays"))
    (line,) = [line for line in lines() if line["event"] == "webhook_refused"]
    assert (line["source"], line["status"], line["code"], line["client"]) == (
        "crm", 413, "webhook.too_large", "10.1.2.3",
    )  # fmt: skip
