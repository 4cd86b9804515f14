"""Whether a quote is complete and consistent before anybody is asked; every fault is named in two languages; pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from core.api import Line, Quote

from .facts import fits_total, rounded, text_of, totals_of
from .settings import Config

LINE_FIELDS = {
    "specification": ("材料规格", "material specification"),
    "unit_price": ("单价", "unit price"),
    "quantity": ("数量", "quantity"),
    "product": ("产品", "product"),
    "family": ("产品系列", "product family"),
}
QUOTE_FIELDS = {
    "lead_time_days": ("交付周期", "lead time"),
    "payment_terms": ("付款条件", "payment terms"),
    "customer_id": ("客户", "customer"),
    "owner": ("负责人", "owner"),
    "amount": ("总金额", "amount"),
    "discount": ("折扣", "discount"),
    "margin": ("毛利率", "margin"),
    "valid_until": ("有效期", "validity"),
}
FIELDS = (*LINE_FIELDS, *QUOTE_FIELDS)
"""What `required` may list."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is missing or cannot be right. `path` is the field, as `lines.2.unit_price`, lines from 1."""

    path: str
    zh: str
    en: str

    def as_json(self) -> dict[str, str]:
        """Return the fault as it is stored and shown."""
        return {"path": self.path, "zh": self.zh, "en": self.en}


def check(quote: Quote, config: Config, handed_in: datetime) -> tuple[Fault, ...]:
    """Return everything that is missing or inconsistent; nothing when people or rules can look at the quote.

    `handed_in` is in the unit's local time, since a quote is valid to the end of a day.
    """
    impossible = (*_impossible(quote, config), *_lapsed(quote, handed_in))
    # A sum over numbers that cannot be is no second fault.
    return (*_missing(quote, config), *impossible, *(() if impossible else _amount(quote, config)))


def _missing(quote: Quote, config: Config) -> Iterator[Fault]:
    if _blank(quote.currency):
        yield Fault("currency", "缺少币种", "missing: currency")
    if not quote.lines:
        yield Fault("lines", "没有报价行", "there are no lines")
    for number, line in enumerate(quote.lines, 1):
        for name in LINE_FIELDS:
            if name in config.required and _is_blank(line, name, config):
                zh, en = LINE_FIELDS[name]
                yield Fault(f"lines.{number}.{name}", f"第 {number} 行缺少{zh}", f"line {number} has no {en}")
    for name, (zh, en) in QUOTE_FIELDS.items():
        if name in config.required and _blank(getattr(quote, name)):
            yield Fault(name, f"缺少{zh}", f"missing: {en}")


def _is_blank(line: Line, name: str, config: Config) -> bool:
    if name == "specification" and config.product_stands_for_specification:
        return _blank(line.specification) and (_blank(line.product) or _blank(line.family))
    return _blank(getattr(line, name))


def _blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _impossible(quote: Quote, config: Config) -> Iterator[Fault]:
    """Yield values that no quote can have."""
    yield from _bounds("amount", "总金额", "the amount", quote.amount)
    yield from _bounds("lead_time_days", "交付周期", "the lead time", quote.lead_time_days)
    yield from _bounds("discount", "折扣", "the discount", quote.discount, high=1)
    if quote.margin is not None and quote.margin > 1:
        yield Fault("margin", f"毛利率为 {text_of(quote.margin)}，大于 1（即 100%）", "the margin is above 1 (100 %)")
    for number, line in enumerate(quote.lines, 1):
        zh, en = f"第 {number} 行", f"line {number}:"
        yield from _bounds(f"lines.{number}.quantity", f"{zh}数量", f"{en} the quantity", line.quantity)
        yield from _bounds(f"lines.{number}.unit_price", f"{zh}单价", f"{en} the unit price", line.unit_price)
        yield from _bounds(f"lines.{number}.discount", f"{zh}折扣", f"{en} the discount", line.discount, high=1)
        if line.unit_price == 0 and "unit_price" in config.required:
            yield Fault(
                f"lines.{number}.unit_price",
                f"{zh}单价为 0；赠品请填写单价，折扣填 1（即 100%）",
                f"{en} the unit price is 0; a gift has its price and a discount of 1 (100 %)",
            )


def _lapsed(quote: Quote, handed_in: datetime) -> Iterator[Fault]:
    """Yield the validity of a quote whose last day was over when it was handed in."""
    last = quote.valid_until.astimezone(handed_in.tzinfo).date() if quote.valid_until else None
    if last is not None and last < handed_in.date():
        yield Fault("valid_until", f"有效期至 {last}，提交时已过期", f"the quote was valid until {last}, which is over")


def _bounds(path: str, zh: str, en: str, value: Decimal | int | None, high: int | None = None) -> Iterator[Fault]:
    if value is None:
        return
    if value < 0:
        yield Fault(path, f"{zh}为负数（{value}）", f"{en} is negative ({value})")
    elif high is not None and value > high:
        yield Fault(path, f"{zh}为 {value}，大于 {high}（0.05 即 5%）", f"{en} is {value}, above {high} (0.05 is 5 %)")


def _amount(quote: Quote, config: Config) -> Iterator[Fault]:
    """Compare the amount with the lines, in every way in which CRMs add up: the quote's discount may be within the
    lines' or on top of them, and the amount may contain value-added tax.
    """
    totals = totals_of(quote)
    if quote.amount is None or totals is None:
        return
    if not any(fits_total(quote.amount, total, config) for total in totals.values()):
        told = f"{text_of(rounded(totals['lines'], 2))} {quote.currency or ''}".strip()
        yield Fault(
            "amount",
            f"总金额 {text_of(quote.amount)} 与各行折后合计 {told} 不符",
            f"the amount {text_of(quote.amount)} does not fit the lines, which add up to {told} after discount",
        )
