"""A CRM that follows Standard Webhooks and sends canonical bodies: the simplest way to connect."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from deploy.demo.crms.request import Request, compact
from deploy.demo.facts import Fact, text_of


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the `v1` signature of Standard Webhooks for a `whsec_` secret."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


class StandardCrm:
    """Sends one fact a request; the message id stays the same when a message is sent again."""

    batch = 1

    def __init__(self, source: str, secret: str) -> None:
        self.source = source
        self._secret = secret

    def request(self, facts: Sequence[Fact], now: datetime) -> Request:
        """Return the signed request for one fact."""
        (fact,) = facts
        return self.message(fact.id, {"type": fact.type, "timestamp": text_of(fact.at), "data": dict(fact.data)}, now)

    def message(self, message_id: str, body: dict[str, Any], now: datetime) -> Request:
        """Return a signed request for any body, such as the echo of a value that was written back."""
        return self.raw(message_id, compact(body), now)

    def raw(self, message_id: str, raw: bytes, now: datetime) -> Request:
        """Return a request for these very bytes, genuine in its signature whatever they say."""
        timestamp = int(now.timestamp())
        return Request(
            path=f"/webhooks/{self.source}",
            body=raw,
            headers={
                "Content-Type": "application/json",
                "webhook-id": message_id,
                "webhook-timestamp": str(timestamp),
                "webhook-signature": sign(self._secret, message_id, timestamp, raw),
            },
        )
