"""What the API of clocks takes and gives, for checking and for the OpenAPI page."""

from __future__ import annotations

import marshmallow as ma

_text = ma.fields.String
STATES = ("open", "running", "paused", "breached", "met", "missed", "cancelled", "handed_over")


class ClockListArguments(ma.Schema):
    """How a list is narrowed."""

    state = _text(validate=ma.validate.OneOf(STATES))
    unit = _text()
    clock = _text()
    policy = _text()
    kind = _text(validate=ma.validate.OneOf(("lead", "quote", "order", "complaint")))
    source = _text()
    record_id = _text()
    due_before = ma.fields.AwareDateTime(format="iso")
    cursor = _text()
    limit = ma.fields.Integer(load_default=50, validate=ma.validate.Range(1, 200))


class SummaryArguments(ma.Schema):
    """How a summary is narrowed; a month is `2026-11`."""

    unit = _text()
    policy = _text()
    month = _text(validate=ma.validate.Regexp(r"^\d{4}-\d{2}\Z", error="Must be a month such as 2026-11."))


class RecomputeBody(ma.Schema):
    """Whose clocks are recomputed, and why."""

    unit = _text(required=True)
    reason = _text(required=True, validate=ma.validate.Length(1, 500))


class Recomputed(ma.Schema):
    """How many records will be looked at."""

    records = ma.fields.Integer()
    unit = _text()


class Title(ma.Schema):
    """A name in both languages."""

    zh = _text()
    en = _text()


class ToldItem(ma.Schema):
    """One moment that people were told of."""

    kind = _text()
    name = _text()
    due = _text()
    at = _text()
    to = ma.fields.List(_text())
    late = ma.fields.Boolean()
    withdrawn = _text(allow_none=True)


class ClockItem(ma.Schema):
    """One clock as it stands now."""

    id = _text()
    unit = _text()
    source = _text()
    kind = _text()
    record_id = _text()
    clock = _text()
    policy = _text()
    title = ma.fields.Nested(Title)
    round = ma.fields.Integer()
    state = _text()
    target = _text()
    started_at = _text()
    started_by = _text()
    due_at = _text(allow_none=True)
    ended_at = _text(allow_none=True)
    ended_by = _text(allow_none=True)
    learned_at = _text(allow_none=True)
    reason = _text(allow_none=True)
    elapsed_s = ma.fields.Float()
    remaining_s = ma.fields.Float(allow_none=True)
    told = ma.fields.List(ma.fields.Nested(ToldItem))


class Line(ma.Schema):
    """One line of an explanation."""

    about = _text()
    zh = _text()
    en = _text()


class ClockDetail(ClockItem):
    """One clock with its explanation."""

    segments = ma.fields.List(ma.fields.Dict())
    facts = ma.fields.Dict()
    explanation = ma.fields.List(ma.fields.Nested(Line))


class ClockPage(ma.Schema):
    """A page of clocks and where the next one begins."""

    items = ma.fields.List(ma.fields.Nested(ClockItem))
    next = _text(allow_none=True)


class SummaryItem(ma.Schema):
    """How the promises of one policy were kept in one unit and month."""

    month = _text()
    unit = _text()
    policy = _text()
    met = ma.fields.Integer()
    missed = ma.fields.Integer()
    breached = ma.fields.Integer()
    open = ma.fields.Integer()
    cancelled = ma.fields.Integer()
    in_time_percent = ma.fields.Float(allow_none=True)
    goal_percent = ma.fields.Integer()
    reached = ma.fields.Boolean(allow_none=True)


class Summary(ma.Schema):
    """All of them, the newest month first."""

    items = ma.fields.List(ma.fields.Nested(SummaryItem))
