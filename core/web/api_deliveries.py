"""The API of what is on its way: deliveries, messages and timers; retry or discard what is stuck."""

from __future__ import annotations

from typing import Any

from core.store.reading.deliveries import DeliveryFilter, delivery_number, list_deliveries, show_delivery
from core.store.reading.outbox import MessageFilter, list_messages, list_timers, show_message
from core.web import requests, schemas
from core.web.auth import actor, allowed_units, require
from core.web.idempotency import idempotent
from core.web.parsing import Blueprint
from core.web.services import services

deliveries = Blueprint(
    "deliveries", __name__, url_prefix="/deliveries", description="One event for one plugin, and how it stands."
)
outbox = Blueprint("outbox", __name__, url_prefix="/outbox", description="Messages on their way out.")
timers = Blueprint("timers", __name__, url_prefix="/timers", description="Wake-ups that plugins asked for.")


@deliveries.route("")
@require("reader")
@deliveries.arguments(requests.DeliveryQuery, location="query")
@deliveries.response(200, schemas.page_of(schemas.Delivery))
def delivery_list(query: dict[str, Any]) -> dict[str, Any]:
    """List deliveries, newest first."""
    cursor, limit = query.pop("cursor", None), query.pop("limit")
    with services().database.read() as connection:
        chosen = DeliveryFilter(**query, units=allowed_units())
        return list_deliveries(connection, chosen, cursor=cursor, limit=limit).as_dict()


@deliveries.route("/<delivery_id>")
@require("reader")
@deliveries.response(200, schemas.Delivery)
def delivery(delivery_id: str) -> dict[str, Any]:
    """Show one delivery, with the trace of its last failure."""
    return _delivery(delivery_id)


@deliveries.route("/<delivery_id>/retry", methods=["POST"])
@require("operator")
@idempotent
@deliveries.response(202, schemas.Delivery)
def retry_delivery(delivery_id: str) -> dict[str, Any]:
    """Run a delivery again that was given up or waits for its next attempt. Takes an Idempotency-Key."""
    number = delivery_number(delivery_id)
    services().interventions.retry_delivery(number, actor=actor(), units=allowed_units())
    return _delivery(delivery_id)


@deliveries.route("/<delivery_id>/discard", methods=["POST"])
@require("operator")
@idempotent
@deliveries.arguments(requests.DiscardBody)
@deliveries.response(200, schemas.Delivery)
def discard_delivery(body: dict[str, Any], delivery_id: str) -> dict[str, Any]:
    """Give up an open delivery and let go what waits for it. Takes an Idempotency-Key."""
    number = delivery_number(delivery_id)
    services().interventions.discard_delivery(number, actor=actor(), reason=body["reason"], units=allowed_units())
    return _delivery(delivery_id)


def _delivery(delivery_id: str) -> dict[str, Any]:
    with services().database.read() as connection:
        return show_delivery(connection, delivery_number(delivery_id), allowed_units())


@outbox.route("")
@require("reader")
@outbox.arguments(requests.OutboxQuery, location="query")
@outbox.response(200, schemas.page_of(schemas.Message))
def message_list(query: dict[str, Any]) -> dict[str, Any]:
    """List messages, newest first, without their bodies."""
    cursor, limit = query.pop("cursor", None), query.pop("limit")
    with services().database.read() as connection:
        chosen = MessageFilter(**query, units=allowed_units())
        return list_messages(connection, chosen, cursor=cursor, limit=limit).as_dict()


@outbox.route("/<message_id>")
@require("reader")
@outbox.response(200, schemas.Message)
def message(message_id: str) -> dict[str, Any]:
    """Show one message with its body."""
    with services().database.read() as connection:
        return show_message(connection, message_id, allowed_units())


@outbox.route("/<message_id>/retry", methods=["POST"])
@require("operator")
@idempotent
@outbox.response(202, schemas.Message)
def retry_message(message_id: str) -> dict[str, Any]:
    """Send a message again under its old id. Takes an Idempotency-Key."""
    services().interventions.retry_message(message_id, actor=actor(), units=allowed_units())
    with services().database.read() as connection:
        return show_message(connection, message_id, allowed_units())


@outbox.route("/<message_id>/discard", methods=["POST"])
@require("operator")
@idempotent
@outbox.arguments(requests.DiscardBody)
@outbox.response(200, schemas.Message)
def discard_message(body: dict[str, Any], message_id: str) -> dict[str, Any]:
    """Give up a message that waits to be sent. Takes an Idempotency-Key."""
    services().interventions.discard_message(message_id, actor=actor(), reason=body["reason"], units=allowed_units())
    with services().database.read() as connection:
        return show_message(connection, message_id, allowed_units())


@timers.route("")
@require("reader")
@timers.arguments(requests.TimerQuery, location="query")
@timers.response(200, schemas.page_of(schemas.Timer))
def timer_list(query: dict[str, Any]) -> dict[str, Any]:
    """List timers of one status (pending if not said), the next due first."""
    with services().database.read() as connection:
        return list_timers(connection, **query, units=allowed_units()).as_dict()
