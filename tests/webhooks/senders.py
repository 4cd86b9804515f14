"""Senders for the tests: they sign as the real ones do, and an inbox that keeps what it is given in a list."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers

from core.host.settings import SourceSettings
from core.model.errors import OutriggerError
from core.model.events import event_id
from core.model.inbound import Accepted, InboundEvent, InboundItem, RejectedItem
from core.time.clock import FrozenClock
from webhooks import ADAPTERS, InboundRequest, blueprint

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
KEY = b"0123456789abcdef0123456789abcdef"
SECRET = b"whsec_" + base64.b64encode(KEY)
PUBLIC_URL = "https://outrigger.example.com"


def encode(value: Any) -> bytes:
    """Write JSON as most senders do."""
    return json.dumps(value, ensure_ascii=False).encode()


def standard_headers(
    body: bytes, *, message_id: str = "msg_1", at: int | None = None, key: bytes = KEY
) -> dict[str, str]:
    """Sign a body as Standard Webhooks says."""
    timestamp = str(int(NOW.timestamp()) if at is None else at)
    content = f"{message_id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.digest(key, content, "sha256")).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{signature}",
        "Content-Type": "application/json",
    }


def frappe_headers(body: bytes, secret: bytes = b"frappe-secret") -> dict[str, str]:
    """Sign a body as Frappe does, which names no media type."""
    signature = base64.b64encode(hmac.digest(secret, body, "sha256")).decode()
    return {"X-Frappe-Webhook-Signature": signature}


def hubspot_headers(body: bytes, url: str, secret: bytes = b"hub-secret") -> dict[str, str]:
    """Sign a body as HubSpot's version 3 does."""
    timestamp = str(int(NOW.timestamp() * 1000))
    content = b"POST" + url.encode() + body + timestamp.encode()
    return {
        "X-HubSpot-Signature-v3": base64.b64encode(hmac.digest(secret, content, "sha256")).decode(),
        "X-HubSpot-Request-Timestamp": timestamp,
        "Content-Type": "application/json",
    }


def hubspot_v1_headers(body: bytes, secret: bytes = b"hub-secret") -> dict[str, str]:
    """Sign a body as HubSpot's version 1 does."""
    digest = hashlib.sha256(secret + body).hexdigest()
    return {"X-HubSpot-Signature": digest, "X-HubSpot-Signature-Version": "v1"}


def inbound(
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "POST",
    url: str = PUBLIC_URL + "/webhooks/crm",
    query: Mapping[str, str] | None = None,
    at: datetime = NOW,
    remote_addr: str = "192.0.2.7",
) -> InboundRequest:
    """Build a request below the web framework."""
    return InboundRequest(
        method=method,
        url=url,
        headers=Headers(dict(headers or {})),
        body=body,
        received_at=at,
        query=query or {},
        remote_addr=remote_addr,
    )


def mapped(adapter: str, document: Any, options: Mapping[str, Any] | None = None) -> list[InboundItem]:
    """Map a document by an adapter, past its signature."""
    body = encode(document)
    built = ADAPTERS[adapter](SourceSettings("crm", adapter, ("env:SECRET",), options=options or {}))
    return built.items(body, inbound(body, {"webhook-id": "msg_1", "webhook-timestamp": "1795334400"}))


def one_event(adapter: str, document: Any, options: Mapping[str, Any] | None = None) -> InboundEvent:
    """Map a document that is one event."""
    (item,) = mapped(adapter, document, options)
    assert isinstance(item, InboundEvent), item
    return item


def one_rejected(adapter: str, document: Any, options: Mapping[str, Any] | None = None) -> RejectedItem:
    """Map a document that is one rejected item."""
    (item,) = mapped(adapter, document, options)
    assert isinstance(item, RejectedItem), item
    return item


class ListInbox:
    """An inbox in memory that knows duplicates as the real one does."""

    def __init__(self) -> None:
        self.items: list[InboundItem] = []
        self.known: dict[str, str] = {}
        self.failing: OutriggerError | None = None

    def accept(self, items: Sequence[InboundItem]) -> Accepted:
        """Keep the items that are new."""
        if self.failing is not None:
            raise self.failing
        ids, duplicates, rejected, conflicts = [], 0, 0, 0
        for item in items:
            identity = event_id(item.source, item.dedupe_key)
            ids.append(identity)
            if identity in self.known:
                duplicates += 1
                conflicts += self.known[identity] != item.body_hash
                continue
            self.known[identity] = item.body_hash
            self.items.append(item)
            rejected += isinstance(item, RejectedItem)
        return Accepted(tuple(ids), duplicates, rejected, conflicts)


class Server:
    """The routes in an application of their own, with sources that a test may change."""

    def __init__(self, sources: Mapping[str, SourceSettings], secrets: Mapping[str, bytes]) -> None:
        self.sources = dict(sources)
        self.secrets = dict(secrets)
        self.inbox = ListInbox()
        self.clock = FrozenClock(NOW)
        app = Flask("senders")
        app.register_blueprint(
            blueprint(
                sources=lambda: self.sources,
                accept=self.inbox.accept,
                secrets=lambda reference: self.secrets[reference],
                clock=self.clock,
                public_url=PUBLIC_URL + "/",
            )
        )
        app.register_error_handler(
            OutriggerError, lambda error: ({"code": error.code, "detail": error.message}, error.http_status)
        )
        self.app = app

    @property
    def client(self) -> FlaskClient:
        """Return a client of the server."""
        return self.app.test_client()

    def post(self, body: bytes, headers: Mapping[str, str], source: str = "crm", query: str = "") -> Any:
        """Send one request as it is, without a framework's help."""
        path = f"/webhooks/{source}" + (f"?{query}" if query else "")
        content_type = dict(headers).get("Content-Type")
        rest = {name: value for name, value in headers.items() if name != "Content-Type"}
        return self.client.post(path, data=body, headers=rest, content_type=content_type)


def standard_server() -> Server:
    """Serve one `standard` source with two live secrets."""
    return Server(
        {"crm": SourceSettings("crm", "standard", ("env:OLD", "env:NEW"))},
        {"env:OLD": b"whsec_" + base64.b64encode(b"x" * 32), "env:NEW": SECRET},
    )


def sources_of_every_kind() -> Server:
    generic = {"type": "t", "id": "a.b", "items": "rows", "fields": {"amount": "sum(x)", "lines": "y[]", "extra": "z"}}
    return Server(
        {
            "standard": SourceSettings("standard", "standard", ("s",)),
            "frappe": SourceSettings("frappe", "frappe", ("f",)),
            "hubspot": SourceSettings("hubspot", "hubspot", ("h",)),
            "generic": SourceSettings("generic", "generic", ("g",), options=generic),
        },
        {"s": SECRET, "f": b"frappe-secret", "h": b"hub-secret", "g": b"token"},
    )


def signed(source: str, body: bytes) -> dict[str, str]:
    if source == "standard":
        return standard_headers(body)
    if source == "frappe":
        return frappe_headers(body)
    if source == "hubspot":
        return hubspot_headers(body, f"{PUBLIC_URL}/webhooks/hubspot")
    return {"Authorization": "Bearer token"}
