"""The canonical records a CRM holds: lead, customer, quote, order, complaint, and a market price.

Every field but `id` is optional: senders often send only what changed, and a missing value is never invented.
Amounts are `Decimal` beside an ISO 4217 `currency`; instants are aware UTC datetimes. `extra` keeps what nobody mapped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """The person to talk to."""

    name: str | None = None
    email: str | None = None
    phone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """One dated thing a lead did: a visit, a download, a call."""

    type: str
    at: datetime
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBasis:
    """The metal price a quote rests on."""

    metal: str | None = None
    price: Decimal | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a quote or an order."""

    product: str | None = None
    family: str | None = None
    specification: str | None = None
    quantity: Decimal | None = None
    unit: str | None = None
    unit_price: Decimal | None = None
    discount: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """A possible customer: a person or company that showed interest (线索)."""

    id: str
    name: str | None = None
    company: str | None = None
    contact: Contact = Contact()
    source: str | None = None
    industry: str | None = None
    region: str | None = None
    city: str | None = None
    products: tuple[str, ...] = ()
    annual_volume: Decimal | None = None
    budget: Decimal | None = None
    currency: str | None = None
    requirement: str | None = None
    owner: str | None = None
    status: str | None = None
    created_at: datetime | None = None
    customer_id: str | None = None
    lost_reason: str | None = None
    score: int | None = None
    grade: str | None = None
    counters: Mapping[str, int] = field(default_factory=lambda: _EMPTY)
    activities: tuple[Activity, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """A company that buys (客户); `tier` is A, B or C with its provenance, never what a quote claims."""

    id: str
    name: str | None = None
    tier: str | None = None
    industry: str | None = None
    region: str | None = None
    yearly_purchase: Decimal | None = None
    currency: str | None = None
    owner: str | None = None
    since: datetime | None = None
    extra: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """An offer to a customer (报价). `discount` and `margin` are fractions: 0.08 is 8 %."""

    id: str
    customer_id: str | None = None
    lead_id: str | None = None
    owner: str | None = None
    currency: str | None = None
    amount: Decimal | None = None
    discount: Decimal | None = None
    margin: Decimal | None = None
    payment_terms: str | None = None
    lead_time_days: int | None = None
    valid_until: datetime | None = None
    price_basis: PriceBasis = PriceBasis()
    lines: tuple[Line, ...] = ()
    status: str | None = None
    industry: str | None = None
    region: str | None = None
    need: str | None = None
    solution: str | None = None
    strategy: str | None = None
    rejected_reason: str | None = None
    extra: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A placed order (订单)."""

    id: str
    quote_id: str | None = None
    customer_id: str | None = None
    currency: str | None = None
    amount: Decimal | None = None
    lines: tuple[Line, ...] = ()
    promised_at: datetime | None = None
    estimated_at: datetime | None = None
    delay_reason: str | None = None
    status: str | None = None
    shipped_at: datetime | None = None
    delivered_at: datetime | None = None
    paid_at: datetime | None = None
    collected_amount: Decimal | None = None
    industry: str | None = None
    region: str | None = None
    extra: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """A complaint or service ticket (投诉). `waiting_for` is `customer` while the clock should pause."""

    id: str
    customer_id: str | None = None
    order_id: str | None = None
    product: str | None = None
    alloy: str | None = None
    batch: str | None = None
    process_step: str | None = None
    category: str | None = None
    severity: str | None = None
    channel: str | None = None
    subject: str | None = None
    body: str | None = None
    opened_at: datetime | None = None
    first_response_at: datetime | None = None
    waiting_for: str | None = None
    resolved_at: datetime | None = None
    cause: str | None = None
    resolution: str | None = None
    satisfaction: int | None = None
    owner: str | None = None
    department: str | None = None
    status: str | None = None
    industry: str | None = None
    region: str | None = None
    extra: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketPrice:
    """A price on the raw-material market; `id` names what is priced, such as `aluminium`."""

    id: str
    price: Decimal | None = None
    previous_price: Decimal | None = None
    currency: str | None = None
    at: datetime | None = None
    extra: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitChange:
    """What `record.unit_changed` carries: the record moved from one business unit to another."""

    id: str
    from_unit: str | None = None
    to_unit: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerDue:
    """What `timer.due` carries: which timer of which plugin fell due, and whether it fires late."""

    id: str
    plugin: str
    timer: str
    due_at: datetime
    late: bool = False
    round: int = 0
    data: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)


Record = Lead | Customer | Quote | Order | Complaint | MarketPrice

KINDS: dict[str, type[Record]] = {
    "lead": Lead,
    "customer": Customer,
    "quote": Quote,
    "order": Order,
    "complaint": Complaint,
    "market": MarketPrice,
}

LINKS: dict[str, str] = {
    "lead_id": "lead",
    "customer_id": "customer",
    "quote_id": "quote",
    "order_id": "order",
}
"""The fields by which one record names another, and the kind each names."""
