"""The API of events: list, look, and replay one of them or a filtered set."""

from __future__ import annotations

import base64
import json
from typing import Any

import marshmallow as ma
from flask import Response

from core.model.errors import InvalidRequest
from core.pipeline.replay import Estimate, Replayed
from core.pipeline.undelivered import add_not_delivered
from core.store.reading.events import EventFilter, list_events, show_event
from core.web import requests, schemas
from core.web.auth import actor, allowed_units, require
from core.web.idempotency import idempotent
from core.web.parsing import Blueprint
from core.web.services import services

blueprint = Blueprint("events", __name__, url_prefix="/events", description="Facts the CRMs told us.")
replays = Blueprint("replays", __name__, url_prefix="/replays", description="Stored events, dispatched again.")


@blueprint.route("")
@require("reader")
@blueprint.arguments(requests.EventQuery, location="query")
@blueprint.response(200, schemas.page_of(schemas.EventSummary))
def events(query: dict[str, Any]) -> dict[str, Any]:
    """List events, newest first."""
    cursor, limit = query.pop("cursor", None), query.pop("limit")
    with services().database.read() as connection:
        return list_events(connection, event_filter(query), cursor=cursor, limit=limit).as_dict()


@blueprint.route("/<event_id>")
@require("reader")
@blueprint.response(200, schemas.EventDetail)
def event(event_id: str) -> dict[str, Any]:
    """Show one event with its deliveries, decisions, messages and follow-ups."""
    with services().database.read() as connection:
        found = show_event(connection, event_id, allowed_units())
        add_not_delivered(connection, [found], services().plugins())
        return found


@blueprint.route("/<event_id>/replay", methods=["POST"])
@require("operator")
@idempotent
@blueprint.arguments(requests.ReplayBody, required=False)
@blueprint.response(202, schemas.ReplayResult)
def replay(body: dict[str, Any], event_id: str) -> dict[str, Any]:
    """Dispatch a stored event again, or map a rejected one again. Takes an Idempotency-Key."""
    done = services().replayer.replay_event(
        event_id, plugin=body.get("plugin"), outward=body["outward"], units=allowed_units(), actor=actor()
    )
    return _result(done)


@replays.route("", methods=["POST"])
@require("operator")
@idempotent
@replays.arguments(requests.ReplaySetBody)
@replays.response(202, schemas.ReplayResult)
@replays.alt_response(200, schema=schemas.ReplayResult, description="The estimate")
def replay_set(body: dict[str, Any]) -> dict[str, Any] | tuple[dict[str, Any], int] | Response:
    """Estimate the replay of a filtered set, or run the plan of an estimate. Takes an Idempotency-Key."""
    replayer = services().replayer
    if body["estimate"]:
        asked = body.get("filter", {})
        plugin, outward = body.get("plugin"), body["outward"]
        found = replayer.estimate(event_filter(dict(asked)), plugin=plugin)
        return {
            "events": found.events,
            "deliveries_count": found.deliveries,
            "by_type": found.by_type,
            "by_plugin": found.by_plugin,
            "plan": encode_plan(asked, plugin, outward, found),
        }, 200
    chosen, plugin, outward, confirmed = decode_plan(body["plan"])
    return _result(replayer.replay_set(chosen, confirmed, plugin=plugin, outward=outward, actor=actor()))


def event_filter(query: dict[str, Any]) -> EventFilter:
    """Build the filter from a loaded query; `record` is split into kind and id."""
    record = query.pop("record", None)
    if record is not None:
        kind, slash, record_id = record.partition("/")
        if not (kind and slash and record_id):
            raise InvalidRequest(errors=[{"path": "record", "message": "Write it as kind/id, such as lead/L-1."}])
        query = {**query, "kind": kind, "record_id": record_id}
    return EventFilter(**query, units=allowed_units())


def encode_plan(asked: dict[str, Any], plugin: str | None, outward: bool, found: Estimate) -> str:
    """Write down what was estimated; nothing in it is trusted when it comes back."""
    plan = {
        "filter": requests.ReplayFilter().dump(asked),
        "plugin": plugin,
        "outward": outward,
        "events": found.events,
        "deliveries": found.deliveries,
        "up_to": found.up_to,
    }
    return base64.urlsafe_b64encode(json.dumps(plan).encode()).decode()


def decode_plan(text: str) -> tuple[EventFilter, str | None, bool, Estimate]:
    """Read a plan back, checking it like any input. Raises InvalidRequest."""
    try:
        plan = _PlanSchema().loads(base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True))
    except (ValueError, RecursionError, ma.ValidationError):
        raise InvalidRequest(
            "The plan is not one an estimate gave out.", errors=[{"path": "plan", "message": "Not a plan."}]
        ) from None
    confirmed = Estimate(plan["events"], plan["deliveries"], {}, {}, plan["up_to"])
    return event_filter(dict(plan["filter"])), plan["plugin"], plan["outward"], confirmed


class _PlanSchema(ma.Schema):
    filter = ma.fields.Nested(requests.ReplayFilter, required=True)
    plugin = requests.word(required=True, allow_none=True)
    outward = ma.fields.Boolean(required=True, truthy={True}, falsy={False})
    events = ma.fields.Integer(required=True, strict=True, validate=ma.validate.Range(0, 2**31))
    deliveries = ma.fields.Integer(required=True, strict=True, validate=ma.validate.Range(0, 2**40))
    up_to = ma.fields.Integer(required=True, strict=True, validate=ma.validate.Range(0, 2**62))


def _result(done: Replayed) -> dict[str, Any]:
    return {
        "events": done.events,
        "deliveries": [f"dlv_{number}" for number in done.deliveries[:1000]],
        "deliveries_count": len(done.deliveries),
        "accepted": done.accepted[:1000],
        "accepted_count": len(done.accepted),
        "still_rejected": done.still_rejected,
        "reasons": done.reasons,
    }
