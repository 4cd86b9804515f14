"""HubSpot: batches of notifications that each say one changed property, signed as version 3 demands."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from deploy.demo.crms.request import Request, compact
from deploy.demo.facts import Fact

PORTAL = 62515
TICKETS, LEADS = "0-5", "0-136"
STAGES = {"converted": "qualified-stage-id", "lost": "unqualified-stage-id"}


class HubSpot:
    """Sends up to a hundred notifications a request; a new object comes as its creation and one line a property."""

    batch = 100

    def __init__(self, source: str, secret: str, public_url: str) -> None:
        self.source = source
        self._secret = secret
        self._url = f"{public_url}/webhooks/{source}"

    def request(self, facts: Sequence[Fact], now: datetime) -> Request:
        """Return the signed request for a batch of facts."""
        body = compact([item for fact in facts for item in _notifications(fact)])
        timestamp = str(int(now.timestamp() * 1000))
        signed = b"POST" + self._url.encode() + body + timestamp.encode()
        signature = base64.b64encode(hmac.new(self._secret.encode(), signed, hashlib.sha256).digest()).decode()
        headers = {
            "Content-Type": "application/json",
            "X-HubSpot-Signature-v3": signature,
            "X-HubSpot-Request-Timestamp": timestamp,
        }
        return Request(f"/webhooks/{self.source}", body, headers)


def _notifications(fact: Fact) -> list[dict[str, Any]]:
    base = {
        "portalId": PORTAL,
        "appId": 54321,
        "occurredAt": int(fact.at.timestamp() * 1000),
        "attemptNumber": 0,
        "objectTypeId": LEADS if fact.kind == "lead" else TICKETS,
        "objectId": object_id(fact.record_id),
        "changeSource": "CRM",
    }
    items: list[dict[str, Any]] = []
    if fact.index == 0:
        items.append({**base, "subscriptionType": "object.creation", "changeFlag": "NEW"})
    for name, value in _properties(fact).items():
        change = {"subscriptionType": "object.propertyChange", "propertyName": name, "propertyValue": value}
        items.append({**base, **change})
    first = int(fact.id[:8], 16)
    told = [{"eventId": first + place, "subscriptionId": 1000 + place, **item} for place, item in enumerate(items)]
    # HubSpot promises no order inside a batch; here every third object comes last change first.
    return told[::-1] if first % 3 == 0 else told


def object_id(record_id: str) -> int:
    """Return the number HubSpot knows the record by."""
    return int(record_id.partition("-")[2])


def _properties(fact: Fact) -> dict[str, str]:
    data = fact.data
    if fact.kind == "complaint":
        return {"content": data["body"], "hs_ticket_category": data["category"], "hs_pipeline_stage": "1"}
    if fact.index > 0:
        return {"hs_pipeline_stage": STAGES[data["status"]]}
    extra = data["extra"]
    told = {"hs_lead_source": data["source"], "contacts": str(data["counters"]["contacts"])}
    told["earlier_contacts"] = str(data["counters"]["earlier_contacts"])
    return told | {name: str(extra[name]) for name in ("earlier_campaign",) if name in extra}
