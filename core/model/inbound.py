"""What an adapter hands to the inbox: one item per event, already verified, mapped or marked rejected."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from core.model.events import Completeness, Origin, kind_of
from core.model.schemas import canonical_json, validate_record
from core.model.versions import version_key


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundEvent:
    """One canonical event on its way into the inbox. `data` holds canonical JSON values, checked by its schema."""

    source: str
    type: str
    kind: str
    record_id: str
    dedupe_key: str
    occurred_at: datetime
    data: Mapping[str, Any]
    version: str
    completeness: str = Completeness.DELTA
    unit: str | None = None
    origin: str = Origin.CRM
    depth: int = 0
    caused_by: str | None = None
    generation: int = 0
    body_hash: str = ""
    occurred_at_original: str | None = None
    outward: bool = True  # False for what a quiet replay led to: it is decided, and nothing of it leaves


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedItem:
    """One authentic item that did not map: kept as it was sent, with the reason, for a later replay."""

    source: str
    dedupe_key: str
    raw: str
    reason: str
    errors: tuple[Mapping[str, str], ...] = ()
    body_hash: str = ""
    type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


InboundItem = InboundEvent | RejectedItem


def inbound_event(
    *,
    source: str,
    type: str,
    data: Mapping[str, Any],
    dedupe_key: str,
    occurred_at: datetime,
    version: int | str | datetime | None = None,
    completeness: str | None = None,
    unit: str | None = None,
    body_hash: str = "",
    occurred_at_original: str | None = None,
    origin: str = Origin.CRM,
) -> InboundEvent:
    """Check one mapped item and make it an InboundEvent. Raises ItemRejected naming every fault.

    Without `completeness`, `.created`, `.submitted`, `.placed` and `.opened` are taken as full, others as deltas.
    """
    kind = kind_of(type)
    checked = validate_record(kind, data)
    if completeness is None:
        opening = type.rpartition(".")[2] in {"created", "submitted", "placed", "opened"}
        completeness = Completeness.FULL if opening else Completeness.DELTA
    return InboundEvent(
        source=source,
        type=type,
        kind=kind,
        record_id=checked["id"],
        dedupe_key=dedupe_key,
        occurred_at=occurred_at,
        data=checked,
        version=version_key(version, occurred_at),
        completeness=Completeness(completeness),
        unit=unit,
        body_hash=body_hash or body_digest(canonical_json(checked).encode()),
        occurred_at_original=occurred_at_original,
        origin=origin,
    )


def body_digest(raw: bytes) -> str:
    """Return a short digest by which two bodies under one id are told apart."""
    return hashlib.sha256(raw).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the inbox made of a batch, in the order of its items; every id is durable when this exists."""

    event_ids: tuple[str, ...]
    duplicates: int = 0
    rejected: int = 0
    conflicts: int = 0

    @property
    def all_duplicates(self) -> bool:
        """Whether nothing new came: the answer is then 200 instead of 202."""
        return bool(self.event_ids) and self.duplicates == len(self.event_ids)
