"""Standard Webhooks: a body of `type`, `timestamp` and `data` is one event, named by `webhook-id`."""

from __future__ import annotations

from typing import Any

from core.model.errors import ItemRejected, did_you_mean
from core.model.events import Completeness
from core.model.inbound import InboundEvent, body_digest, inbound_event
from core.model.instants import from_micros, parse_instant
from webhooks.adapter import Adapter, InboundRequest, register_adapter
from webhooks.mapping import object_of
from webhooks.verifiers.known import STANDARD

_WORDS = tuple(str(word) for word in Completeness)


@register_adapter("standard")
class StandardAdapter(Adapter):
    """Any system that sends Standard Webhooks in our vocabulary; Outrigger's own webhooks look the same."""

    verifier = STANDARD
    kept_headers = ("webhook-id", "webhook-timestamp")

    def event(self, item: Any, request: InboundRequest) -> InboundEvent:
        """Take `type`, `timestamp` and `data`; out of `data` take `version`, `completeness` and `unit`."""
        body = object_of(item)
        event_type, data = body.get("type"), body.get("data")
        if not isinstance(event_type, str):
            raise ItemRejected('The body needs a "type", a text such as lead.created.')
        if not isinstance(data, dict):
            raise ItemRejected('The body needs "data", an object with at least the record\'s "id".')
        said = body.get("timestamp")
        if said is None:
            occurred_at = from_micros(int(request.header("webhook-timestamp")) * 1_000_000)
        else:
            try:
                occurred_at = parse_instant(said if isinstance(said, str) else "")
            except ValueError as error:
                raise ItemRejected(f"timestamp: {error}") from None
        fields = dict(data)
        return inbound_event(
            source=self.source.slug,
            type=event_type,
            version=_version(fields.pop("version", None)),
            completeness=_completeness(fields.pop("completeness", None)),
            unit=_unit(fields.pop("unit", None)),
            data=fields,
            dedupe_key=self.rejected_key("", request),
            occurred_at=occurred_at,
            occurred_at_original=said,
            body_hash=body_digest(request.body),
        )

    def rejected_key(self, raw: str, request: InboundRequest) -> str:
        """Name a message by its id, whether it maps or not, so that a repeat of it is a duplicate."""
        return request.header("webhook-id").decode()


def _version(value: Any) -> int | str | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    if isinstance(value, str) and 1 <= len(value) <= 200 and value.isprintable():
        return value
    raise ItemRejected("data.version: a version is a whole number from 0, or a text of 1 to 200 characters.")


def _completeness(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and value in _WORDS):
        return value
    hint = did_you_mean(value, _WORDS) if isinstance(value, str) else ""
    raise ItemRejected(f"data.completeness: one of {', '.join(_WORDS)}.{hint}")


def _unit(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and len(value) <= 100 and value.isprintable()):
        return value
    raise ItemRejected("data.unit: the slug of a business unit, a text.")
