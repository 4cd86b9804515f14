"""Who receives messages: where a target is, which keys sign for it, and whether it is spared for a while."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from core.host.secrets import resolve_secret
from core.host.settings import Configuration
from core.model.errors import OutriggerError

FAILURES = 5
PAUSE = timedelta(seconds=30)
SLOW_S = 1.0
SIDE_BY_SIDE = 8
"""How many messages one healthy receiver gets at once."""


@dataclass(slots=True)
class Receiver:
    """What is known of a target: how it answered lately, and how many messages are on their way to it.

    After five failures in a row it gets nothing for half a minute, then one message to see. One that fails or is slow
    gets one message at a time, so that it cannot take the places that the others need.
    """

    failures: int = 0
    is_slow: bool = False
    paused_until: datetime | None = None
    in_flight: int = 0

    def room(self, now: datetime) -> int:
        """Return how many more messages may go to it now."""
        if self.paused_until is not None and now < self.paused_until:
            return 0
        return max((1 if self.failures or self.is_slow else SIDE_BY_SIDE) - self.in_flight, 0)

    def note(self, is_ok: bool, took_s: float, now: datetime) -> None:
        """Count an attempt that ended."""
        self.is_slow = took_s > SLOW_S
        self.failures = 0 if is_ok else self.failures + 1
        self.paused_until = now + PAUSE if self.failures >= FAILURES else None


def signing_key(reference: str) -> bytes:
    """Return the key behind a secret reference; a `whsec_` secret is base64, anything else is used as it is."""
    secret = resolve_secret(reference)
    if secret.startswith(b"whsec_"):
        try:
            return base64.b64decode(secret[6:], validate=True)
        except binascii.Error:
            raise OutriggerError(f"The secret {reference} starts with whsec_ but is no base64 behind it.") from None
    return secret


@dataclass(frozen=True, slots=True)
class Address:
    """Where a message goes: a URL and the keys that sign, or the reason why it cannot go anywhere."""

    url: str = ""
    keys: tuple[bytes, ...] = ()
    missing: str = ""


def address_of(row: Any, configuration: Configuration) -> Address:
    """Find where a message goes from its target: a source's write-back URL or an endpoint."""
    try:
        if row.effect == "update_record":
            source = configuration.sources.get(row.target)
            if source is None or not source.write_back_url:
                return Address(missing=f"the source {row.target} has no write_back_url")
            references = (source.write_back_secret,) if source.write_back_secret else source.secrets
            return Address(source.write_back_url, tuple(signing_key(item) for item in references[:2]))
        endpoint = configuration.endpoints.get(row.target)
        if endpoint is None:
            return Address(missing=f"no endpoint {row.target} is defined under [endpoints]")
        return Address(endpoint.url, (signing_key(endpoint.secret),) if endpoint.secret else ())
    except OutriggerError as error:
        return Address(missing=error.message)
