"""What the API of approvals takes and gives, for checking and for the OpenAPI page."""

from __future__ import annotations

import marshmallow as ma

from .deciding import MAX_COMMENT
from .states import BY_PEOPLE, Status

_text = ma.fields.String
_EVERYTHING = ma.fields.Raw


class ListArguments(ma.Schema):
    """How the list of requests is narrowed."""

    unit = _text()
    status = _text(validate=ma.validate.OneOf([str(status) for status in Status]))
    person = _text(metadata={"description": "The slug of somebody for whom requests wait."})
    quote = _text(metadata={"description": "The quote's id in the CRM."})
    overdue = ma.fields.Boolean()
    cursor = _text()
    limit = ma.fields.Integer(load_default=50, validate=ma.validate.Range(1, 200))


class ApprovalDecision(ma.Schema):
    """What somebody decides. Without `by` it is an administrator's own decision, with its reason in `comment`."""

    decision = _text(required=True, validate=ma.validate.OneOf(tuple(BY_PEOPLE)))
    version = ma.fields.Integer(
        load_default=None,
        strict=True,
        metadata={"description": "The version that was read; the ETag as If-Match says it too."},
    )
    comment = _text(load_default="", validate=ma.validate.Length(max=MAX_COMMENT))
    by = _text(
        load_default=None,
        allow_none=True,
        validate=ma.validate.Length(1, 100),
        metadata={"description": "The person who decides: slug or CRM id."},
    )


class AskedPerson(ma.Schema):
    """One person who was asked, why this one, and what came of it."""

    level = ma.fields.Integer()
    slot = ma.fields.Integer()
    person = _text()
    name = _text()
    via = _text()
    asked = _text()
    path = ma.fields.List(_text())
    path_zh = ma.fields.List(_text())
    state = _text()
    asked_at = _text()
    decided_at = _text(allow_none=True)
    comment = _text(allow_none=True)
    how = _text(allow_none=True)


class RequestItem(ma.Schema):
    """One request: a quote's content, how it was routed, and where it stands."""

    id = _text()
    quote = _text()
    source = _text()
    unit = _text()
    status = _text()
    version = ma.fields.Integer()
    customer = _text(allow_none=True)
    owner = _text(allow_none=True)
    rule = _text()
    reason = _text()
    level = ma.fields.Integer()
    stuck = _text(allow_none=True)
    overdue = ma.fields.Boolean()
    question = _text(allow_none=True)
    answer = _text(allow_none=True)
    decided_by = _text(allow_none=True)
    comment = _text(allow_none=True)
    content_hash = _text()
    content = _EVERYTHING()
    facts = _EVERYTHING()
    faults = ma.fields.List(_EVERYTHING())
    near_misses = ma.fields.List(_text())
    route = ma.fields.List(_EVERYTHING())
    asked_at = _text(allow_none=True)
    deadline_at = _text(allow_none=True)
    created_at = _text()
    updated_at = _text()


class RequestDetail(RequestItem):
    """One request with everybody who was asked."""

    asked = ma.fields.List(ma.fields.Nested(AskedPerson))


class RequestPage(ma.Schema):
    """A page of requests, the newest first."""

    items = ma.fields.List(ma.fields.Nested(RequestItem))
    next = _text(allow_none=True)
