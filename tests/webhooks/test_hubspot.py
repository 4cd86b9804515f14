"""The `hubspot` adapter: batches of thin notices in both forms."""

from __future__ import annotations

from typing import Any

import pytest

from core.host.settings import SourceSettings
from core.model.errors import SignatureRefused, UnreadableBody
from core.model.inbound import InboundEvent, RejectedItem
from tests.webhooks.senders import (
    PUBLIC_URL,
    encode,
    hubspot_headers,
    hubspot_v1_headers,
    inbound,
    mapped,
    one_event,
    one_rejected,
)
from webhooks import ADAPTERS, check_source


def notice(subscription: str, **fields: Any) -> dict[str, Any]:
    return {
        "eventId": 1,
        "subscriptionId": 12345,
        "portalId": 62515,
        "occurredAt": 1795334400123,
        "subscriptionType": subscription,
        "attemptNumber": 0,
        "objectId": 123,
        "changeSource": "CRM",
        **fields,
    }


def change(subscription: str, name: str, value: Any, **fields: Any) -> dict[str, Any]:
    return notice(subscription, propertyName=name, propertyValue=value, **fields)


@pytest.mark.parametrize(
    ("given", "event_type", "record_id"),
    [
        (notice("ticket.creation"), "complaint.opened", "123"),
        (notice("object.creation", objectTypeId="0-5"), "complaint.opened", "123"),
        (notice("object.creation", objectTypeId="0-136"), "lead.created", "123"),
        (notice("contact.creation"), "lead.created", "contact-123"),
        (notice("object.creation", objectTypeId="0-14"), "quote.submitted", "123"),
        (notice("deal.creation"), "quote.updated", "deal-123"),
        (notice("object.creation", objectTypeId="0-123"), "order.placed", "123"),
        (notice("company.creation"), "customer.updated", "123"),
    ],
)
def test_a_creation_is_an_id_and_nothing_more(given, event_type, record_id):
    event = one_event("hubspot", [given])
    assert (event.type, event.record_id, event.completeness) == (event_type, record_id, "id_only")
    assert dict(event.data) == {"id": record_id}
    assert event.occurred_at.isoformat() == "2026-11-22T08:00:00.123000+00:00"
    assert event.version == "t01795334400123000"[:1] + "1795334400123000".zfill(20)


@pytest.mark.parametrize(
    ("given", "event_type", "data"),
    [
        (change("ticket.propertyChange", "subject", "表面划伤"), "complaint.updated", {"subject": "表面划伤"}),
        (change("ticket.propertyChange", "hs_pipeline_stage", "4"), "complaint.closed", {"status": "4"}),
        (
            change("ticket.propertyChange", "createdate", "1795334400000"),
            "complaint.updated",
            {"opened_at": "2026-11-22T08:00:00Z"},
        ),
        (change("deal.propertyChange", "amount", "1250.50"), "quote.updated", {"amount": "1250.50"}),
        (change("deal.propertyChange", "amount", ""), "quote.updated", {"amount": None}),
        (change("deal.propertyChange", "dealstage", "closedwon"), "quote.accepted", {"status": "closedwon"}),
        (change("deal.propertyChange", "dealstage", "closedlost"), "quote.rejected", {"status": "closedlost"}),
        (
            change("object.propertyChange", "hs_pipeline_stage", "qualified-stage-id", objectTypeId="0-136"),
            "lead.converted",
            {"status": "qualified-stage-id"},
        ),
        (change("contact.propertyChange", "email", "a@b.c"), "lead.updated", {"contact": {"email": "a@b.c"}}),
        (change("contact.propertyChange", "hs_lead_status", "UNQUALIFIED"), "lead.lost", {"status": "UNQUALIFIED"}),
        (change("contact.propertyChange", "shoe_size", "44"), "lead.updated", {"extra": {"shoe_size": "44"}}),
        (notice("contact.deletion"), "lead.updated", {"extra": {"deleted": True}}),
        (
            notice("deal.associationChange", associationType="DEAL_TO_COMPANY", fromObjectId=9, toObjectId=7),
            "quote.updated",
            {"customer_id": "7"},
        ),
    ],
)
def test_a_change_is_a_delta_of_just_that_property(given, event_type, data):
    event = one_event("hubspot", [given])
    assert (event.type, event.completeness) == (event_type, "delta")
    assert {name: value for name, value in event.data.items() if name != "id"} == data


def test_associations_that_change_in_one_moment_are_told_apart():
    pairs = [(1, 100, False), (2, 100, False), (1, 100, True), (1, 200, False)]
    batch = [
        notice("deal.associationChange", associationType="DEAL_TO_COMPANY", fromObjectId=deal, toObjectId=company,
               associationRemoved=is_removed)
        for deal, company, is_removed in pairs
    ]  # fmt: skip
    for each in batch:
        del each["objectId"]
    assert len({item.dedupe_key for item in mapped("hubspot", batch)}) == len(pairs)


def test_a_batch_with_bad_items_gives_the_good_ones_and_keeps_the_bad_ones():
    items = mapped(
        "hubspot",
        [
            notice("ticket.creation"),
            notice("conversation.creation"),
            notice("ticket.creation", occurredAt="yesterday"),
            "text",
            notice("object.creation", objectTypeId="2-77"),
            notice("ticket.propertyChange"),
            notice("ticket.creation", objectId=None),
            notice("ticket.unheard"),
            notice("ticket.creation", objectId=124, eventId=2),
        ],
    )
    assert [type(item) for item in items] == [InboundEvent, *[RejectedItem] * 7, InboundEvent]
    assert len({item.dedupe_key for item in items}) == len(items)
    assert items[1].type == "conversation.creation"


def test_the_key_tells_notices_apart_that_share_an_event_id():
    one = one_event("hubspot", [change("deal.propertyChange", "amount", "1")])
    two = one_event("hubspot", [change("deal.propertyChange", "dealname", "1")])
    retried = one_event("hubspot", [change("deal.propertyChange", "amount", "1", attemptNumber=3)])
    assert one.dedupe_key == retried.dedupe_key != two.dedupe_key


def test_a_hundred_notices_are_taken_and_a_body_without_end_is_not():
    assert len(mapped("hubspot", [notice("ticket.creation", objectId=number) for number in range(100)])) == 100
    with pytest.raises(UnreadableBody, match="at most 1000"):
        mapped("hubspot", [1] * 1001)
    assert mapped("hubspot", []) == []
    assert one_rejected("hubspot", 5).reason == "The item is not a JSON object."


def test_options_choose_objects_properties_and_stages():
    options = {
        "objects": ["contact", "ticket"],
        "properties": {"ticket": {"alloy": "alloy_grade", "customer_id": "company_id"}},
        "stages": {"ticket": {"88": "complaint.resolved"}},
    }
    assert one_event("hubspot", [notice("contact.creation")], options).record_id == "123"
    assert one_event("hubspot", [change("ticket.propertyChange", "alloy_grade", "6061")], options).data == {
        "id": "123",
        "alloy": "6061",
    }
    resolved = one_event("hubspot", [change("ticket.propertyChange", "hs_pipeline_stage", "88")], options)
    assert resolved.type == "complaint.resolved"
    assert "not mapped" in one_rejected("hubspot", [notice("deal.creation")], options).reason


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"objects": ["tickets"]}, "options.objects.tickets"),
        ({"objects": "ticket"}, "options.objects"),
        ({"signature": "v4"}, "options.signature"),
        ({"stages": {"ticket": {"1": "quote.accepted"}}}, "options.stages.ticket.1"),
        ({"properties": {"ticket": {"aloy": "x"}}}, "options.properties.ticket.aloy"),
        ({"properties": {"tickt": {}}}, "options.properties.tickt"),
    ],
)
def test_faults_of_the_options_are_named(options, path):
    source = SourceSettings("hub", "hubspot", ("env:S",), options=options)
    assert path in [fault["path"] for fault in check_source(source)]


def test_the_newest_signature_that_was_sent_decides():
    body, url = encode([notice("ticket.creation")]), PUBLIC_URL + "/webhooks/crm"
    any_version = ADAPTERS["hubspot"](SourceSettings("crm", "hubspot"))
    only_v3 = ADAPTERS["hubspot"](SourceSettings("crm", "hubspot", options={"signature": "v3"}))
    v3, v1 = hubspot_headers(body, url), hubspot_v1_headers(body)
    assert any_version.verify(inbound(body, {**v1, **v3}), [b"hub-secret"]) == body
    assert any_version.verify(inbound(body, v1), [b"hub-secret"]) == body
    for adapter, headers in (
        (any_version, {**v1, **v3, "X-HubSpot-Signature-v3": "AAAA"}),
        (any_version, {**v1, "X-HubSpot-Signature-Version": "v9"}),
        (any_version, {}),
        (only_v3, v1),
    ):
        with pytest.raises(SignatureRefused):
            adapter.verify(inbound(body, headers), [b"hub-secret"])
