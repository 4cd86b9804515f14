"""DataCo orders: a row is one item; the items of an order together are placed with a promised day, and shipped later.

What reveals the label at the time of the order (`Delivery Status`, `Order Status`, days really needed) is not told;
the day of shipping arrives when it came.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal

from deploy.replay.book import DataSet, Kept, Labels, Outcome, Told, by_case, filled, text
from deploy.replay.rows import Files, RefusedRow, Row, amount, figures, instant, number

FILE = "orders.csv.gz"
FORM = "%m/%d/%Y %H:%M"


def outcomes(files: Files) -> Iterator[Outcome]:
    """Yield the items order by order."""
    for items in by_case(files.rows(FILE), lambda row: row["Order Id"]):
        try:
            told = order(items)
        except RefusedRow as refused:
            yield from (refused for _ in items)
            continue
        yield Kept(told)
        yield from (Kept() for _ in items[1:])


def order(items: Sequence[Row]) -> tuple[Told, ...]:
    """Return the order of some items, and its shipping."""
    first = items[0]
    at = instant(first["order date (DateOrders)"], FORM, what="order date")
    days = number(first["Days for shipment (scheduled)"])
    if days is None:
        raise RefusedRow("no scheduled days")
    total = sum((Decimal(amount(item["Order Item Total"], "Order Item Total") or "0") for item in items), Decimal(0))
    identity = f"DC-{first['Order Id']}"
    data = {
        "id": identity,
        "customer_id": f"DCC-{first['Customer Id']}",
        "currency": "USD",
        "amount": str(total),
        "lines": [_line(item) for item in items],
        "promised_at": text(at + timedelta(days=days)),
        "region": first["Order Region"],
        "status": "placed",
        "extra": filled({"segment": first["Customer Segment"], "shipping_mode": first["Shipping Mode"]}),
    }
    shipped = max(instant(first["shipping date (DateOrders)"], FORM, what="shipping date"), at)
    end = {"id": identity, "status": "delivered", "shipped_at": text(shipped), "delivered_at": text(shipped)}
    return Told("order.placed", at, filled(data)), Told("order.fulfilled", shipped, end)


def _line(item: Row) -> dict[str, str | None]:
    discount = amount(item["Order Item Discount Rate"], "Order Item Discount Rate")
    return {
        "product": item["Product Name"],
        "family": item["Category Name"],
        "quantity": str(number(item["Order Item Quantity"]) or 1),
        "unit_price": amount(item["Order Item Product Price"], "Order Item Product Price"),
        "discount": discount,
    }


def labels(files: Files) -> Labels:
    """Return which orders were late, as the set says."""
    return {"late": figures((f"DC-{row['Order Id']}", row["Late_delivery_risk"]) for row in files.rows(FILE))}


SET = DataSet("order_dataco_sample", "shop", outcomes, "parts of this set look generated, as its README says", labels)
