"""Olist orders: placed, paid, shipped, delivered, each at its time; the promised day ends at midnight in Brazil.

Items and payments are in the set for about one order in nine; there they give lines and amount. Cancelled and
unavailable orders have no time of that, so it is not told. `late` is the label.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from decimal import Decimal

from deploy.replay.book import DataSet, Kept, Labels, Outcome, Told, filled, text
from deploy.replay.rows import Files, RefusedRow, Row, amount, figures, hours, instant

ORDERS, ITEMS, PAYMENTS = "orders.csv.gz", "order_items.csv.gz", "order_payments.csv.gz"
BRAZIL = hours(-3)
Parts = dict[str, list[Row]]


def outcomes(files: Files) -> Iterator[Outcome]:
    """Yield the orders, then the items and payments that went into them."""
    items, payments = _by_order(files.rows(ITEMS)), _by_order(files.rows(PAYMENTS))
    states = {row["customer_id"]: row["customer_state"] for row in files.beside("customers.csv.gz")}
    placed: set[str] = set()
    for row in files.rows(ORDERS):
        key = row["order_id"]
        try:
            told = order(row, items.get(key, []), payments.get(key, []), states.get(row["customer_id"]))
        except RefusedRow as refused:
            yield refused
        else:
            placed.add(key)
            yield Kept(told)
    for parts in (items, payments):
        for key, rows in parts.items():
            for _ in rows:
                yield Kept() if key in placed else RefusedRow("its order is not in the sample")


def order(row: Row, items: Iterable[Row], payments: Iterable[Row], state: str | None) -> tuple[Told, ...]:
    """Return what happened to one order."""
    at = instant(row["order_purchase_timestamp"], zone=BRAZIL, what="order_purchase_timestamp")
    promised = instant(row["order_estimated_delivery_date"], zone=BRAZIL, what="order_estimated_delivery_date")
    identity = row["order_id"]
    paid = [Decimal(amount(payment["payment_value"]) or "0") for payment in payments]
    data = {
        "id": identity,
        "customer_id": row["customer_id"],
        "currency": "BRL",
        "amount": str(sum(paid)) if paid else None,
        "lines": [
            {"product": item["product_id"], "quantity": "1", "unit_price": amount(item["price"], "price")}
            for item in items
        ],
        "promised_at": text(promised + timedelta(hours=24)),
        "region": state,
        "status": "placed",
    }
    told = [Told("order.placed", at, filled(data))]
    steps = (
        ("order_approved_at", "order.paid", "paid", "paid_at"),
        ("order_delivered_carrier_date", "order.updated", "shipped", "shipped_at"),
        ("order_delivered_customer_date", "order.fulfilled", "delivered", "delivered_at"),
    )
    for column, kind, status, name in steps:
        if row[column].strip():
            then = max(instant(row[column], zone=BRAZIL, what=column), at)
            told.append(Told(kind, then, {"id": identity, "status": status, name: text(then)}))
    return tuple(told)


def labels(files: Files) -> Labels:
    """Return which orders came after the promised day."""
    return {"late": figures((row["order_id"], row["late"]) for row in files.rows(ORDERS))}


def _by_order(rows: Iterable[Row]) -> Parts:
    found: Parts = {}
    for row in rows:
        found.setdefault(row["order_id"], []).append(row)
    return found


SET = DataSet("order_olist", "shop", outcomes, "items and payments are known for one order in nine", labels)
