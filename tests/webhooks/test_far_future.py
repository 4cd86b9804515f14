"""A time from the far future is refused by every adapter, since it would supersede all that really happens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.host.settings import SourceSettings
from core.model.inbound import InboundEvent, RejectedItem
from core.model.instants import format_instant, to_micros
from tests.webhooks.senders import NOW, encode, one_event, one_rejected, standard_headers, standard_server
from webhooks import ADAPTERS
from webhooks.adapter import FUTURE

GENERIC = {"type": "'lead.updated'", "id": "id", "occurred_at": "at", "version": "v", "timezone": "UTC"}
LATEST = NOW + FUTURE


def _standard(at: datetime) -> Any:
    return {"type": "lead.updated", "timestamp": format_instant(at), "data": {"id": "L-1"}}


def _frappe(at: datetime) -> Any:
    modified = at.replace(tzinfo=None).isoformat(" ")
    return {"doctype": "Lead", "event": "on_update", "name": "L-1", "modified": modified}


def _hubspot(at: datetime) -> Any:
    millis = to_micros(at) // 1000
    return {"subscriptionType": "ticket.creation", "objectId": 1, "eventId": 1, "occurredAt": millis}


def _generic(at: datetime) -> Any:
    return {"id": "L-1", "at": format_instant(at)}


SENDERS = {"standard": _standard, "frappe": _frappe, "hubspot": _hubspot, "generic": _generic}


def options(adapter: str) -> dict[str, Any]:
    return GENERIC if adapter == "generic" else {}


def body(adapter: str, at: datetime) -> Any:
    found = SENDERS[adapter](at)
    return [found] if adapter == "hubspot" else found


@pytest.mark.parametrize("adapter", sorted(SENDERS))
def test_what_happened_up_to_a_day_ahead_is_taken(adapter: str) -> None:
    assert one_event(adapter, body(adapter, LATEST), options(adapter)).occurred_at == LATEST


@pytest.mark.parametrize("adapter", sorted(SENDERS))
@pytest.mark.parametrize("ahead", [timedelta(seconds=1), timedelta(days=365), timedelta(days=60_000)])
def test_what_happened_later_than_that_is_rejected_with_the_reason(adapter: str, ahead: timedelta) -> None:
    item = one_rejected(adapter, body(adapter, LATEST + ahead), options(adapter))
    assert format_instant(LATEST + ahead) in item.reason
    assert "more than a day ahead of this server's time (2026-11-22T08:00:00Z)" in item.reason


@pytest.mark.parametrize("version", ["2099-01-01T00:00:00Z", "2099-01-01 00:00:00", 4_070_908_800_000 * 1000])
def test_a_version_that_is_a_time_of_the_far_future_is_rejected_too(version: str | int) -> None:
    document = {"id": "L-1", "at": format_instant(NOW), "v": version}
    if isinstance(version, int):  # a number may count anything, so it is taken as it is
        assert one_event("generic", document, GENERIC).version == f"v{version:020d}"
    else:
        assert "Its version is the time 2099-01-01T00:00:00Z" in one_rejected("generic", document, GENERIC).reason
    assert one_event("generic", {**document, "v": "2026-11-22T08:00:01Z"}, GENERIC).record_id == "L-1"


def test_a_text_version_that_reads_as_a_time_is_held_to_the_same_limit() -> None:
    document = _standard(NOW)
    document["data"]["version"] = "2099-01-01T00:00:00+08:00"
    assert "Its version is the time" in one_rejected("standard", document).reason
    for version in ("2026-11-22T08:00:00+08:00", "2099-rc1", "rev 2099", 2099, "99999999"):
        document["data"]["version"] = version
        assert one_event("standard", document).record_id == "L-1"


def test_times_before_1970_are_no_matter() -> None:
    assert one_event("standard", _standard(datetime(1960, 1, 1, tzinfo=UTC))).record_id == "L-1"


def test_the_rest_of_the_batch_and_the_answer_are_as_for_any_rejected_item() -> None:
    server = standard_server()
    sent = encode(_standard(datetime(2099, 1, 1, tzinfo=UTC)))
    answer = server.post(sent, standard_headers(sent))
    assert (answer.status_code, answer.json["accepted"], answer.json["rejected"]) == (202, 0, 1)
    assert isinstance(server.inbox.items[0], RejectedItem)


def test_a_rejected_future_event_maps_when_its_day_has_come() -> None:
    adapter = ADAPTERS["generic"](SourceSettings("crm", "generic", ("s",), options=GENERIC))
    item = one_rejected("generic", _generic(NOW + timedelta(days=3)), GENERIC)
    assert isinstance(adapter.remap(item, NOW, NOW + timedelta(days=1)), RejectedItem)
    assert isinstance(adapter.remap(item, NOW, NOW + timedelta(days=2)), InboundEvent)
