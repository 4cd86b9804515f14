"""What a quote is routed by: its facts, where each came from, and which are unknown; pure."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

from core.api import Customer, Quote

from .settings import TIERS, Config
from .table import OTHER
from .terms import read_terms

_YUAN = frozenset({"RMB", "人民币", "人民币元", "元"})
"""How people write CNY. The sign ¥ is not among them, for it is the yen's as well."""

_WIDE = Context(prec=120)
"""Holds the product of three of the longest numbers a record can have, to the last place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The facts of one quote; None is unknown. Money is in the base currency, `discount` and `margin` are fractions."""

    tier: str | None
    currency: str
    unit: str
    amount: Decimal | None
    discount: Decimal | None
    margin: Decimal | None
    payment_days: int | None
    lead_time_days: int | None
    tier_from: str
    tier_from_zh: str
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the facts as a decision stores them."""
        return {
            "tier": self.tier,
            "tier_from": self.tier_from,
            "tier_from_zh": self.tier_from_zh,
            "currency": self.currency,
            "unit": self.unit,
            "amount": text_of(self.amount),
            "discount": text_of(self.discount),
            "margin": text_of(self.margin),
            "payment_days": self.payment_days,
            "lead_time_days": self.lead_time_days,
            "notes": list(self.notes),
        }


def text_of(number: Decimal | None) -> str | None:
    """Return an amount in one way of writing: 8 and 8.00 are the same."""
    if number is None:
        return None
    return "0" if number == 0 else format(number.normalize(), "f")


def currency_of(said: str | None) -> str | None:
    """Return the ISO code of a currency as people write it: cny, RMB and 人民币 are CNY; others stay."""
    folded = unicodedata.normalize("NFKC", said or "").strip().upper()
    return "CNY" if folded in _YUAN else folded or None


def facts_of(quote: Quote, customer: Customer | None, unit: str, config: Config) -> Facts:
    """Return what a quote is routed by. Nothing is invented: what is not known stays None and is told in `notes`."""
    notes: list[str] = []
    tier, tier_from, tier_from_zh = tier_of(customer, config)
    named = currency_of(quote.currency)
    currency, amount = named or OTHER, quote.amount
    if named and currency != config.base_currency and amount is not None:
        amount = None
        notes.append(f"The amount is in {currency}; without an exchange rate it is unknown in {config.base_currency}.")
    if amount == 0 and not _gross(quote):
        amount = None
        notes.append("The amount is 0 and the lines add up to nothing, so what the quote is worth is unknown.")
    terms = read_terms(quote.payment_terms or "")
    if terms.days is None:
        notes.append(f"The payment terms could not be read: {terms.why[:80]}")
    discount = _discount(quote, config, notes)
    return Facts(
        tier=tier,
        tier_from=tier_from,
        tier_from_zh=tier_from_zh,
        currency=currency,
        unit=unit,
        amount=amount,
        discount=discount,
        margin=quote.margin,
        payment_days=terms.days,
        lead_time_days=quote.lead_time_days,
        notes=tuple(notes),
    )


def tier_of(customer: Customer | None, config: Config) -> tuple[str | None, str, str]:
    """Return the customer's tier and, in English and Chinese, where it came from: its field, else yearly purchases."""
    if customer is None:
        return None, "the customer is not known", "客户未知"
    value = customer.extra.get(config.tier_field[6:]) if config.tier_field.startswith("extra.") else customer.tier
    if isinstance(value, str) and value.strip().upper() in TIERS:
        return value.strip().upper(), f"customer field {config.tier_field}", f"取自客户字段 {config.tier_field}"
    if value not in (None, ""):
        said = str(value)[:40]
        en = f'customer field {config.tier_field} says "{said}", which is no tier'
        return None, en, f"客户字段 {config.tier_field} 的值“{said}”不是等级"
    yearly = customer.yearly_purchase
    if yearly is None:
        return None, "the customer has neither a tier nor a yearly purchase", "客户既无等级也无年采购额"
    if currency_of(customer.currency) != config.base_currency:
        en = f"the yearly purchase is in {customer.currency or 'no known currency'}, not {config.base_currency}"
        return None, en, f"年采购额的币种为 {customer.currency or '未知'}，不是 {config.base_currency}"
    limits = config.tier_limits
    tier = "A" if yearly > limits.a_above else "B" if yearly >= limits.b_from else "C"
    bought = f"{text_of(yearly)} {config.base_currency}"
    return tier, f"yearly purchase of {bought}", f"按年采购额 {bought}"


def _discount(quote: Quote, config: Config, notes: list[str]) -> Decimal | None:
    """Return the largest of the discount a quote states, the one its lines add up to, and both where both were given.

    A line that leaves its discount open gives at least none, so the lines count even then beside what is stated.
    """
    least = line_discount(quote)
    is_open = least is None or any(line.discount is None for line in quote.lines)
    if quote.discount is None or least is None:
        return quote.discount if is_open else least
    if least > quote.discount:
        notes.append(f"The lines give a discount of {least}; the quote states {text_of(quote.discount)}.")
    both = 1 - (1 - least) * (1 - quote.discount)
    if least > 0 and quote.discount > 0 and _is_on_top(quote, config):
        notes.append(f"By its amount the quote gives its discount on top of the lines': {text_of(both)} in all.")
        return both
    return max(least, quote.discount)


def _is_on_top(quote: Quote, config: Config) -> bool:
    """Whether the amount is what the lines come to less both discounts, and fits neither of the two alone."""
    totals = totals_of(quote)
    if quote.amount is None or totals is None:
        return False
    fits = {name: fits_total(quote.amount, total, config) for name, total in totals.items()}
    return fits["both"] and not fits["lines"] and not fits["quote"]


def totals_of(quote: Quote) -> dict[str, Decimal] | None:
    """Return what the lines come to less the `lines`' own discounts, less the `quote`'s, and less `both`.

    None when a quantity or price is not known, or there are no lines.
    """
    gross = net = Decimal(0)
    for line in quote.lines:
        if line.quantity is None or line.unit_price is None:
            return None
        value = line.quantity * line.unit_price
        gross += value
        net += value * (1 - (line.discount or 0))
    off = 1 - (quote.discount or 0)
    return {"lines": net, "both": net * off, "quote": gross * off} if quote.lines else None


def _gross(quote: Quote) -> Decimal:
    """Return what the lines come to before any discount, as far as their quantities and prices are known."""
    return sum(
        (line.quantity * line.unit_price for line in quote.lines if line.quantity and line.unit_price), Decimal(0)
    )


def fits_total(amount: Decimal, total: Decimal, config: Config) -> bool:
    """Whether an amount is this total, without tax or with it, as closely as the settings want."""
    taxed = [total * (1 + rate) for rate in (Decimal(0), *config.tax_rates)]
    return any(abs(amount - item) <= config.amount_tolerance * item for item in taxed)


def line_discount(quote: Quote) -> Decimal | None:
    """Return the discount over all lines by value, to four places, open ones as none; None where it cannot be told."""
    gross = net = Decimal(0)
    for line in quote.lines:
        if line.quantity is None or line.unit_price is None:
            return None
        value = line.quantity * line.unit_price
        gross += value
        net += value * (1 - (line.discount or 0))
    return rounded(1 - net / gross, 4) if gross > 0 else None


def rounded(number: Decimal, places: int) -> Decimal:
    """Return a number with so many places, however large it is."""
    return number.quantize(Decimal(1).scaleb(-places), context=_WIDE)
