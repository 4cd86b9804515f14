"""Sending over HTTP: what counts as an answer, how an address is reached, how a message is signed."""

from __future__ import annotations

import base64
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from core.egress import http, whole_attempt
from core.egress.sent import Sent
from tests.egress.receivers import TLS_RECORD, Dripping, make_certificates, raw_server
from tests.pipeline.kit import START

KEY = b"the key that signs"
LOOPBACK = ("127.0.0.0/8",)


def test_an_answer_whose_body_never_ends_still_counts_as_it_began() -> None:
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


@pytest.mark.parametrize(
    ("scheme", "said"),
    [("http", b""), ("http", b"HTTP/1.1 200 OK\r\nx-name: "), ("https", TLS_RECORD)],
    ids=["the status", "the header", "the TLS handshake"],
)
def test_a_receiver_that_answers_letter_by_letter_is_cut_off_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, scheme: str, said: bytes
) -> None:
    monkeypatch.setattr(whole_attempt, "WHOLE_ATTEMPT_S", 1.0)
    dripping = Dripping(said)
    port, thread = raw_server(dripping)
    sent = http.send(
        f"{scheme}://127.0.0.1:{port}/", b"{}", message_id="m", secrets=(KEY,), now=START, allow=LOOPBACK, timeout_s=30
    )
    thread.join()
    reason = "the attempt was cut off after 1 s: the receiver had not taken the message and answered by then"
    assert sent == Sent(False, False, None, reason) and dripping.is_client_gone


@pytest.mark.parametrize("said", [b"HTTP/1.1 200 OK\r\nx-name: ", b"HTTP/1.1 204 No Content\r\n\r\n"])
def test_an_encrypted_answer_counts_when_it_ends_in_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: bytes
) -> None:
    certificates = make_certificates(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    context, is_ended = certificates.context(), said.endswith(b"\r\n\r\n")
    limits: list[whole_attempt.Limit] = []

    class Known(whole_attempt.Limit):
        def __init__(self, seconds: float) -> None:
            super().__init__(seconds)
            limits.append(self)

    monkeypatch.setattr(whole_attempt, "Limit", Known)
    dripping = Dripping(b"")

    def answer(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as encrypted:
            encrypted.recv(65_536)
            encrypted.sendall(said)
            if not is_ended:
                limits[0].cut()  # as if the time were used up now, amid the header
            dripping(encrypted)

    port, thread = raw_server(answer)
    sent = http.send(
        f"https://127.0.0.1:{port}/", b"{}", message_id="m", secrets=(KEY,), now=START, allow=LOOPBACK, timeout_s=30
    )
    thread.join()
    assert sent.is_ok is is_ended and dripping.is_client_gone
    assert is_ended or "cut off after 40 s" in sent.reason


def test_a_receiver_that_does_not_take_the_message_is_cut_off_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_attempt, "WHOLE_ATTEMPT_S", 1.0)
    released = threading.Event()
    port, thread = raw_server(lambda connection: released.wait(20))
    sent = http.send(
        f"http://127.0.0.1:{port}/", b"x" * 32_000_000, message_id="m", secrets=(KEY,), now=START, allow=LOOPBACK,
        timeout_s=30,
    )  # fmt: skip
    released.set()
    thread.join()
    assert not sent.is_ok and not sent.is_final and "cut off after 1 s" in sent.reason


def test_a_name_that_is_not_resolved_in_time_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(whole_attempt, "WHOLE_ATTEMPT_S", 0.1)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: released.wait(20) and [])
    sent = http.send("http://erp.example/", b"{}", message_id="m", secrets=(KEY,), now=START, allow=LOOPBACK)
    released.set()
    assert sent == Sent(False, False, None, "the attempt was cut off after 0.1 s: its host's name was not resolved")


def test_an_attempt_within_its_time_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    known: list[whole_attempt.Limit] = []
    cut = whole_attempt.Limit.cut
    monkeypatch.setattr(whole_attempt.Limit, "cut", lambda limit: (known.append(limit), cut(limit)))
    port, thread = raw_server(lambda connection: connection.sendall(b"HTTP/1.1 204 Gone well\r\n\r\n"))
    sent = http.send(f"http://127.0.0.1:{port}/", b"{}", message_id="m", secrets=(KEY,), now=START, allow=LOOPBACK)
    thread.join()
    assert sent.is_ok and known == []
    assert not [one for one in threading.enumerate() if isinstance(one, threading.Timer) and not one.finished.is_set()]


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
