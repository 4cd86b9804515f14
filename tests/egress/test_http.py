"""Sending over HTTP: what counts as an answer, how an address is reached, how a message is signed."""

from __future__ import annotations

import base64
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from core.egress import http
from tests.pipeline.kit import START

KEY = b"the key that signs"


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
