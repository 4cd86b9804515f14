"""Messages on their way out, to a real receiver on this machine that checks their signatures."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import sqlalchemy as sa

from core.egress import http
from core.host.settings import Configuration, EndpointSettings, SourceSettings
from core.model.effects import Notify, SendWebhook, UpdateRecord
from core.pipeline.interventions import Interventions
from core.pipeline.outbox import CLAIM, Sender
from core.pipeline.receivers import FAILURES, PAUSE, Receiver
from core.store import tables
from core.store.database import Database
from core.testing.directories import calendar_of
from tests.pipeline.kit import START, Kit, plugin

KEY = b"the key that signs"
SECRET = "whsec_" + base64.b64encode(KEY).decode()


@dataclasses.dataclass
class Got:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def is_signed(self) -> bool:
        said = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + self.body
        wanted = "v1," + base64.b64encode(hmac.new(KEY, said, hashlib.sha256).digest()).decode()
        return wanted in self.headers["webhook-signature"].split()


class Receiver_(ThreadingHTTPServer):  # noqa: N801 - the receiver in core bears the plain name
    """A receiver whose answers are queued; it says 200 when none is."""

    daemon_threads = True

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.before_answer: Callable[[Got], None] = lambda got: None
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook?from=outrigger"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server: Receiver_ = self.server  # type: ignore[assignment]
        body = self.rfile.read(int(self.headers["content-length"]))
        got = Got(self.path, {key.lower(): value for key, value in self.headers.items()}, body)
        server.got.append(got)
        status, headers = server.answers.pop(0) if server.answers else (200, {})
        server.before_answer(got)
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver_]:
    server = Receiver_()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class Outward:
    """A small server whose plugin sends, and the sender that carries it out."""

    def __init__(self, database: Database, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TEST_SECRET", SECRET)
        self.endpoints = {"erp": EndpointSettings("erp", url, "env:TEST_SECRET")}
        self.source = SourceSettings("crm", "standard", ("env:TEST_SECRET",), write_back_url=url)
        self.allow: tuple[str, ...] = ("127.0.0.0/8",)
        self.effects: list[Any] = [SendWebhook(endpoint="erp", type="lead.graded", data={"等级": "A"})]
        hooks = {"on_lead_created": lambda event, ctx: self.effects}
        self.kit = Kit(database, {"alpha": plugin("alpha", **hooks)})
        plain = self.kit.current
        monkeypatch.setattr(self.kit, "current", lambda connection, number=None: self.adapt(plain(connection, number)))
        self.results: list[tuple[str, str]] = []
        self.sender = self.new_sender()

    def adapt(self, configuration: Configuration) -> Configuration:
        return dataclasses.replace(
            configuration,
            sources={"crm": self.source},
            endpoints=self.endpoints,
            calendars={"cn": calendar_of("cn")},
            channels={},
            dispatch=dataclasses.replace(configuration.dispatch, egress_allow=self.allow),
        )

    def new_sender(self) -> Sender:
        return Sender(
            self.kit.database, self.kit.clock, self.configuration,
            observe=lambda effect, result: self.results.append((effect, str(result))),
        )  # fmt: skip

    def configuration(self) -> Configuration:
        with self.kit.database.read() as connection:
            return self.kit.current(connection)

    def decide(self, record: str = "L1") -> None:
        self.kit.send("lead.created", record)
        self.kit.drain()

    def send(self) -> int:
        started = self.sender.send_due()
        assert self.sender.settle(20) == 0
        return started

    def message(self) -> Any:
        [row] = self.kit.rows(tables.outbox)
        return row


@pytest.fixture
def outward(database: Database, receiver: Receiver_, monkeypatch: pytest.MonkeyPatch) -> Outward:
    return Outward(database, receiver.url, monkeypatch)


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


def test_a_message_a_person_gave_up_while_it_was_on_its_way_stays_given_up(
    outward: Outward, receiver: Receiver_
) -> None:
    outward.decide()
    people = Interventions(outward.kit.database, outward.kit.clock)
    receiver.before_answer = lambda got: people.discard_message(outward.message().id, actor="it", reason="wrong")
    outward.send()
    assert outward.message().status == "discarded" and "wrong" in outward.message().reason


def test_an_answer_whose_body_never_ends_still_counts_as_it_began(receiver: Receiver_) -> None:
    release = threading.Event()

    class Dripping(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "1000000")
            self.end_headers()
            self.wfile.flush()
            release.wait(20)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Dripping)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    sent = http.send(
        f"http://127.0.0.1:{server.server_address[1]}/", b"{}", message_id="m", secrets=(KEY,), now=START,
        allow=("127.0.0.0/8",), timeout_s=0.3,
    )  # fmt: skip
    release.set()
    server.shutdown()
    thread.join()
    server.server_close()
    assert sent.is_ok and sent.status == 200


def test_an_ipv6_receiver_is_reached_by_its_literal_address() -> None:
    class Six(ThreadingHTTPServer):
        address_family = __import__("socket").AF_INET6

    got: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.headers["host"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    try:
        server = Six(("::1", 0), Answer)
    except OSError:
        pytest.skip("this machine has no IPv6")
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    port = server.server_address[1]
    sent = http.send(
        f"http://[::1]:{port}/x", b"{}", message_id="m", secrets=(), now=START, allow=("::1/128",), timeout_s=5
    )
    thread.join()
    server.server_close()
    assert sent.is_ok and got == [f"[::1]:{port}"]


def test_the_signature_is_the_one_of_the_published_example() -> None:
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    said = http.signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert said == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_messages_for_the_inbox_are_not_sent_outward(outward: Outward, receiver: Receiver_) -> None:
    outward.decide()
    with outward.kit.database.write() as connection:
        connection.execute(sa.update(tables.outbox).values(target="inbox"))
    assert outward.send() == 0 and receiver.got == []
