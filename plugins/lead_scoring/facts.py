"""The facts a rule may look at, each by one name, read from a lead without inventing any."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from core.api import Customer, Lead


class FactKind(StrEnum):
    """What a fact is, and so which tests a rule may put to it."""

    TEXT = "text"
    NUMBER = "number"
    ACTIVITIES = "activities"
    ANY = "any"  # an unmapped field, which may turn out to be either


FIELDS: Mapping[str, tuple[FactKind, tuple[str, ...]]] = {
    **{
        name: (FactKind.TEXT, (name,))
        for name in ("name", "company", "source", "industry", "region", "city", "products", "requirement")
    },
    **{name: (FactKind.TEXT, (name,)) for name in ("status", "owner", "lost_reason", "customer_id", "currency")},
    "contact.name": (FactKind.TEXT, ("contact",)),
    "contact.email": (FactKind.TEXT, ("contact",)),
    "contact.phone": (FactKind.TEXT, ("contact",)),
    "contact.email_domain": (FactKind.TEXT, ("contact",)),
    "contact.channels": (FactKind.NUMBER, ("contact",)),
    "annual_volume": (FactKind.NUMBER, ("annual_volume",)),
    "budget": (FactKind.NUMBER, ("budget", "currency")),
    "requirement.length": (FactKind.NUMBER, ("requirement",)),
    "text": (FactKind.TEXT, ("name", "company", "products", "requirement")),
    "age_days": (FactKind.NUMBER, ("created_at",)),
    "idle_days": (FactKind.NUMBER, ("created_at", "activities")),
    "activities": (FactKind.ACTIVITIES, ("activities",)),
    "customer.tier": (FactKind.TEXT, ("customer_id",)),
    "customer.industry": (FactKind.TEXT, ("customer_id",)),
    "customer.yearly_purchase": (FactKind.NUMBER, ("customer_id",)),
}
"""Every fact with a fixed name: its kind, and the lead's fields whose change may change it."""

PERSONAL = frozenset({"contact.name", "contact.email", "contact.phone", "name", "text", "requirement"})
"""Facts that may name a person: decisions, which outlive a person's data, keep only that they were known."""

_NOT_ASKABLE = frozenset({"activities", "text", "age_days", "idle_days", "owner", "status", "lost_reason"})
_PLACEHOLDERS = frozenset({"", "/", "n/a", "na", "none", "null", "unknown", "无", "未知", "不详", "暂无"})


def fact_kind(field: str) -> FactKind | None:
    """Return the kind of the fact of this name, or None when there is no such fact."""
    if field in FIELDS:
        return FIELDS[field][0]
    top, _, member = field.partition(".")
    if not member:
        return None
    return {"counters": FactKind.NUMBER, "extra": FactKind.ANY}.get(top)


def is_askable(field: str) -> bool:
    """Whether a rep could ask the lead for this fact, unlike what it did or what we know of customers."""
    return field in FIELDS and field not in _NOT_ASKABLE and not field.startswith("customer")


def record_fields(field: str) -> tuple[str, ...]:
    """Return the lead's top-level fields whose change may change this fact."""
    return FIELDS[field][1] if field in FIELDS else (field.partition(".")[0],)


def plain(text: str) -> str:
    """Fold a text for comparing: width and case do not count; `_`, `-` and runs of spaces are one space."""
    return re.sub(r"[\s_\-]+", " ", unicodedata.normalize("NFKC", text).casefold()).strip()


class Facts:
    """What is known of one lead at one moment; a placeholder such as 未知 is not known."""

    def __init__(
        self,
        lead: Lead,
        as_of: datetime,
        *,
        customer: Customer | None = None,
        rates: Mapping[str, Decimal] | None = None,
        currency: str = "CNY",
    ) -> None:
        self._lead = lead
        self._as_of = as_of
        self._customer = customer
        self._rates = rates or {}
        self._currency = currency
        self._known: dict[str, Any] = {}
        self._numbers: dict[str, Decimal | None] = {}
        self._texts: dict[str, tuple[str, ...]] = {}

    def number(self, field: str) -> Decimal | None:
        """Return a fact as a number, or None when it is unknown or is none."""
        if field not in self._numbers:
            self._numbers[field] = as_number(self._value(field))
        return self._numbers[field]

    def texts(self, field: str) -> tuple[str, ...]:
        """Return a fact's texts, folded for comparing; empty when it is unknown."""
        if field not in self._texts:
            value = self._value(field)
            items = value if isinstance(value, (list, tuple)) else (value,)
            texts = (plain(_as_text(item)) for item in items if item is not None)
            self._texts[field] = tuple(text for text in texts if text not in _PLACEHOLDERS)
        return self._texts[field]

    def activities(self) -> tuple[tuple[str, int], ...]:
        """Return what the lead did, each with its age in whole days; a date in the future counts as today."""
        return tuple((plain(item.type), self._days_since(item.at)) for item in self._lead.activities)

    def is_known(self, field: str) -> bool:
        """Whether anything is known of this fact."""
        kind = fact_kind(field)
        if kind is FactKind.ACTIVITIES:
            return bool(self._lead.activities)
        return self.number(field) is not None if kind is FactKind.NUMBER else bool(self.texts(field))

    def as_input(self, field: str) -> Any:
        """Return the fact as a decision stores it: without the values that would name a person."""
        if field in PERSONAL:
            return "known" if self.is_known(field) else None
        number = self.number(field)
        if number is not None:
            return str(number)
        if fact_kind(field) is FactKind.ACTIVITIES:
            return [{"type": kind, "age_days": age} for kind, age in self.activities()]
        return list(self.texts(field)) or None

    def _value(self, field: str) -> Any:
        if field not in self._known:
            self._known[field] = self._read(field)
        return self._known[field]

    def _read(self, field: str) -> Any:
        lead = self._lead
        derived = getattr(self, "_read_" + field.replace(".", "_"), None)
        if derived is not None:
            return derived()
        top, _, member = field.partition(".")
        holder: Any = self._customer if top == "customer" else getattr(lead, top)
        if not member:
            return holder
        return holder.get(member) if isinstance(holder, Mapping) else getattr(holder, member, None)

    def _read_text(self) -> list[str | None]:
        return [self._lead.name, self._lead.company, *self._lead.products, self._lead.requirement]

    def _read_contact_email_domain(self) -> str | None:
        local, _, domain = (self._lead.contact.email or "").strip().rpartition("@")
        return domain if local and "." in domain else None

    def _read_contact_channels(self) -> int:
        return sum(bool(self.texts(field)) for field in ("contact.email", "contact.phone"))

    def _read_requirement_length(self) -> int:
        return sum(len(text) for text in self.texts("requirement"))

    def _read_budget(self) -> Decimal | None:
        return self._in_own_currency(self._lead.budget, self._lead.currency)

    def _read_customer_yearly_purchase(self) -> Decimal | None:
        known = self._customer
        return None if known is None else self._in_own_currency(known.yearly_purchase, known.currency)

    def _read_age_days(self) -> int | None:
        return None if self._lead.created_at is None else self._days_since(self._lead.created_at)

    def _read_idle_days(self) -> int | None:
        dates = [item.at for item in self._lead.activities]
        if self._lead.created_at is not None:
            dates.append(self._lead.created_at)
        return self._days_since(max(dates)) if dates else None

    def _days_since(self, at: datetime) -> int:
        return max(0, (self._as_of - at).days)

    def _in_own_currency(self, amount: Decimal | None, currency: str | None) -> Decimal | None:
        """Convert an amount; without a rate it is unknown, because guessing would mis-grade the lead."""
        code = (currency or self._currency).upper()
        rate = Decimal(1) if code == self._currency else self._rates.get(code)
        return None if amount is None or rate is None else amount * rate


def as_number(value: Any) -> Decimal | None:
    """Return a value as a finite number of a size that can be counted with, or None when it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, str)):
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) <= 30 else None


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
