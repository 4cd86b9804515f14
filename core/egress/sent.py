"""What every way out answers about one attempt, and what it is given to send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Sent:
    """How one attempt ended."""

    is_ok: bool
    is_final: bool  # do not try again: gone, or a destination that may not be reached
    status: int | None
    reason: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message as it was captured: its id, its body (JSON text) and the address its channel needs."""

    id: str
    body: str
    created_at: datetime
    address: Mapping[str, Any] = field(default_factory=dict)


def without(secret: str, text: str) -> str:
    """Return what a receiver or a library said without a secret that it may repeat."""
    return text.replace(secret, "…") if secret else text
