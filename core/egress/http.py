"""Sends over HTTP: resolves once, connects to the address it checked, follows no redirect; webhooks are signed."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlsplit

import urllib3

from core.egress.addresses import DestinationRefused, resolve
from core.egress.sent import Sent
from core.egress.whole_attempt import Limit, TookTooLong, limited

USER_AGENT = "Outrigger/0.1"
TIMEOUT_S = 15.0
"""How long one step of an attempt may take; how long all of it, says `core.egress.whole_attempt`."""

MAX_ANSWER = 64 * 1024
LONGEST_WAIT_S = 86_400.0
_KEPT = "/%:@!$&'()*+,;=~?"
"""Characters of a path or query that go out as they are."""


def signature(secret: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """Sign as Standard Webhooks 1.0 does: HMAC-SHA256 over `id.timestamp.body`, base64, with the version before it."""
    content = b".".join((message_id.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.new(secret, content, hashlib.sha256).digest()).decode()


@dataclass(frozen=True, slots=True)
class _Target:
    """A URL taken apart, in the characters that go over the wire."""

    scheme: str
    host: str
    port: int
    host_header: str
    path: str


def _target(url: str) -> _Target:
    """Take a URL apart. Raises ValueError for what is no plain http or https URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise ValueError("no http or https URL without user information")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = parts.hostname.encode("idna").decode() if not parts.hostname.isascii() else parts.hostname
    shown = f"[{host}]" if ":" in host else host
    path = quote(parts.path or "/", safe=_KEPT) + (f"?{quote(parts.query, safe=_KEPT)}" if parts.query else "")
    return _Target(parts.scheme, host, port, f"{shown}:{parts.port}" if parts.port else shown, path)


def send(
    url: str,
    body: bytes,
    *,
    message_id: str,
    secrets: Sequence[bytes],
    now: datetime,
    allow: Sequence[str],
    timeout_s: float = TIMEOUT_S,
) -> Sent:
    """POST the captured body once. Never raises for what a URL, a receiver or a network can do."""
    timestamp = int(now.timestamp())
    headers = {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(secret, message_id, timestamp, body) for secret in secrets),
    }
    answer = post(url, body, headers, allow=allow, timeout_s=timeout_s)
    return answer if isinstance(answer, Sent) else judge(answer.status, answer.retry_after, now)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver answered: its status, when it wants to be asked again, and the beginning of its body."""

    status: int
    retry_after: str | None
    body: bytes
    is_cut: bool = False  # the body was waited for, and had not ended in time


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    allow: Sequence[str],
    timeout_s: float = TIMEOUT_S,
    whole: bool = False,
) -> Answer | Sent:
    """POST once and return the answer, or how the attempt ended when there was none. Never raises.

    With `whole` the answer's body is waited for; without it the status is all that counts. One step may take
    `timeout_s` seconds, from the name's resolution to the answer's end no more than `whole_attempt` allows.
    """
    try:
        target = _target(url)
        with limited() as limit:
            address = limit.run(lambda: resolve(target.host, target.port, allow), "its host's name was not resolved")
            with _pool(target, address, timeout_s, limit) as pool:
                answer = pool.urlopen(
                    "POST",
                    target.path,
                    body=body,
                    headers={**headers, "host": target.host_header},
                    redirect=False,
                    retries=False,
                    preload_content=False,
                )
                with contextlib.closing(answer):
                    limit.check()
                    said, is_ended = _beginning(answer, timeout_s if whole else 0.0)
    except (DestinationRefused, TookTooLong) as error:
        return Sent(False, isinstance(error, DestinationRefused), None, error.message)
    except ValueError as error:
        return Sent(False, True, None, f"{url[:200]} cannot be sent to: {error}"[:500])
    except (urllib3.exceptions.HTTPError, OSError) as error:
        return Sent(False, False, None, f"{type(error).__name__}: {error}"[:500])
    return Answer(answer.status, answer.headers.get("retry-after"), said, whole and not is_ended)


def _beginning(answer: urllib3.BaseHTTPResponse, wait_s: float) -> tuple[bytes, bool]:
    """Read an answer's body for so long and no further than `MAX_ANSWER`, and say whether it was read to that end.

    Without a wait only what is there already is read.
    """
    until = time.monotonic() + wait_s
    said = b""
    with contextlib.suppress(urllib3.exceptions.HTTPError, OSError):
        while len(said) < MAX_ANSWER:
            part = answer.read1(MAX_ANSWER - len(said))
            said += part
            if not part:
                return said, True
            if time.monotonic() >= until:
                return said, False
        return said, True
    return said, False


class _Plain(urllib3.connection.HTTPConnection):
    """A connection that is watched by the attempt's limit from its first byte on."""

    def __init__(self, *args: Any, limit: Limit, **options: Any) -> None:
        self._limit = limit
        super().__init__(*args, **options)

    def _new_conn(self) -> socket.socket:
        connection = super()._new_conn()
        self._limit.watch(connection)
        return connection


class _Encrypted(_Plain, urllib3.connection.HTTPSConnection):
    """The same with TLS, whose handshake counts as well."""


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Plain


class _EncryptedPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Encrypted


def _pool(target: _Target, address: str, timeout_s: float, limit: Limit) -> urllib3.HTTPConnectionPool:
    """Return a pool that connects to the address that was checked, whatever the name resolves to by then."""
    timeout = urllib3.Timeout(connect=min(5.0, timeout_s, limit.left_s()), read=timeout_s)
    if target.scheme == "http":
        return _PlainPool(address, target.port, timeout=timeout, limit=limit)
    return _EncryptedPool(
        address, target.port, server_hostname=target.host, assert_hostname=target.host, timeout=timeout, limit=limit
    )


def judge(status: int, retry_after: str | None, now: datetime) -> Sent:
    """Return what an HTTP status means for the message."""
    if 200 <= status < 300:
        return Sent(True, True, status, "accepted")
    if status == 410:
        return Sent(False, True, status, "410 Gone: the receiver wants no more of these")
    kind = "a redirect, which is never followed" if 300 <= status < 400 else "refused"
    return Sent(False, False, status, f"{status}: {kind}", _wait_s(retry_after, now))


def _wait_s(retry_after: str | None, now: datetime) -> float | None:
    """Read Retry-After, in seconds or as a date; at most a day, and nothing when it cannot be read."""
    if not retry_after:
        return None
    if retry_after.isascii() and retry_after.isdecimal():
        return min(float(retry_after[:10]), LONGEST_WAIT_S)
    try:
        wait = (parsedate_to_datetime(retry_after) - now).total_seconds()
    except (ValueError, TypeError):
        return None
    return min(max(wait, 0.0), LONGEST_WAIT_S)
