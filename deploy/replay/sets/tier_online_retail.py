"""UCI Online Retail: an invoice is an order; what a customer bought in the last 365 days gives the tier.

The business's thresholds are scaled by a thousandth to this wholesaler's size and currency: A above 10,000 pounds a
year, B from 3,000, C below. A customer is told anew when the tier changes, with the purchase it rests on. An invoice
that takes goods back (its number starts with C) cancels the newest earlier order of the same customer with exactly the
same goods; where there is none it only lowers the purchase, and is refused unless that changes the tier.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from deploy.replay.book import DataSet, Kept, Outcome, Told, by_case, filled
from deploy.replay.rows import Files, RefusedRow

FILE = "online_retail.parquet"
YEAR = timedelta(days=365)
A_ABOVE, B_FROM = Decimal(10_000), Decimal(3_000)
BASIS = "net purchase of the last 365 days in GBP: A above 10,000, B from 3,000, C below"
Line = dict[str, Any]
Goods = tuple[Any, ...]


@dataclass(slots=True)
class Account:
    """What one customer bought within a year, and the tier that was told last."""

    bought: deque[tuple[datetime, Decimal]] = field(default_factory=deque)
    total: Decimal = Decimal(0)
    tier: str = ""

    def add(self, at: datetime, value: Decimal) -> None:
        """Add a purchase, or what was taken back, and forget what is older than a year."""
        self.bought.append((at, value))
        self.total += value
        while self.bought[0][0] <= at - YEAR:
            self.total -= self.bought.popleft()[1]


def outcomes(files: Files) -> Iterator[Outcome]:
    """Yield the lines invoice by invoice, in the order of their times."""
    invoices = sorted(
        by_case(files.parquet(FILE), lambda line: str(line["InvoiceNo"])),
        key=lambda lines: (lines[0]["InvoiceDate"], lines[0]["InvoiceNo"]),
    )
    shop = Shop()
    for lines in invoices:
        yield from shop.invoice(lines)


class Shop:
    """The invoices so far."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._placed: dict[Goods, list[str]] = {}  # orders that can still be taken back, by customer and goods

    def invoice(self, lines: Sequence[Line]) -> Iterator[Outcome]:
        """Yield one outcome for each line of an invoice."""
        number = str(lines[0]["InvoiceNo"])
        good = [line for line in lines if line["UnitPrice"] > 0 and (line["Quantity"] > 0) != number.startswith("C")]
        if not number.removeprefix("C").isdecimal():
            yield from (RefusedRow("a bookkeeping entry, no invoice") for _ in lines)
            return
        told = self._told(number, good) if good else ()
        for line in lines:
            if line not in good:
                yield RefusedRow("price or quantity is not positive: a stock correction")
            elif not told:
                yield RefusedRow("takes back goods of no order with exactly these goods")
            else:
                yield Kept(told) if line is good[0] else Kept()

    def _told(self, number: str, lines: Sequence[Line]) -> tuple[Told, ...]:
        at = lines[0]["InvoiceDate"].replace(tzinfo=UTC)
        customer = f"OC-{int(lines[0]['CustomerID'])}" if lines[0]["CustomerID"] is not None else None
        value = sum((_value(line) for line in lines), Decimal(0))
        changed = self._customer(customer, at, value, lines[0]["Country"]) if customer else ()
        if not number.startswith("C"):
            self._placed.setdefault(_goods(customer, lines), []).append(number)
            return (*changed, _order(number, customer, at, value, lines))
        earlier = self._placed.get(_goods(customer, lines))
        if not customer or not earlier:
            return changed
        return (*changed, Told("order.cancelled", at, {"id": f"OR-{earlier.pop()}", "status": "cancelled"}))

    def _customer(self, customer: str, at: datetime, value: Decimal, country: str) -> tuple[Told, ...]:
        account = self._accounts.setdefault(customer, Account())
        account.add(at, value)
        tier = "A" if account.total > A_ABOVE else "B" if account.total >= B_FROM else "C"
        if tier == account.tier:
            return ()
        account.tier = tier
        data = {
            "id": customer,
            "tier": tier,
            "region": country,
            "yearly_purchase": str(account.total),
            "currency": "GBP",
            "extra": {"tier_basis": BASIS},
        }
        return (Told("customer.updated", at, data),)


def _order(number: str, customer: str | None, at: datetime, value: Decimal, lines: Sequence[Line]) -> Told:
    data = {
        "id": f"OR-{number}",
        "customer_id": customer,
        "currency": "GBP",
        "amount": str(value),
        "lines": [_line(line) for line in lines],
        "status": "placed",
        "region": lines[0]["Country"],
    }
    return Told("order.placed", at, filled(data))


def _line(line: Line) -> dict[str, str]:
    return {
        "product": str(line["Description"] or line["StockCode"]).strip(),
        "specification": line["StockCode"],
        "quantity": str(line["Quantity"]),
        "unit_price": str(line["UnitPrice"]),
    }


def _goods(customer: str | None, lines: Sequence[Line]) -> Goods:
    return (customer, *sorted((line["StockCode"], abs(line["Quantity"])) for line in lines))


def _value(line: Line) -> Decimal:
    return (Decimal(line["Quantity"]) * Decimal(str(line["UnitPrice"]))).quantize(Decimal("0.01"))


SET = DataSet(
    "tier_online_retail",
    "wholesale",
    outcomes,
    f"tiers by {BASIS} (the business's thresholds divided by 1,000)",
    None,
)
