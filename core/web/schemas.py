"""The shapes of the API's answers; an instant is UTC RFC 3339 text, an amount decimal text."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields

from core.model.schemas import Instant


def _text(**options: Any) -> fields.String:
    return fields.String(allow_none=True, **options)


def _at(**options: Any) -> Instant:
    return Instant(allow_none=True, **options)


class Delivery(ma.Schema):
    """One event for one plugin."""

    id = fields.String()
    event_id = fields.String()
    plugin = fields.String()
    unit = fields.String()
    generation = fields.Integer()
    outward = fields.Boolean()
    source = fields.String()
    kind = fields.String()
    record_id = fields.String()
    status = fields.String()
    standing = fields.String(metadata={"description": "The status in words, such as `waiting for lead.created evt_…`."})
    reason = _text()
    attempts = fields.Integer()
    due_at = Instant()
    waiting_for = _text()
    wait_until = _at()
    out_of_order = fields.Boolean()
    config_version = fields.Integer()
    created_at = Instant()
    finished_at = _at()
    trace = _text()


class Decision(ma.Schema):
    """What was decided, and why."""

    id = fields.String()
    event_id = fields.String()
    plugin = fields.String()
    plugin_version = fields.String()
    unit = fields.String()
    generation = fields.Integer()
    source = fields.String()
    kind = fields.String()
    record_id = fields.String()
    decision = fields.String()
    outcome = fields.String()
    summary = fields.String()
    rule = fields.String()
    reasons = fields.Raw()
    inputs = fields.Raw()
    near_misses = fields.Raw()
    config_version = fields.Integer()
    decided_by = _text()
    decided_at = Instant()


class Message(ma.Schema):
    """A message on its way out."""

    id = fields.String()
    effect = fields.String()
    target = fields.String()
    type = fields.String()
    event_id = fields.String()
    plugin = fields.String()
    unit = fields.String()
    source = fields.String()
    kind = fields.String()
    record_id = fields.String()
    status = fields.String()
    attempts = fields.Integer()
    due_at = Instant()
    reason = _text()
    created_at = Instant()
    sent_at = _at()
    body = fields.Raw()
    asked = fields.Raw()  # of a notice: whom it asked for, and who that was
    tried = fields.List(fields.String())  # of a notice: why channels were passed over


class Timer(ma.Schema):
    """A wake-up that outlives the process."""

    id = fields.String()
    plugin = fields.String()
    unit = fields.String()
    source = fields.String()
    kind = fields.String()
    record_id = fields.String()
    timer = fields.String()
    round = fields.Integer()
    due_at = Instant()
    status = fields.String()
    data = fields.Raw()
    started_by = fields.String()
    fired_at = _at()


class FollowUp(ma.Schema):
    """An event that another one caused."""

    id = fields.String()
    type = fields.String()
    status = fields.String()
    accepted_at = Instant()


class EventSummary(ma.Schema):
    """A fact about one record."""

    id = fields.String()
    type = fields.String()
    source = fields.String()
    kind = fields.String()
    record_id = fields.String()
    unit = _text()
    unit_reason = _text()
    status = fields.String()
    status_reason = _text()
    occurred_at = Instant()
    occurred_at_original = _text()
    accepted_at = Instant()
    completeness = fields.String()
    origin = fields.String()
    depth = fields.Integer()
    caused_by = _text()
    conflicts = fields.Integer()
    changed = fields.List(fields.String())


class NotDelivered(ma.Schema):
    """A plugin that hears an event's type and was given no delivery of it."""

    plugin = fields.String()
    unit = _text()
    reason = fields.String()


class EventDetail(EventSummary):
    """An event with everything that came of it."""

    version = _text()
    data = fields.Raw()
    errors = fields.Raw()
    raw = _text()
    deliveries = fields.List(fields.Nested(Delivery))
    not_delivered = fields.List(fields.Nested(NotDelivered))
    decisions = fields.List(fields.Nested(Decision))
    messages = fields.List(fields.Nested(Message))
    follow_ups = fields.List(fields.Nested(FollowUp))


class RecordField(ma.Schema):
    """Where the value of one field comes from."""

    path = fields.String()
    version = _text()
    origin = fields.String()
    plugin = _text()
    set_at = _at()


class Step(ma.Schema):
    """One step of a journey; `details` is the event, delivery, decision, update, timer or message itself."""

    at = Instant()
    step = fields.String()
    id = fields.String()
    event_id = _text()
    unit = _text()
    plugin = _text()
    status = _text()
    text = fields.String()
    details = fields.Raw()


class RecordDetail(ma.Schema):
    """A record: what is known of it, where from, and everything that happened to it and why."""

    source = fields.String()
    kind = fields.String()
    id = fields.String()
    unit = _text()
    unit_reason = _text()
    snapshot = fields.Raw()
    fields_ = fields.List(fields.Nested(RecordField), data_key="fields", attribute="fields")
    complete_as_of = _text()
    created_at = Instant()
    updated_at = Instant()
    journey = fields.List(fields.Nested(Step))
    more = fields.Boolean(metadata={"description": "Whether there are earlier steps than those shown."})
    hidden = fields.Integer(metadata={"description": "Steps in units this key does not see."})


class Lead(ma.Schema):
    """A lead with its grade and why it has it."""

    source = fields.String()
    id = fields.String()
    unit = _text()
    name = fields.Raw(allow_none=True)
    company = fields.Raw(allow_none=True)
    industry = fields.Raw(allow_none=True)
    region = fields.Raw(allow_none=True)
    city = fields.Raw(allow_none=True)
    owner = fields.Raw(allow_none=True)
    status = fields.Raw(allow_none=True)
    score = fields.Raw(allow_none=True)
    grade = fields.Raw(allow_none=True)
    decision = fields.Nested(Decision, allow_none=True)
    created_at = Instant()
    updated_at = Instant()


class ReplayResult(ma.Schema):
    """What a replay did, or with `plan` what it would do."""

    events = fields.Integer()
    deliveries = fields.List(fields.String())
    deliveries_count = fields.Integer()
    accepted = fields.List(fields.String(), metadata={"description": "Rejected events that map now."})
    accepted_count = fields.Integer()
    still_rejected = fields.Integer(metadata={"description": "Rejected events that still do not map."})
    reasons = fields.Dict(
        keys=fields.String(), values=fields.Integer(), metadata={"description": "Why those do not map, with counts."}
    )
    by_type = fields.Dict(keys=fields.String(), values=fields.Integer())
    by_plugin = fields.Dict(keys=fields.String(), values=fields.Integer())
    plan = fields.String()


class ProblemItem(ma.Schema):
    """One fault."""

    path = fields.String()
    message = fields.String()


class Problem(ma.Schema):
    """RFC 9457 problem details."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    instance = fields.String(required=True, metadata={"description": "The request's id."})
    code = fields.String(required=True, metadata={"description": "Stable; react to this."})
    errors = fields.List(fields.Nested(ProblemItem), required=True)


NEXT = (
    "The cursor to go on with, null at the end. For one page a bounded number of rows is tried against the filter, "
    "so a page may have fewer items than asked for, or none, and still a cursor."
)


def page_of(item: type[ma.Schema]) -> type[ma.Schema]:
    """Return the schema of a page of `item`."""
    members: dict[str, Any] = {
        "items": fields.List(fields.Nested(item), required=True),
        "next": fields.String(allow_none=True, metadata={"description": NEXT}),
    }
    return type(f"{item.__name__}Page", (ma.Schema,), {**members, "__doc__": f"A page of {item.__name__}."})


def items_of(item: type[ma.Schema]) -> type[ma.Schema]:
    """Return the schema of a whole, short list of `item`."""
    members: dict[str, Any] = {"items": fields.List(fields.Nested(item), required=True)}
    return type(f"{item.__name__}List", (ma.Schema,), {**members, "__doc__": f"A list of {item.__name__}."})
