"""An ERPNext site: documents as its webhooks send them, signed the Frappe way over the exact bytes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from deploy.demo.crms.request import Request
from deploy.demo.facts import Fact

SITE_ZONE = ZoneInfo("Asia/Shanghai")
EVENTS = {
    "customer.updated": ("Customer", "on_update", 0),
    "order.placed": ("Sales Order", "on_submit", 1),
    "order.cancelled": ("Sales Order", "on_cancel", 2),
}
STATUSES = {"placed": "To Deliver and Bill", "cancelled": "Cancelled"}


class ErpNext:
    """Sends one document a request. Its times are the site's own, without an offset, as Frappe sends them."""

    batch = 1

    def __init__(self, source: str, secret: str) -> None:
        self.source = source
        self._secret = secret

    def request(self, facts: Sequence[Fact], now: datetime) -> Request:
        """Return the signed request for one document."""
        (fact,) = facts
        doctype, event, docstatus = EVENTS[fact.type]
        modified = fact.at.astimezone(SITE_ZONE).strftime("%Y-%m-%d %H:%M:%S.%f")
        head = {
            "event": event,
            "doctype": doctype,
            "name": fact.record_id,
            "docstatus": docstatus,
            "modified": modified,
        }
        # Frappe writes JSON with spaces and \u escapes, and signs those bytes.
        body = json.dumps({**head, **_document(fact)}).encode()
        signature = base64.b64encode(hmac.new(self._secret.encode(), body, hashlib.sha256).digest()).decode()
        return Request(f"/webhooks/{self.source}", body, {"X-Frappe-Webhook-Signature": signature})


def _document(fact: Fact) -> dict[str, Any]:
    data = fact.data
    if fact.kind == "customer":
        return {
            "territory": data["region"],
            "default_currency": data["currency"],
            "yearly_purchase": data["yearly_purchase"],
            "customer_tier": data["tier"],
            "tier_basis": data["extra"]["tier_basis"],
        }
    if fact.type == "order.cancelled":
        return {"status": STATUSES["cancelled"]}
    return {
        "customer": data["customer_id"],
        "currency": data["currency"],
        "grand_total": float(data["amount"]),
        "territory": data["region"],
        "status": STATUSES["placed"],
        "transaction_date": fact.at.astimezone(SITE_ZONE).strftime("%Y-%m-%d"),
        "items": [_item(line) for line in data["lines"]],
    }


def _item(line: dict[str, Any]) -> dict[str, Any]:
    return {
        "item_code": line["product"],
        "description": line["specification"],
        "qty": float(line["quantity"]),
        "uom": line["unit"],
        "rate": float(line["unit_price"]),
    }
