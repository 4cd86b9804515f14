"""Builds signed requests and speaks HTTP/1.1 over one kept connection, with as little machinery as possible."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SECRET = "whsec_" + base64.b64encode(b"a secret that only tests ever use").decode()
_KEY = b"a secret that only tests ever use"


COMPLAINT = {
    "department": "质量部",
    "severity": "high",
    "subject": "6063-T5 型材表面划伤",
    "body": "客户反馈到货型材有纵向划痕，深度约 0.1 mm，要求更换。",
}
"""What a benchmark's event says: a body of some 450 bytes."""


class ConnectionLost(Exception):
    """The connection broke or answered nothing in time: whether the request was carried out is unknown."""


def signed(path: str, message_id: str, body: bytes, *, at: int | None = None) -> bytes:
    """Return the whole request, signed as Standard Webhooks 1.0 says."""
    timestamp = str(int(time.time()) if at is None else at)
    content = f"{message_id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.digest(_KEY, content, hashlib.sha256)).decode()
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"webhook-id: {message_id}\r\nwebhook-timestamp: {timestamp}\r\nwebhook-signature: v1,{signature}\r\n\r\n"
    ).encode() + body


def event_body(event_type: str, record_id: str, number: int, version: int, **fields: Any) -> bytes:
    """Return a Standard Webhooks body about one record; `number` counts the record's events as they are sent."""
    now = time.time()
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1_000_000) % 1_000_000:06d}Z"
    data: Mapping[str, Any] = {
        "id": record_id,
        "version": version,
        "completeness": "delta",
        "extra": {"n": number},
        **fields,
    }
    return json.dumps({"type": event_type, "timestamp": at, "data": data}, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Answer:
    """One response: its status and its body."""

    status: int
    body: bytes

    @property
    def event_ids(self) -> list[str]:
        """The ids of the events the server says it has stored."""
        return list(json.loads(self.body).get("event_ids", []))


class Connection:
    """One kept connection; it opens itself when needed. `tls` encrypts it."""

    def __init__(
        self, port: int, *, host: str = "127.0.0.1", patience_s: float = 10.0, tls: ssl.SSLContext | None = None
    ) -> None:
        self._address, self._tls = (host, port), tls
        self._patience_s = patience_s
        self._socket: socket.socket | None = None

    def send(self, request: bytes) -> None:
        """Send a request. Raises ConnectionLost."""
        try:
            if self._socket is None:
                self._socket = socket.create_connection(self._address, timeout=self._patience_s)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._tls is not None:
                    self._socket = self._tls.wrap_socket(self._socket)
            self._socket.sendall(request)
        except OSError as error:
            self.close()
            raise ConnectionLost(str(error)) from None

    def receive(self) -> Answer:
        """Wait for the answer. Raises ConnectionLost."""
        if self._socket is None:
            raise ConnectionLost("never sent")
        buffer = b""
        try:
            while (end := buffer.find(b"\r\n\r\n")) < 0:
                buffer += self._more()
            head = buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            while len(buffer) < end + 4 + length:
                buffer += self._more()
        except OSError as error:
            self.close()
            raise ConnectionLost(str(error)) from None
        if b"connection: close" in head:
            self.close()
        return Answer(int(buffer[9:12]), buffer[end + 4 :])

    def ask(self, request: bytes) -> Answer:
        """Send a request and wait for its answer. Raises ConnectionLost."""
        self.send(request)
        return self.receive()

    def _more(self) -> bytes:
        assert self._socket is not None
        part = self._socket.recv(65536)
        if not part:
            raise OSError("closed by the server")
        return part

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def get(
    port: int, path: str, *, host: str = "127.0.0.1", patience_s: float = 2.0, tls: ssl.SSLContext | None = None
) -> Answer | None:
    """Ask for a page over a connection of its own; None when nobody answers."""
    connection = Connection(port, host=host, patience_s=patience_s, tls=tls)
    try:
        return connection.ask(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    except ConnectionLost:
        return None
    finally:
        connection.close()
