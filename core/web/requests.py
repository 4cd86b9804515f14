"""The shapes of the API's requests: queries, filters and bodies."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from core.model.outcomes import DeliveryStatus, EventStatus, OutboxStatus, TimerStatus
from core.model.records import KINDS
from core.model.schemas import Instant
from core.store.reading.pages import MAX_LIMIT

# Control characters and line separators are in no name or reason; the pattern also stands in the description.
_ONE_LINE = validate.Regexp(
    r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]+$", error="Only one line of text without control characters."
)


def _no_line_end(value: str) -> None:
    if value.endswith("\n"):
        raise ma.ValidationError("Only one line of text without control characters.")


def line(longest: int, **options: Any) -> fields.String:
    """One line of text."""
    return fields.String(validate=[validate.Length(min=1, max=longest), _ONE_LINE, _no_line_end], **options)


def word(**options: Any) -> fields.String:
    """A name or an id: 1 to 200 characters."""
    return line(200, **options)


def _one_of(words: Any, **options: Any) -> fields.String:
    return fields.String(validate=validate.OneOf([str(item) for item in words]), **options)


class PageQuery(ma.Schema):
    """Where a page starts and how long it is."""

    cursor = word(metadata={"description": "`next` of the page before; opaque."})
    limit = fields.Integer(load_default=50, validate=validate.Range(min=1, max=MAX_LIMIT))


class EventFilterFields(ma.Schema):
    """Which events are meant."""

    type = word()
    source = word()
    unit = word()
    kind = _one_of(KINDS)
    record_id = word()
    since = Instant(metadata={"description": "Accepted at or after this instant."})
    until = Instant(metadata={"description": "Accepted before this instant."})


class ReplayFilter(EventFilterFields):
    """Which events are replayed: dispatched ones, or rejected ones, which are mapped again."""

    status = _one_of(
        (EventStatus.DISPATCHED, EventStatus.REJECTED),
        metadata={"description": "`rejected` maps rejected events again; those that map are accepted as new."},
    )


class EventQuery(EventFilterFields, PageQuery):
    """Which events a list shows. `record` is short for `kind` and `record_id`: `lead/L-1`."""

    status = _one_of(EventStatus)
    record = fields.String(
        validate=[validate.Length(max=300), validate.Regexp(r"^[a-z]+/[^\u0000-\u001f]+$")],
        metadata={"description": "`kind/id`, such as `lead/L-1`."},
    )


class DeliveryQuery(PageQuery):
    """Which deliveries a list shows."""

    status = _one_of(DeliveryStatus)
    plugin = word()
    unit = word()
    event = word()


class DecisionQuery(PageQuery):
    """Which decisions a list shows."""

    plugin = word()
    unit = word()
    decision = word()
    outcome = word()
    kind = _one_of(KINDS)
    record_id = word()


class LeadQuery(PageQuery):
    """Which leads a list shows."""

    unit = word()
    grade = word()
    owner = word()


class OutboxQuery(PageQuery):
    """Which messages a list shows."""

    status = _one_of(OutboxStatus)
    effect = word()
    target = word()
    plugin = word()
    unit = word()


class TimerQuery(PageQuery):
    """Which timers a list shows."""

    status = _one_of(TimerStatus, load_default=TimerStatus.PENDING.value)
    plugin = word()
    unit = word()


class RecordQuery(ma.Schema):
    """Which source's record, and how much of its journey."""

    source = word()
    limit = fields.Integer(load_default=200, validate=validate.Range(min=1, max=1000))


class ReplayBody(ma.Schema):
    """How one event is replayed."""

    plugin = word(metadata={"description": "Only this plugin; without it every plugin that is switched on."})
    outward = fields.Boolean(
        load_default=False, truthy={True}, falsy={False},
        metadata={"description": "Whether the messages of this replay leave the house."},
    )  # fmt: skip


class ReplaySetBody(ReplayBody):
    """An estimate of a set, or the run of a set that was estimated before."""

    filter = fields.Nested(ReplayFilter)
    estimate = fields.Boolean(load_default=False, truthy={True}, falsy={False})
    plan = fields.String(
        validate=validate.Length(min=1, max=8000), metadata={"description": "`plan` of the estimate, to run it."}
    )

    @ma.validates_schema
    def one_of_two(self, data: dict[str, Any], **_: Any) -> None:
        """Ask for a filter with `estimate`, or for a plan alone."""
        if data.get("estimate") == ("plan" in data):
            raise ma.ValidationError("Send `estimate: true` with a filter first, then its `plan`.", "plan")
        if "plan" in data and "filter" in data:
            raise ma.ValidationError("A plan knows its filter.", "filter")


class DiscardBody(ma.Schema):
    """Why something is given up."""

    reason = line(500, required=True)


class PluginBody(ma.Schema):
    """A plugin switched on or off, or its settings changed, and why."""

    enabled = fields.Boolean(
        truthy={True}, falsy={False}, metadata={"description": "A switch; true also lifts a quarantine."}
    )
    config = fields.Dict(
        keys=fields.String(validate=validate.Length(min=1, max=200)),
        values=fields.Raw(allow_none=True),
        validate=validate.Length(min=1),
        metadata={"description": "Settings to set, tables key by key; null removes the value given here."},
    )
    reason = line(500, required=True)

    @ma.validates_schema
    def something(self, data: dict[str, Any], **_: Any) -> None:
        """Ask for at least one of the two."""
        if not data.keys() & {"enabled", "config"}:
            raise ma.ValidationError("Send `enabled`, `config` or both.", "enabled")


class ReasonBody(ma.Schema):
    """Why something is done."""

    reason = line(500, required=True)


class IfMatch(ma.Schema):
    """Which configuration version the caller looked at."""

    expected = fields.String(
        data_key="If-Match",
        metadata={"description": 'The ETag of what was read, or the `config_version` in quotes, such as "7".'},
    )


class VersionDiffQuery(ma.Schema):
    """What a version is compared with."""

    to = fields.Integer(
        strict=False, validate=validate.Range(min=1, max=999_999_999),
        metadata={"description": "Another version; without it the one in force."},
    )  # fmt: skip
