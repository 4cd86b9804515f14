"""Compares what a sender showed with what a secret gives, in constant time and on bytes only."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from datetime import datetime

from core.model.errors import SignatureRefused

TOLERANCE_S = 300
"""How far a signed time may be from ours, in both directions."""


def any_equal(shown: bytes, expected: Iterable[bytes]) -> bool:
    """Whether `shown` equals one of `expected`; all are compared, so the time does not tell which fits."""
    found = False
    for value in expected:
        found |= hmac.compare_digest(shown, value)
    return found


def refused() -> SignatureRefused:
    """Return the one refusal for everything that does not fit; it tells nobody how near they were."""
    return SignatureRefused("The signature or token fits none of this source's secrets.")


def check_time(shown: bytes, now: datetime, *, per_second: int, tolerance_s: int, header: str) -> None:
    """Refuse a signed time that is not digits, or lies over `tolerance_s` from now, in past or future."""
    if not shown.isdigit() or len(shown) > 16:
        raise SignatureRefused(f"{header} must hold the time of sending as a number.")
    if abs(now.timestamp() - int(shown) / per_second) > tolerance_s:
        raise SignatureRefused(
            f"{header} is more than {tolerance_s} seconds away from this server's time; "
            "either the request is old or one of the two clocks is wrong."
        )
