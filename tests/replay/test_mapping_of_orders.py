"""How the rows of order sets become events: what is told, what is left out, and why a row is refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from deploy.replay.rows import RefusedRow
from deploy.replay.sets.tier_online_retail import Shop
from tests.replay.mapping_kit import map_set


def test_a_purchase_order_begins_with_its_item_and_absurd_years_are_refused(tmp_path):
    def row(step: str, time: str) -> Mapping[str, str]:
        return {"case:concept:name": "45_1", "concept:name": step, "time:timestamp": f"{time}T10:00:00+00:00"}

    rows = [
        row("Vendor creates invoice", "2018-01-01"),
        row("Create Purchase Order Item", "1948-01-26"),
        row("Create Purchase Order Item", "2018-01-02"),
        row("Change Approval for Purchase Order", "2018-01-03"),
        row("Record Goods Receipt", "2018-01-04"),
        row("Record Goods Receipt", "2018-01-05"),
        row("Clear Invoice", "2018-01-06"),
        row("Delete Purchase Order Item", "2018-01-07"),
    ]
    book, lines = map_set(tmp_path, "approval_bpic2019_po", {"open/bpic2019_one_trace_per_variant.csv.gz": rows})
    assert [line["type"] for line in lines] == ["order.placed", "order.updated", "order.paid", "order.cancelled"]
    assert book.refused == {
        "before the order was placed": 1,
        "absurd year in time": 1,
        "a decision by people: kept for comparison": 1,
        "repeats the step before": 1,
    }


def test_an_order_takes_its_items_and_payments_with_it_and_says_nothing_of_what_has_no_time(tmp_path):
    row = {
        "order_id": "o1",
        "customer_id": "c1",
        "order_status": "delivered",
        "late": "1.0",
        "order_purchase_timestamp": "2017-11-17 13:00:00",
        "order_approved_at": "2017-11-17 14:00:00",
        "order_delivered_carrier_date": "",
        "order_delivered_customer_date": "2017-12-30 12:00:00",
        "order_estimated_delivery_date": "2017-12-20",
    }
    files = {
        "open/orders.csv.gz": [row, {**row, "order_id": "o2", "order_purchase_timestamp": ""}],
        "open/order_items.csv.gz": [
            {"order_id": "o1", "product_id": "p", "price": "59.9"},
            {"order_id": "o7", "product_id": "p", "price": "1"},
        ],
        "open/order_payments.csv.gz": [
            {"order_id": "o1", "payment_value": "30.0"},
            {"order_id": "o1", "payment_value": "44.5"},
        ],
        "customers.csv.gz": [{"customer_id": "c1", "customer_unique_id": "u", "customer_state": "SP"}],
    }
    book, lines = map_set(tmp_path, "order_olist", files)
    assert [line["type"] for line in lines] == ["order.placed", "order.paid", "order.fulfilled"]
    assert (lines[0]["data"]["amount"], lines[0]["data"]["region"]) == ("74.50", "SP")
    assert lines[0]["data"]["promised_at"] == "2017-12-21T03:00:00Z"
    assert (book.read, book.accepted) == (6, 4)
    assert book.refused == {"no order_purchase_timestamp": 1, "its order is not in the sample": 1}


def test_items_of_one_order_are_placed_together(tmp_path):
    row = {
        "Order Id": "3",
        "Customer Id": "8",
        "order date (DateOrders)": "1/31/2018 22:56",
        "Order Region": "Oceania",
        "shipping date (DateOrders)": "2/3/2018 22:56",
        "Days for shipment (scheduled)": "4",
        "Product Name": "Fan",
        "Order Item Total": "314.6400146",
        "Order Item Product Price": "327.75",
        "Order Item Quantity": "1",
        "Order Item Discount Rate": "0.039999999",
        "Category Name": "Sport",
        "Customer Segment": "Consumer",
        "Shipping Mode": "Standard Class",
        "Late_delivery_risk": "0",
        "Delivery Status": "Advance shipping",
    }
    rows = [row, row, {**row, "Order Id": "4", "order date (DateOrders)": "31/1/2018 22:56"}]
    book, lines = map_set(tmp_path, "order_dataco_sample", {"open/orders.csv.gz": rows})
    assert [line["type"] for line in lines] == ["order.placed", "order.fulfilled"]
    assert lines[0]["data"]["amount"] == "629.28"
    assert lines[0]["data"]["lines"][0]["discount"] == "0.04"
    assert "Advance" not in str(lines)
    assert (book.accepted, book.refused) == (2, {"order date of another form": 1})


def retail(invoice: str, day: int, quantity: int, price: float = 10.0, customer: float | None = 7.0) -> dict[str, Any]:
    return {
        "InvoiceNo": invoice,
        "StockCode": "A1",
        "Description": None,
        "Quantity": quantity,
        "UnitPrice": price,
        "InvoiceDate": datetime(2011, 3, day),
        "CustomerID": customer,
        "Country": "France",
    }


def test_a_customers_tier_follows_what_was_bought_within_a_year_and_what_was_taken_back():
    shop, events, reasons = Shop(), [], []
    invoices = [
        [retail("1", 1, 100)],
        [retail("2", 2, 300), retail("2", 2, -5)],
        [retail("3", 3, 700)],
        [retail("C4", 4, -700)],
        [retail("C5", 5, -1)],
        [retail("A6", 6, 1)],
        [retail("7", 7, 1, customer=None)],
        [retail("C8", 8, -300)],
    ]
    for lines in invoices:
        outcomes = list(shop.invoice(lines))
        assert len(outcomes) == len(lines)
        for outcome in outcomes:
            if isinstance(outcome, RefusedRow):
                reasons.append(str(outcome))
            else:
                events += [(told.type, told.data["id"], told.data.get("tier")) for told in outcome.events]
    assert events == [
        ("customer.updated", "OC-7", "C"),
        ("order.placed", "OR-1", None),
        ("customer.updated", "OC-7", "B"),
        ("order.placed", "OR-2", None),
        ("customer.updated", "OC-7", "A"),
        ("order.placed", "OR-3", None),
        ("customer.updated", "OC-7", "B"),
        ("order.cancelled", "OR-3", None),
        ("order.placed", "OR-7", None),
        ("customer.updated", "OC-7", "C"),
        ("order.cancelled", "OR-2", None),
    ]
    assert reasons == [
        "price or quantity is not positive: a stock correction",
        "takes back goods of no order with exactly these goods",
        "a bookkeeping entry, no invoice",
    ]
