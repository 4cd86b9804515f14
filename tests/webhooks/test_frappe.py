"""The `frappe` adapter: documents of Frappe, ERPNext, Helpdesk and Frappe CRM."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.host.settings import SourceSettings
from core.model.inbound import InboundEvent
from tests.webhooks.senders import inbound, mapped, one_event, one_rejected
from webhooks import ADAPTERS, check_source

SHANGHAI = {"timezone": "Asia/Shanghai"}


def document(doctype: str, event: str = "on_update", **fields: object) -> dict[str, object]:
    return {"doctype": doctype, "event": event, "name": "X-1", "modified": "2026-11-22 16:00:00.5", **fields}


def test_a_captured_request_of_a_real_site_becomes_a_lead():
    vectors = json.loads(Path(__file__).with_name("vectors.json").read_text(encoding="utf-8"))["vectors"]
    vector = next(item for item in vectors if item["scheme"] == "frappe")
    options = {"timezone": "Asia/Kolkata"}
    adapter = ADAPTERS["frappe"](SourceSettings("erp", "frappe", options=options))
    request = inbound(vector["raw_body"].encode(), vector["headers"])
    (event,) = adapter.items(adapter.verify(request, [b"frappe-secret"]), request)
    assert isinstance(event, InboundEvent)
    assert (event.type, event.record_id, event.completeness) == ("lead.created", "CRM-LEAD-2026-00001", "delta")
    assert event.occurred_at.isoformat() == "2026-11-22T05:49:02.195951+00:00"
    assert event.data == {
        "id": "CRM-LEAD-2026-00001",
        "name": "李四",
        "contact": {"name": "李四"},
        "status": "New",
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (document("Lead", "after_insert"), "lead.created"),
        (document("Lead", status="Open"), "lead.updated"),
        (document("Lead", status="Converted"), "lead.converted"),
        (document("Lead", status="Do Not Contact"), "lead.lost"),
        (document("CRM Lead", status="Junk"), "lead.lost"),
        (document("CRM Lead", status="Qualified", converted=1), "lead.converted"),
        (document("Quotation", "after_insert", docstatus=0), "quote.updated"),
        (document("Quotation", "on_submit", docstatus=1), "quote.submitted"),
        (document("Quotation", docstatus=1, status="Ordered"), "quote.accepted"),
        (document("Quotation", "on_change", docstatus=1, status="Lost"), "quote.rejected"),
        (document("Quotation", docstatus=1, status="Expired"), "quote.expired"),
        (document("Quotation", "on_cancel", docstatus=2), "quote.updated"),
        (document("CRM Deal", status="Won"), "quote.accepted"),
        (document("Sales Order", "after_insert", docstatus=0), "order.updated"),
        (document("Sales Order", "after_insert", docstatus=1), "order.placed"),
        (document("Sales Order", "on_submit", docstatus=1), "order.placed"),
        (document("Sales Order", docstatus=1, status="Completed"), "order.fulfilled"),
        (document("Sales Order", docstatus=2, status="Cancelled"), "order.cancelled"),
        (document("Issue", "after_insert", status="Open"), "complaint.opened"),
        (document("Issue", status="Replied"), "complaint.replied"),
        (document("Issue", status="Resolved"), "complaint.resolved"),
        (document("Issue", status="Closed"), "complaint.closed"),
        (document("HD Ticket", status="Resolved"), "complaint.resolved"),
        (document("Warranty Claim", "after_insert"), "complaint.opened"),
        (document("Customer", "after_insert"), "customer.updated"),
        (document("Lead", "on_trash", status="Converted"), "lead.updated"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_doc_event_docstatus_and_status_tell_the_event(given, expected):
    assert one_event("frappe", given, SHANGHAI).type == expected


def test_a_quotation_brings_its_party_lines_and_fractions():
    event = one_event(
        "frappe",
        document(
            "Quotation",
            "on_submit",
            docstatus=1,
            quotation_to="Customer",
            party_name="华东铝业",
            grand_total=125000.5,
            currency="CNY",
            additional_discount_percentage=8,
            valid_till="2026-12-01",
            payment_terms_template="",
            items=[{"item_code": "6061", "qty": 2.0, "rate": 20100, "discount_percentage": 5, "idx": 1}],
            custom_alloy="6061-T6",
        ),
        SHANGHAI,
    )
    assert event.data == {
        "id": "X-1",
        "customer_id": "华东铝业",
        "amount": "125000.5",
        "currency": "CNY",
        "discount": "0.08",
        "valid_until": "2026-12-01T15:59:59Z",
        "payment_terms": None,
        "lines": [{"product": "6061", "quantity": "2.0", "unit_price": "20100", "discount": "0.05"}],
        "extra": {"custom_alloy": "6061-T6"},
    }
    to_lead = one_event("frappe", document("Quotation", quotation_to="Lead", party_name="L-1"), SHANGHAI)
    assert to_lead.data == {"id": "X-1", "lead_id": "L-1"}


def test_the_two_requests_of_one_insert_both_arrive_and_a_retry_of_either_is_a_duplicate():
    created = one_event("frappe", document("Lead", "after_insert"), SHANGHAI)
    updated = one_event("frappe", document("Lead", "on_update"), SHANGHAI)
    again = one_event("frappe", document("Lead", "on_update"), SHANGHAI)
    assert created.dedupe_key != updated.dedupe_key == again.dedupe_key
    assert created.version == updated.version


def test_an_answered_issue_waits_for_the_customer_until_it_is_open_again():
    assert one_event("frappe", document("Issue", status="Replied")).data["waiting_for"] == "customer"
    assert one_event("frappe", document("Issue", status="Open")).data["waiting_for"] is None
    assert "waiting_for" not in one_event("frappe", document("Issue", subject="划伤")).data


def test_options_add_doctypes_fields_and_states():
    options = {
        "doctypes": {"Inquiry": "Lead"},
        "fields": {"Inquiry": {"annual_volume": "tonnage", "contact": {"email": "mail"}}},
        "statuses": {"Inquiry": {"Dead": "lead.lost"}},
    }
    event = one_event("frappe", document("Inquiry", tonnage="500", mail="a@b.c", status="Dead"), options)
    assert event.type == "lead.lost"
    assert event.data["annual_volume"] == "500"
    assert event.data["contact"] == {"email": "a@b.c"}


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"timezone": 8}, "options.timezone"),
        ({"doctypes": {"Inquiry": "Leed"}}, "options.doctypes.Inquiry"),
        ({"doctypes": ["Inquiry"]}, "options.doctypes"),
        ({"fields": {"Leed": {}}}, "options.fields.Leed"),
        ({"fields": {"Lead": {"volume": "x"}}}, "options.fields.Lead.volume"),
        ({"statuses": {"Lead": {"Dead": "quote.rejected"}}}, "options.statuses.Lead.Dead"),
        ({"statuses": {"Lead": {"Dead": "lead.dead"}}}, "options.statuses.Lead.Dead"),
        ({"statuses": "x"}, "options.statuses"),
        ({"zone": "UTC"}, "options.zone"),
    ],
)
def test_faults_of_the_options_are_named(options, path):
    source = SourceSettings("erp", "frappe", ("env:S",), options=options)
    assert path in [fault["path"] for fault in check_source(source)]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (document("Leed"), 'Did you mean "Lead"?'),
        ({"name": "X"}, 'names no "doctype"'),
        ({**document("Lead"), "doctype": None}, 'names no "doctype"'),
        ({**document("Lead"), "doctype": {"a": 1}}, "not mapped"),
        (document("Lead", modified="soon"), "modified"),
        (document("Lead", name=None), "lead.id"),
        (document("Quotation", items=["x"]), "quote.lines"),
        (document("Quotation", grand_total="a lot"), "quote.amount"),
        (document("Quotation", additional_discount_percentage="many"), "quote.discount"),
        ([], "not a JSON object"),
    ],
)
def test_a_document_that_does_not_map_is_rejected_with_the_reason(given, reason):
    assert reason in one_rejected("frappe", given, SHANGHAI).reason


def test_a_trashed_document_is_an_update_that_says_so():
    (item,) = mapped("frappe", document("Lead", "on_trash"))
    assert isinstance(item, InboundEvent)
    assert item.data["extra"] == {"deleted": True}
