"""A receiver of messages that checks their signatures, and a small server whose plugin sends to it."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from core.host.settings import Configuration, EndpointSettings, SourceSettings
from core.model.effects import SendWebhook
from core.pipeline.outbox import Sender
from core.store import tables
from core.store.database import Database
from core.testing.directories import calendar_of
from tests.pipeline.kit import Kit, plugin

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
