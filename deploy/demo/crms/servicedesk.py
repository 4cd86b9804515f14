"""A service desk with webhooks of its own making: a static token, its own field names, mapped in plugins.toml."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from deploy.demo.crms.request import Request, compact
from deploy.demo.facts import Fact, text_of

FIELDS = {
    "opened_at": "opened_at",
    "category": "category",
    "severity": "priority",
    "channel": "contact_type",
    "department": "assignment_group",
    "status": "incident_state",
    "resolved_at": "resolved_at",
    "waiting_for": "waiting_for",
}
"""The canonical field and the service desk's own name for it; plugins.toml maps them back."""


class ServiceDesk:
    """Sends one step of an incident a request; it names no event id, so the mapping makes a key of what there is."""

    batch = 1

    def __init__(self, source: str, token: str) -> None:
        self.source = source
        self._token = token

    def request(self, facts: Sequence[Fact], now: datetime) -> Request:
        """Return the request for one step."""
        (fact,) = facts
        fields: dict[str, Any] = {}
        for canonical, own in FIELDS.items():
            if canonical in fact.data:
                fields[own] = fact.data[canonical]
        for name in ("subcategory", "symptom"):
            if name in fact.data.get("extra", {}):
                fields[name] = fact.data["extra"][name]
        body = {
            "action": fact.type.partition(".")[2],
            "number": fact.record_id,
            "sys_updated_at": text_of(fact.at),
            "sys_mod_count": fact.index,
            **fields,
        }
        headers = {"Content-Type": "application/json", "X-Service-Desk-Token": self._token}
        return Request(path=f"/webhooks/{self.source}", body=compact(body), headers=headers)
