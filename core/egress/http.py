"""Sends one signed webhook: resolves once, connects to the address it checked, follows no redirect."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import urllib3

from core.egress.addresses import DestinationRefused, resolve

TIMEOUT_S = 15.0
MAX_ANSWER = 64 * 1024


@dataclass(frozen=True, slots=True)
class Sent:
    """How one attempt ended."""

    is_ok: bool
    is_final: bool  # do not try again: gone, or a destination that may not be reached
    status: int | None
    reason: str
    retry_after_s: float | None = None


def signature(secret: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """Sign as Standard Webhooks 1.0 does: HMAC-SHA256 over `id.timestamp.body`, base64, with the version before it."""
    content = b".".join((message_id.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.new(secret, content, hashlib.sha256).digest()).decode()


def send(
    url: str, body: bytes, *, message_id: str, secrets: Sequence[bytes], now: datetime, allow: Sequence[str],
    timeout_s: float = TIMEOUT_S,
) -> Sent:  # fmt: skip
    """POST the captured body once. Never raises for what a receiver or a network can do."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        return Sent(False, True, None, f"{url} is no http or https URL without user information")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    timestamp = int(now.timestamp())
    headers = {
        "content-type": "application/json",
        "user-agent": "Outrigger/0.1",
        "host": parts.netloc,
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(secret, message_id, timestamp, body) for secret in secrets),
    }
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    timeout = urllib3.Timeout(connect=min(5.0, timeout_s), read=timeout_s)
    try:
        address = resolve(parts.hostname, port, allow)
        pool: urllib3.HTTPConnectionPool
        if parts.scheme == "https":
            pool = urllib3.HTTPSConnectionPool(
                address, port, server_hostname=parts.hostname, assert_hostname=parts.hostname, timeout=timeout
            )
        else:
            pool = urllib3.HTTPConnectionPool(address, port, timeout=timeout)
        with pool:
            answer = pool.urlopen(
                "POST", path, body=body, headers=headers, redirect=False, retries=False, preload_content=False
            )
            answer.read(MAX_ANSWER, decode_content=False)
            answer.release_conn()
    except DestinationRefused as error:
        return Sent(False, True, None, error.message)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        return Sent(False, False, None, f"{type(error).__name__}: {error}"[:500])
    return _judge(answer.status, answer.headers.get("retry-after"))


def _judge(status: int, retry_after: str | None) -> Sent:
    if 200 <= status < 300:
        return Sent(True, True, status, "accepted")
    if status == 410:
        return Sent(False, True, status, "410 Gone: the receiver wants no more of these")
    wait = min(float(retry_after), 86_400.0) if retry_after and retry_after.isdecimal() else None
    kind = "a redirect, which is never followed" if 300 <= status < 400 else "refused"
    return Sent(False, False, status, f"{status}: {kind}", wait)
