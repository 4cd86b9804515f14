"""What a CRM posts: a path, headers and the exact bytes that were signed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from deploy.demo.facts import Fact


@dataclass(frozen=True, slots=True)
class Request:
    """One webhook, ready to be posted."""

    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def tampered(self) -> Request:
        """Return the same request with one byte of its body changed after signing."""
        return replace(self, body=self.body[:-2] + b" " + self.body[-2:])


class Crm(Protocol):
    """A CRM that can tell facts; one request may carry several when the CRM sends batches."""

    source: str
    batch: int

    def request(self, facts: Sequence[Fact], now: datetime) -> Request:
        """Return the signed request that tells these facts, signed at `now`."""
        ...


def compact(value: Any) -> bytes:
    """Encode JSON without spaces, as most senders do."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
