"""What the API of cases takes and gives, for checking and for the OpenAPI page."""

from __future__ import annotations

from typing import Any, ClassVar

import marshmallow as ma

from .rules import FIELDS
from .states import CaseStatus

_text = ma.fields.String
_KINDS = ma.validate.OneOf(tuple(FIELDS))


class CaseListArguments(ma.Schema):
    """How a list is narrowed."""

    unit = _text()
    kind = _text(validate=_KINDS)
    status = _text(validate=ma.validate.OneOf([str(status) for status in CaseStatus]))
    product = _text()
    alloy = _text()
    record_id = _text()
    doubtful = ma.fields.Boolean()
    cursor = _text()
    limit = ma.fields.Integer(load_default=50, validate=ma.validate.Range(1, 200))


class SearchArguments(ma.Schema):
    """What is searched for."""

    q = _text(required=True, validate=ma.validate.Length(1, 1000))
    unit = _text()
    kind = _text(validate=_KINDS)
    drafts = ma.fields.Boolean(load_default=False, metadata={"description": "Find unpublished cases too."})
    limit = ma.fields.Integer(load_default=20, validate=ma.validate.Range(1, 100))


class CaseStep(ma.Schema):
    """One step of a case: the version that was read, unless If-Match names it, and why."""

    version = ma.fields.Integer(strict=True)
    reason = _text(load_default="", validate=ma.validate.Length(max=2000))


class CaseEdit(CaseStep):
    """What changes; an empty field or null is taken away."""

    title = _text(validate=ma.validate.Length(1, 200))
    changes = ma.fields.Dict(
        keys=_text(),
        values=_text(allow_none=True, validate=ma.validate.Length(max=4000)),
        data_key="fields",
        attribute="fields",
    )


class Duplicate(ma.Schema):
    """Another case with much the same text."""

    case_id = _text()
    similarity = ma.fields.Float()


class HistoryItem(ma.Schema):
    """One change of a case."""

    version = ma.fields.Integer()
    step = _text()
    before = _text(data_key="from", allow_none=True)
    after = _text(data_key="to")
    actor = _text()
    reason = _text()
    changed = ma.fields.List(_text())
    at = ma.fields.DateTime()


class CaseItem(ma.Schema):
    """One case."""

    class Meta:
        """Every key `as_json` gives is shown."""

        include: ClassVar[dict[str, ma.fields.Field[Any]]] = {
            **{
                name: _text(allow_none=True)
                for name in (
                    "id",
                    "unit",
                    "kind",
                    "status",
                    "title",
                    "language",
                    "product",
                    "alloy",
                    "industry",
                    "source",
                    "record_kind",
                    "record_id",
                    "duplicate_of",
                    "doubt",
                    "reviewed_by",
                    "published_by",
                    "occurred_at",
                    "created_at",
                    "updated_at",
                    "published_at",
                )
            },
            "version": ma.fields.Integer(),
            "fields": ma.fields.Dict(keys=_text(), values=_text()),
            "edited": ma.fields.List(_text()),
            "missing": ma.fields.List(_text()),
            "proposed": ma.fields.Dict(allow_none=True),
            "duplicates": ma.fields.List(ma.fields.Nested(Duplicate)),
        }


class CaseDetail(CaseItem):
    """One case with its history."""

    history = ma.fields.List(ma.fields.Nested(HistoryItem))


class CasePage(ma.Schema):
    """A page of cases and where the next one begins."""

    items = ma.fields.List(ma.fields.Nested(CaseItem))
    next = _text(allow_none=True)


class Highlight(ma.Schema):
    """Where words of the query stand: start and end in characters of the field's text."""

    field = _text()
    start = ma.fields.Integer()
    end = ma.fields.Integer()


class Match(ma.Schema):
    """One case that was found, and why."""

    case = ma.fields.Nested(CaseItem)
    score = ma.fields.Float()
    similarity = ma.fields.Float()
    matched = ma.fields.List(_text())
    highlights = ma.fields.List(ma.fields.Nested(Highlight))


class SearchResult(ma.Schema):
    """The best cases, best first."""

    items = ma.fields.List(ma.fields.Nested(Match))
