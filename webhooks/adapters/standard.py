"""Standard Webhooks: a body of `type`, `timestamp` and `data` is one event, named by `webhook-id`."""

from __future__ import annotations

from typing import Any

from core.model.inbound import InboundEvent, body_digest
from core.model.instants import from_micros
from core.model.standard_body import standard_event
from webhooks.adapter import Adapter, InboundRequest, register_adapter
from webhooks.mapping import object_of
from webhooks.verifiers.known import STANDARD


@register_adapter("standard")
class StandardAdapter(Adapter):
    """Any system that sends Standard Webhooks in our vocabulary; Outrigger's own webhooks look the same."""

    verifier = STANDARD
    kept_headers = ("webhook-id", "webhook-timestamp")

    def event(self, item: Any, request: InboundRequest) -> InboundEvent:
        """Take `type`, `timestamp` and `data`; out of `data` take `version`, `completeness` and `unit`."""
        return standard_event(
            object_of(item),
            source=self.source.slug,
            dedupe_key=self.rejected_key("", request),
            body_hash=body_digest(request.body),
            sent_at=from_micros(int(request.header("webhook-timestamp")) * 1_000_000),
        )

    def rejected_key(self, raw: str, request: InboundRequest) -> str:
        """Name a message by its id, whether it maps or not, so that a repeat of it is a duplicate."""
        return request.header("webhook-id").decode()
