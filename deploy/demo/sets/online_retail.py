"""Maps UCI Online Retail to orders and customers: an invoice is an order, its buyer's yearly purchase gives the tier.

Prices are pounds sterling. An invoice whose number starts with C takes goods back and names no order; it is mapped
to `order.cancelled` only where the same customer's order has exactly the same goods. The tier is derived, since the
set has none: all customers of the file in order of net purchase over its last 365 days, A the first 5 %, B the
next 15 %, C the rest; `extra.tier_basis` says so with every customer.
"""

from __future__ import annotations

import importlib
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

SET = "uci_online_retail"
FILE = Path("tier_online_retail", "open", "online_retail.parquet")
WANTED = 50
CANCELLED = 8
WINDOW = timedelta(days=30)
BASIS = "rank of net purchase in the last 365 days of the set: A first 5 %, B next 15 %, C the rest"
Invoice = list[dict[str, Any]]


def rows(directory: Path, seed: int) -> list[dict[str, Any]]:
    """Return the sample: the customers first, then seeded orders of the last month with their cancellations."""
    return sample(_invoices(directory / FILE), seed)


def sample(invoices: dict[str, Invoice], seed: int) -> list[dict[str, Any]]:
    """Return the sample of these invoices, each a list of its lines as the file has them."""
    newest = max(lines[0]["InvoiceDate"] for lines in invoices.values())
    purchases = _yearly(invoices, newest)
    tiers = _tiers(purchases)
    recent = {
        number: lines
        for number, lines in invoices.items()
        if not number.startswith("C")
        and lines[0]["InvoiceDate"] > newest - WINDOW
        and 1 <= len(lines) <= 6
        and lines[0]["CustomerID"] is not None
        and all(line["UnitPrice"] > 0 and line["Quantity"] > 0 for line in lines)
    }
    undone = _cancellations(invoices, recent)
    draw = random.Random(seed)
    picked = set(draw.sample(sorted(undone), min(CANCELLED, len(undone))))
    picked |= set(draw.sample(sorted(set(recent) - set(undone)), WANTED - len(picked)))
    orders = sorted(
        (_order(n, recent[n], undone.get(n)) for n in picked), key=lambda r: (r["events"][0]["at"], r["id"])
    )
    first_seen: dict[int, dict[str, Any]] = {}
    for number in sorted(picked, key=lambda n: (recent[n][0]["InvoiceDate"], n)):
        first_seen.setdefault(int(recent[number][0]["CustomerID"]), recent[number][0])
    return [_customer(key, line, purchases, tiers) for key, line in first_seen.items()] + orders


def _invoices(path: Path) -> dict[str, Invoice]:
    parquet = importlib.import_module("pyarrow.parquet")  # needed only here, and only to build the sample

    found: dict[str, Invoice] = defaultdict(list)
    for line in parquet.read_table(path).to_pylist():
        found[line["InvoiceNo"]].append(line)
    return found


def _value(line: dict[str, Any]) -> Decimal:
    return Decimal(line["Quantity"]) * Decimal(str(line["UnitPrice"]))


def _yearly(invoices: dict[str, Invoice], newest: datetime) -> dict[int, Decimal]:
    totals: dict[int, Decimal] = defaultdict(Decimal)
    for lines in invoices.values():
        for line in lines:
            if line["CustomerID"] is not None and line["InvoiceDate"] > newest - timedelta(days=365):
                totals[int(line["CustomerID"])] += _value(line)
    return totals


def _tiers(purchases: dict[int, Decimal]) -> dict[int, str]:
    ranked = sorted(purchases, key=lambda key: (-purchases[key], key))
    share = {key: index / len(ranked) for index, key in enumerate(ranked)}
    return {key: "A" if part < 0.05 else "B" if part < 0.2 else "C" for key, part in share.items()}


def _cancellations(invoices: dict[str, Invoice], orders: dict[str, Invoice]) -> dict[str, datetime]:
    """Pair a cancelling invoice with the one order of the same customer that holds exactly the same goods."""
    taken: dict[tuple[Any, ...], list[datetime]] = defaultdict(list)
    for number, lines in invoices.items():
        if number.startswith("C"):
            taken[_goods(lines, sign=-1)].append(lines[0]["InvoiceDate"])
    pairs: dict[str, datetime] = {}
    for number, lines in sorted(orders.items()):
        later = [at for at in taken.get(_goods(lines, sign=1), []) if at > lines[0]["InvoiceDate"]]
        if later:
            pairs[number] = min(later)
    return pairs


def _goods(lines: Invoice, *, sign: int) -> tuple[Any, ...]:
    return (lines[0]["CustomerID"], *sorted((line["StockCode"], sign * line["Quantity"]) for line in lines))


def _order(number: str, lines: Invoice, cancelled_at: datetime | None) -> dict[str, Any]:
    order_id = f"OR-{number}"
    amount = sum((_value(line) for line in lines), Decimal(0)).quantize(Decimal("0.01"))
    data = {
        "id": order_id,
        "customer_id": _customer_id(int(lines[0]["CustomerID"])),
        "currency": "GBP",
        "amount": str(amount),
        "lines": [_line(line) for line in lines],
        "status": "placed",
        "region": lines[0]["Country"],
        "extra": {"set": SET, "mapped": "InvoiceNo->id, Country->region, sum of lines->amount"},
    }
    events = [{"type": "order.placed", "at": _text(lines[0]["InvoiceDate"]), "data": data}]
    if cancelled_at is not None:
        gone = {"id": order_id, "status": "cancelled", "extra": {"set": SET}}
        events.append({"type": "order.cancelled", "at": _text(cancelled_at), "data": gone})
    return {"set": SET, "kind": "order", "id": order_id, "events": events}


def _line(line: dict[str, Any]) -> dict[str, str]:
    return {
        "product": str(line["Description"] or line["StockCode"]).strip(),
        "specification": line["StockCode"],
        "quantity": str(line["Quantity"]),
        "unit": "pc",
        "unit_price": str(line["UnitPrice"]),
    }


def _customer(key: int, line: dict[str, Any], purchases: dict[int, Decimal], tiers: dict[int, str]) -> dict[str, Any]:
    at = _text(line["InvoiceDate"] - timedelta(hours=1))
    data = {
        "id": _customer_id(key),
        "tier": tiers[key],
        "region": line["Country"],
        "yearly_purchase": str(purchases[key].quantize(Decimal("0.01"))),
        "currency": "GBP",
        "extra": {"set": SET, "tier_basis": BASIS, "mapped": "CustomerID->id, Country->region"},
    }
    event = {"type": "customer.updated", "at": at, "data": data}
    return {"set": SET, "kind": "customer", "id": data["id"], "events": [event]}


def _customer_id(key: int) -> str:
    return f"CUS-{key}"


def _text(at: datetime) -> str:
    return at.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")
