"""The settings as typed, frozen values; `config.py` reads and checks them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from core.api import Span

from .table import Rule

TIERS = ("A", "B", "C")
REVIEWER = "reviewer"
"""In a rule's levels: the role that reviews quotes of the customer's tier, by `reviewers`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TierLimits:
    """Yearly purchases in the base currency: above `a_above` is A, from `b_from` up is B, below is C."""

    a_above: Decimal
    b_from: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One rung of the ladder: when a level has not been decided `after` it was asked, `to` is told."""

    after: Span
    to: str  # approver, manager or fallback


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of one unit."""

    base_currency: str
    tier_field: str
    tier_limits: TierLimits
    required: tuple[str, ...]
    product_stands_for_specification: bool
    amount_tolerance: Decimal
    tax_rates: tuple[Decimal, ...]
    reviewers: Mapping[str, str]
    rules: tuple[Rule, ...]
    ladder: tuple[Rung, ...]
    cycle: Span
    fallback: str
    link_valid_hours: int

    def role(self, who: str, tier: str | None) -> str:
        """Return the role or person that a rule names, with `reviewer` as the one for the customer's tier."""
        return self.reviewers[tier or "unknown"] if who == REVIEWER else who
