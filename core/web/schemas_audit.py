"""The shapes of the API's requests and answers about the audit trail."""

from __future__ import annotations

import marshmallow as ma
from marshmallow import fields

from core.model.schemas import Instant
from core.web.requests import PageQuery, word


class AuditQuery(PageQuery):
    """Which rows a list shows."""

    action = word(metadata={"description": "Such as `plugin.disabled`."})
    actor = word()
    unit = word()
    since = Instant(metadata={"description": "Done at or after this instant."})


class AuditRow(ma.Schema):
    """One thing that was done; `previous` and `hash` stand in a single row only."""

    seq = fields.Integer()
    at = Instant()
    actor = fields.String()
    action = fields.String()
    subject = fields.String()
    unit = fields.String(allow_none=True, metadata={"description": "Null for what concerns every unit."})
    details = fields.Raw()
    previous = fields.String()
    hash = fields.String()


class AuditHead(ma.Schema):
    """The newest row; its anchor, kept elsewhere, finds a trail that was cut off or written anew."""

    seq = fields.Integer()
    hash = fields.String()
    anchor = fields.String()
