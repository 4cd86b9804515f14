"""The `standard` adapter: our own vocabulary in Standard Webhooks bodies."""

from __future__ import annotations

import pytest

from core.host.settings import SourceSettings
from core.model.events import EVENT_TYPES
from core.model.inbound import InboundEvent
from tests.webhooks.senders import NOW, encode, inbound, mapped, one_event, one_rejected
from webhooks import ADAPTERS


def test_a_body_becomes_one_event_with_its_version_completeness_and_unit_taken_out():
    event = one_event(
        "standard",
        {
            "type": "lead.created",
            "timestamp": "2026-11-22T15:59:59.5+08:00",
            "data": {
                "id": "L-1",
                "company": "某某新能源有限公司",
                "annual_volume": 120.50,
                "version": 7,
                "completeness": "delta",
                "unit": "new_energy",
                "等级": "重点",
            },
        },
    )
    assert (event.type, event.record_id, event.unit, event.completeness) == (
        "lead.created",
        "L-1",
        "new_energy",
        "delta",
    )
    assert event.data == {
        "id": "L-1",
        "company": "某某新能源有限公司",
        "annual_volume": "120.5",
        "extra": {"等级": "重点"},
    }
    assert event.dedupe_key == "msg_1"
    assert event.version == "v00000000000000000007"
    assert event.occurred_at.isoformat() == "2026-11-22T07:59:59.500000+00:00"
    assert event.occurred_at_original == "2026-11-22T15:59:59.5+08:00"


def test_without_a_timestamp_the_header_tells_when_it_happened():
    event = one_event("standard", {"type": "complaint.opened", "data": {"id": 7}})
    assert event.record_id == "7"
    assert int(event.occurred_at.timestamp()) == 1795334400
    assert event.completeness == "full"


@pytest.mark.parametrize("event_type", [name for name, item in EVENT_TYPES.items() if item.kind])
def test_every_event_a_crm_may_send_is_taken(event_type):
    assert one_event("standard", {"type": event_type, "data": {"id": "1"}}).type == event_type


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([], "not a JSON object"),
        ("text", "not a JSON object"),
        ({}, '"type"'),
        ({"type": "lead.created"}, '"data"'),
        ({"type": "lead.created", "data": []}, '"data"'),
        ({"type": "lead.created", "data": {}}, "Missing"),
        ({"type": "lead.craeted", "data": {"id": "1"}}, 'Did you mean "lead.created"?'),
        ({"type": "timer.due", "data": {"id": "1"}}, "no event type a CRM may send"),
        ({"type": "record.unit_changed", "data": {"id": "1"}}, "no event type a CRM may send"),
        ({"type": ["lead.created"], "data": {"id": "1"}}, '"type"'),
        ({"type": "quote.submitted", "data": {"id": "1", "amount": "1e999999"}}, "quote.amount"),
        ({"type": "quote.submitted", "data": {"id": "1", "amount": "NaN"}}, "quote.amount"),
        ({"type": "lead.created", "timestamp": "yesterday", "data": {"id": "1"}}, "timestamp"),
        ({"type": "lead.created", "timestamp": 5, "data": {"id": "1"}}, "timestamp"),
        ({"type": "lead.created", "timestamp": "2026-11-22T08:00:00", "data": {"id": "1"}}, "offset"),
        ({"type": "lead.created", "data": {"id": "1", "version": True}}, "data.version"),
        ({"type": "lead.created", "data": {"id": "1", "version": 1.5}}, "data.version"),
        ({"type": "lead.created", "data": {"id": "1", "completeness": "ful"}}, 'Did you mean "full"?'),
        ({"type": "lead.created", "data": {"id": "1", "unit": 5}}, "data.unit"),
        ({"type": "lead.created", "data": {"id": ""}}, "lead.id"),
    ],
)
def test_a_readable_body_that_does_not_map_is_kept_as_rejected_with_the_reason(document, reason):
    item = one_rejected("standard", document)
    assert reason in item.reason
    assert item.raw.encode() == encode(document)
    assert item.dedupe_key == "msg_1"
    assert item.headers == {"webhook-id": "msg_1", "webhook-timestamp": "1795334400"}


def test_a_rejected_item_maps_again_from_what_was_kept_of_it():
    item = one_rejected("standard", {"type": "lead.craeted", "data": {"id": "1"}})
    adapter = ADAPTERS["standard"](SourceSettings("crm", "standard"))
    mended = type(item)(
        **{name: getattr(item, name) for name in item.__slots__} | {"raw": item.raw.replace("craeted", "created")}
    )
    event = adapter.remap(mended, NOW, NOW)
    assert isinstance(event, InboundEvent)
    assert (event.type, event.dedupe_key) == ("lead.created", "msg_1")
    assert int(event.occurred_at.timestamp()) == 1795334400


def test_a_delta_carries_only_what_it_says_and_keeps_an_explicit_null():
    event = one_event("standard", {"type": "lead.updated", "data": {"id": "1", "owner": None, "city": "苏州"}})
    assert dict(event.data) == {"id": "1", "owner": None, "city": "苏州"}
    assert event.completeness == "delta"


def test_the_body_is_parsed_once_for_verifying_and_mapping():
    request = inbound(b'{"type": "lead.created", "data": {"id": "1"}}')
    assert request.document() is request.document(request.body)
    assert len(mapped("standard", {"type": "lead.created", "data": {"id": "1"}})) == 1
