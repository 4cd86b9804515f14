"""The builder of the sample: the same sets give the same bytes, and what must be left out is left out."""

from __future__ import annotations

import csv
import gzip
import json
from datetime import datetime, timedelta

import pytest

from deploy.demo.sets import bank_marketing, banking77, online_retail, uci_incident

SEED = 5


def write_csv(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def sets(tmp_path):
    contact = {
        "age": 44,
        "job": "technician",
        "marital": "single",
        "education": "secondary",
        "default": "no",
        "balance": 29,
    }
    contact |= {
        "housing": "yes",
        "loan": "no",
        "contact": "cellular",
        "duration": 151,
        "campaign": 1,
        "pdays": -1,
        "previous": 0,
    }
    months = [("nov", 3), ("dec", 30), ("jan", 2), ("jan", 9)]
    contacts = [
        dict(row_id=n, **contact, day=day, month=month, poutcome="success" if n % 2 else "unknown", y01=n % 2)
        for n, (month, day) in enumerate(months)
    ]
    write_csv(tmp_path / bank_marketing.FILE, contacts)
    write_csv(tmp_path / uci_incident.FILE, [step for n in range(60) for step in incident(n)])
    texts = [
        {"row_id": n, "text": f"Question {n}?", "category": f"intent_{n % 40:02d}", "original_split": "train"}
        for n in range(160)
    ]
    write_csv(tmp_path / banking77.FILE, texts)
    return tmp_path


def incident(number):
    opened = datetime(2016, 4, 1, 8, 0) + timedelta(hours=number)
    stamp = "%d/%m/%Y %H:%M"
    common = {
        "number": f"INC{number:07d}",
        "opened_at": opened.strftime(stamp),
        "contact_type": "Phone",
        "u_symptom": "?",
    }
    common |= {"category": "Category 5", "subcategory": "?", "priority": "3 - Moderate", "caller_id": "Caller 1"}
    common |= {
        "resolved_at": "9/4/2016 10:00",
        "closed_at": "9/4/2016 11:00",
        "closed_code": "code 5",
        "location": "L 1",
    }
    states = ["New", "Awaiting User Info", "Resolved", "Active", "Resolved", "Closed"]
    for hour, state in enumerate(states):
        at = (opened + timedelta(hours=hour)).strftime(stamp)
        group = "Group 1" if hour < 3 else "Group 2"
        reopened = int(hour >= 3)
        yield dict(**common, incident_state=state, sys_updated_at=at, reopen_count=reopened, assignment_group=group)


def invoice(number, customer, day, *items):
    return [
        {
            "InvoiceNo": number,
            "StockCode": code,
            "Description": f"ITEM {code}",
            "Quantity": quantity,
            "InvoiceDate": datetime(2011, 12, day, 9, 0),
            "UnitPrice": 1.25,
            "CustomerID": float(customer),
            "Country": "France",
        }
        for code, quantity in items
    ]


def invoices():
    made = {f"5{n:05d}": invoice(f"5{n:05d}", 100 + n, 1 + n % 9, ("A1", 2 + n), ("B2", 1)) for n in range(60)}
    made["C90001"] = invoice("C90001", 103, 9, ("A1", -5), ("B2", -1))
    made["C90002"] = invoice("C90002", 104, 9, ("A1", -1))  # takes back a part only, so it names no order
    return made


@pytest.mark.parametrize("module", [bank_marketing, uci_incident, banking77])
def test_the_same_set_and_seed_give_the_same_records(sets, module):
    first, second = (json.dumps(module.rows(sets, SEED)) for _ in range(2))
    assert first == second


def test_another_seed_draws_other_records(sets):
    assert banking77.rows(sets, SEED) != banking77.rows(sets, SEED + 1)


def test_invoices_give_the_same_orders_whatever_order_they_are_read_in():
    backwards = dict(reversed(invoices().items()))
    assert online_retail.sample(invoices(), SEED) == online_retail.sample(backwards, SEED)


def test_the_year_of_a_contact_follows_from_the_order_of_the_file(sets):
    days = [row["events"][0]["at"][:10] for row in bank_marketing.rows(sets, SEED)]
    assert days == ["2008-11-03", "2008-12-30", "2009-01-02", "2009-01-09"]


def test_nothing_about_the_person_called_is_kept(sets):
    text = json.dumps(bank_marketing.rows(sets, SEED))
    for word in ("technician", "single", "secondary", "balance", "151", "age"):
        assert word not in text.replace("campaign", "").replace("message", ""), word


def test_an_incident_becomes_a_life_cycle_without_knowledge_of_its_end(sets):
    record = uci_incident.rows(sets, SEED)[0]
    assert [event["type"].partition(".")[2] for event in record["events"]] == [
        "opened", "updated", "resolved", "reopened", "resolved", "closed",
    ]  # fmt: skip
    opened, waiting, resolved = record["events"][:3]
    assert "Caller" not in json.dumps(record)
    assert "code 5" not in json.dumps(record)
    assert waiting["data"]["waiting_for"] == "customer"
    assert resolved["data"]["resolved_at"] == resolved["at"] != "2016-04-09T10:00:00Z"
    assert "resolved_at" not in opened["data"]


def test_only_an_exact_return_of_an_order_cancels_it():
    records = {row["id"]: row for row in online_retail.sample(invoices(), SEED) if row["kind"] == "order"}
    cancelled = [name for name, row in records.items() if len(row["events"]) > 1]
    assert cancelled == ["OR-500003"]


def test_an_orders_amount_is_exact_and_its_customer_has_a_tier_with_its_basis():
    rows = online_retail.sample(invoices(), SEED)
    order = next(row for row in rows if row["id"] == "OR-500003")["events"][0]["data"]
    assert order["amount"] == "7.50"
    customers = [row["events"][0]["data"] for row in rows if row["kind"] == "customer"]
    assert {customer["tier"] for customer in customers} == {"A", "B", "C"}
    assert all(customer["extra"]["tier_basis"] for customer in customers)
