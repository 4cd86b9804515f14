"""The routes over a test client: statuses, limits, hostile input, and what reaches the inbox."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

import pytest

from core.host.settings import SourceSettings
from core.model.errors import OutriggerError, StorageUnavailable
from core.model.inbound import Accepted, InboundEvent, RejectedItem
from tests.webhooks.senders import (
    NOW,
    PUBLIC_URL,
    SECRET,
    Server,
    encode,
    frappe_headers,
    hubspot_headers,
    signed,
    sources_of_every_kind,
    standard_headers,
    standard_server,
)
from webhooks import ADAPTERS, Adapter, InboundRequest, Reply
from webhooks.adapters.standard import StandardAdapter

LEAD = encode({"type": "lead.created", "timestamp": "2026-11-22T07:59:00Z", "data": {"id": "L-1", "name": "张三"}})


def test_an_event_is_stored_and_answered_with_its_id_and_a_repeat_with_the_same_id():
    server = standard_server()
    first = server.post(LEAD, standard_headers(LEAD))
    assert (first.status_code, first.mimetype) == (202, "application/json")
    (identity,) = first.json["event_ids"]
    assert first.json == {"event_ids": [identity], "accepted": 1, "duplicates": 0, "rejected": 0}
    again = server.post(LEAD, standard_headers(LEAD))
    assert again.status_code == 200
    assert again.json == {"event_ids": [identity], "accepted": 0, "duplicates": 1, "rejected": 0}
    (item,) = server.inbox.items
    assert isinstance(item, InboundEvent)
    assert item.data == {"id": "L-1", "name": "张三"}


def test_another_body_under_a_known_id_is_a_conflict_that_is_said():
    server = standard_server()
    other = LEAD.replace(b"L-1", b"L-2")
    server.post(LEAD, standard_headers(LEAD))
    answer = server.post(other, standard_headers(other))
    assert (answer.status_code, answer.json["conflicts"]) == (200, 1)


def test_a_readable_item_that_does_not_map_is_accepted_as_rejected():
    server = standard_server()
    body = encode({"type": "lead.craeted", "data": {"id": "1"}})
    answer = server.post(body, standard_headers(body))
    assert (answer.status_code, answer.json["rejected"], answer.json["accepted"]) == (202, 1, 0)
    assert isinstance(server.inbox.items[0], RejectedItem)


@pytest.mark.parametrize("seconds", [0, 299, 300, -299, -300])
def test_a_captured_request_played_again_inside_the_window_is_a_duplicate(seconds):
    server = standard_server()
    headers = standard_headers(LEAD)
    assert server.post(LEAD, headers).status_code == 202
    server.clock.move(timedelta(seconds=seconds))
    assert server.post(LEAD, headers).status_code == 200
    assert len(server.inbox.items) == 1


@pytest.mark.parametrize("seconds", [301, -301, 86_400])
def test_a_captured_request_played_again_outside_the_window_is_refused(seconds):
    server = standard_server()
    headers = standard_headers(LEAD)
    server.clock.move(timedelta(seconds=seconds))
    answer = server.post(LEAD, headers)
    assert (answer.status_code, answer.json["code"]) == (401, "webhook.signature")
    assert server.inbox.items == []


def test_an_unknown_source_gets_404_and_no_hint_of_the_names_there_are():
    answer = standard_server().post(LEAD, standard_headers(LEAD), source="crmm")
    assert (answer.status_code, answer.json["code"]) == (404, "webhook.unknown_source")
    assert answer.json["detail"] == 'No source "crmm" is configured.'


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json; charset=utf-8"}, 202),
        ({"Content-Type": "application/webhook+json"}, 202),
        ({"Content-Encoding": "identity"}, 202),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
        ({"Content-Type": "application/json; charset=gbk"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Content-Encoding": "br, gzip"}, 415),
    ],
)
def test_what_is_not_plain_json_is_refused_where_the_adapter_wants_json(headers, status):
    server = standard_server()
    assert server.post(LEAD, {**standard_headers(LEAD), **headers}).status_code == status
    assert len(server.inbox.items) == (status == 202)


def test_a_body_without_a_media_type_is_read_since_frappe_names_none():
    server = Server({"erp": SourceSettings("erp", "frappe", ("env:E",))}, {"env:E": b"frappe-secret"})
    body = encode({"doctype": "Lead", "event": "after_insert", "name": "L", "modified": "2026-11-22 08:00:00"})
    assert server.post(body, frappe_headers(body), source="erp").status_code == 202
    form = {**frappe_headers(body), "Content-Type": "application/x-www-form-urlencoded"}
    assert server.post(body, form, source="erp").status_code == 200


def test_one_bad_item_of_a_batch_does_not_cost_the_others():
    server = sources_of_every_kind()
    body = encode(
        [
            {"subscriptionType": "ticket.creation", "objectId": 1, "occurredAt": 1795334400000, "eventId": 1},
            {"subscriptionType": "ticket.creation", "objectId": None, "occurredAt": 1, "eventId": 2},
            {"subscriptionType": "ticket.creation", "objectId": 3, "occurredAt": 1795334400000, "eventId": 3},
        ]
    )
    answer = server.post(body, signed("hubspot", body), source="hubspot")
    assert answer.status_code == 202
    assert (answer.json["accepted"], answer.json["rejected"], len(answer.json["event_ids"])) == (2, 1, 3)
    empty = server.post(b"[]", signed("hubspot", b"[]"), source="hubspot")
    assert (empty.status_code, empty.json["event_ids"]) == (202, [])


def test_hubspot_is_verified_by_the_public_url_and_its_query_as_they_were_sent():
    server = sources_of_every_kind()
    body = encode([{"subscriptionType": "ticket.creation", "objectId": 1, "occurredAt": 1795334400000}])
    url = f"{PUBLIC_URL}/webhooks/hubspot?from=crm:a/b&x=%20"
    answer = server.post(body, hubspot_headers(body, url), source="hubspot", query="from=crm%3Aa%2Fb&x=%20")
    assert answer.status_code == 202
    plain = url.replace("https", "http")
    assert server.post(body, hubspot_headers(body, plain), source="hubspot").status_code == 401


def test_when_nothing_can_be_stored_the_sender_is_told_to_come_back():
    server = standard_server()
    server.inbox.failing = StorageUnavailable()
    answer = server.post(LEAD, standard_headers(LEAD))
    assert (answer.status_code, answer.json["code"]) == (503, "storage.unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    server.inbox.failing = None
    assert server.post(LEAD, standard_headers(LEAD)).status_code == 202


def test_a_changed_source_counts_from_the_next_request():
    server = standard_server()
    server.secrets["env:NEWEST"] = b"whsec_" + b"bmV3" * 8
    assert server.post(LEAD, standard_headers(LEAD)).status_code == 202
    server.sources["crm"] = SourceSettings("crm", "standard", ("env:NEWEST",))
    assert server.post(LEAD, standard_headers(LEAD)).status_code == 401
    del server.sources["crm"]
    assert server.post(LEAD, standard_headers(LEAD)).status_code == 404


def test_a_rotated_secret_counts_within_ten_seconds():
    server = standard_server()
    assert server.post(LEAD, standard_headers(LEAD)).status_code == 202
    server.secrets["env:NEW"] = b"whsec_" + b"bmV3" * 8
    server.clock.move(timedelta(seconds=10))
    assert server.post(LEAD, standard_headers(LEAD)).status_code == 401


def test_a_source_that_cannot_be_used_puts_the_sender_off_instead_of_losing_events():
    server = Server({"a": SourceSettings("a", "generic"), "b": SourceSettings("b", "standrad")}, {})
    for source in ("a", "b"):
        answer = server.post(b"{}", {}, source=source)
        assert (answer.status_code, answer.json["code"]) == (503, "source.misconfigured")


@pytest.mark.parametrize("method", ["get", "options", "put", "delete"])
def test_a_sender_that_makes_no_handshake_is_told_the_method_it_should_use(method):
    answer = getattr(standard_server().client, method)("/webhooks/crm")
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


class MistakenAdapter(StandardAdapter):
    """An adapter with a mistake in it."""

    def event(self, item: Any, request: InboundRequest) -> InboundEvent:
        """Trust the sender too much."""
        return cast(InboundEvent, item["data"]["missing"])


def test_a_mistake_in_an_adapter_costs_neither_the_item_nor_the_server(monkeypatch):
    monkeypatch.setitem(ADAPTERS, "mistaken", MistakenAdapter)
    server = Server({"crm": SourceSettings("crm", "mistaken", ("s",))}, {"s": SECRET})
    answer = server.post(LEAD, standard_headers(LEAD))
    assert (answer.status_code, answer.json["rejected"]) == (202, 1)
    (item,) = server.inbox.items
    assert isinstance(item, RejectedItem)
    assert "KeyError: 'missing'" in item.reason
    assert item.raw.encode() == LEAD


class ChoosyAdapter(StandardAdapter):
    """A sender with a handshake, its own idea of success, and one that gives up on most statuses."""

    shakes_by_post = True

    def handshake(self, request: InboundRequest, secrets: object) -> Reply | None:
        if request.method == "POST":
            challenge = request.query.get("challenge")
            return Reply(200, encode({"challenge": challenge})) if challenge else None
        return Reply(200, request.query.get("echo", "").encode(), "text/plain", {"WebHook-Allowed-Rate": "120"})

    def reply(self, accepted: Accepted, request: InboundRequest, secrets: object) -> Reply:
        return Reply(200, b"success", "text/plain")

    def refuse(self, error: OutriggerError) -> int | Reply:
        return Reply(200, b"retry", "text/plain") if error.http_status == 503 else 408


def test_an_adapter_shapes_its_handshake_its_reply_and_its_refusals(monkeypatch):
    monkeypatch.setitem(ADAPTERS, "choosy", ChoosyAdapter)
    server = Server({"crm": SourceSettings("crm", "choosy", ("s",))}, {"s": SECRET})
    hello = server.client.get("/webhooks/crm?echo=abc")
    assert (hello.data, hello.mimetype, hello.headers["WebHook-Allowed-Rate"]) == (b"abc", "text/plain", "120")
    assert server.post(b"{}", {}, query="challenge=x").json == {"challenge": "x"}
    assert server.post(LEAD, standard_headers(LEAD)).data == b"success"
    assert server.post(LEAD, {}).status_code == 408
    server.inbox.failing = StorageUnavailable()
    assert server.post(LEAD, standard_headers(LEAD)).data == b"retry"


def test_neither_a_request_nor_a_refusal_shows_a_secret():
    server = standard_server()
    headers = {**standard_headers(LEAD), "webhook-signature": "v1,c2VjcmV0"}
    assert b"c2VjcmV0" not in server.post(LEAD, headers).data
    request = InboundRequest(
        method="POST",
        url="https://x/?token=s3cret",
        headers=headers,
        body=b"s3cret",
        received_at=NOW,
    )
    assert "s3cret" not in repr(request)
    assert "c2VjcmV0" not in repr(request)


def test_every_adapter_is_registered_under_its_name():
    assert {"standard", "generic", "frappe", "hubspot"} <= set(ADAPTERS)
    assert all(issubclass(cls, Adapter) for cls in ADAPTERS.values())
