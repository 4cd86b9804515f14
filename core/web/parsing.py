"""Reads what a request carries, strictly: one JSON loader, no unknown parameters, every fault with its path."""

from __future__ import annotations

from typing import Any, NoReturn

import flask
import flask_smorest
import marshmallow as ma
from flask import Request
from flask.json.provider import DefaultJSONProvider
from webargs.flaskparser import FlaskParser
from webargs.multidictproxy import MultiDictProxy

from core.model import strict_json
from core.model.errors import InvalidRequest, UnsupportedMediaType, did_you_mean
from core.model.instants import format_instant
from core.web.problems import flatten


class StrictParser(FlaskParser):
    """Loads JSON by our own loader, refuses unknown query parameters, and raises our own errors."""

    DEFAULT_UNKNOWN_BY_LOCATION = {"query": ma.RAISE, "json": None, "headers": ma.EXCLUDE, "path": ma.RAISE}  # noqa: RUF012

    def load_json(self, req: Request, schema: ma.Schema) -> Any:
        """Return the body as JSON; no body at all counts as `{}`."""
        raw = req.get_data(cache=True)
        if not raw:
            return {}
        if req.mimetype != "application/json":
            raise UnsupportedMediaType("Send the body as application/json.")
        return strict_json.loads(raw)

    def load_querystring(self, req: Request, schema: ma.Schema) -> Any:
        """Return the query; a parameter given twice is refused instead of one of them being dropped."""
        for name, values in req.args.lists():
            if len(values) > 1:
                raise InvalidRequest(
                    f'The parameter "{name[:80]}" is given {len(values)} times.',
                    errors=[{"path": name[:80], "message": "Give it once."}],
                )
        return MultiDictProxy(req.args, schema)

    def handle_error(
        self, error: ma.ValidationError, req: Request, schema: ma.Schema, *, error_status_code: Any, error_headers: Any
    ) -> NoReturn:
        """Raise InvalidRequest naming every fault."""
        # webargs puts the location (query, json) on the outermost level, which the reader need not see.
        messages = error.messages_dict
        faults = next(iter(messages.values())) if set(messages) <= {"query", "json", "headers"} else messages
        raise InvalidRequest(errors=[_explain(item, schema) for item in flatten(faults)]) from None


def _explain(fault: dict[str, str], schema: ma.Schema) -> dict[str, str]:
    if fault["message"] != "Unknown field.":
        return fault
    known = list(schema.fields)
    near = did_you_mean(fault["path"], known)
    return {**fault, "message": f"Unknown.{near} Known: {', '.join(known) or 'none'}."}


class Blueprint(flask_smorest.Blueprint):
    """A flask-smorest blueprint that reads requests strictly."""

    ARGUMENTS_PARSER = StrictParser()


class JsonProvider(DefaultJSONProvider):
    """Writes JSON as our API promises it: readable text, instants in UTC with `Z`, amounts as text."""

    sort_keys = False

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        """Encode compactly; text that is no valid Unicode is escaped instead of failing the answer."""
        kwargs.setdefault("ensure_ascii", False)
        kwargs.setdefault("separators", (",", ":"))
        text = super().dumps(obj, **kwargs)
        try:
            text.encode()
        except UnicodeEncodeError:
            text = super().dumps(obj, **{**kwargs, "ensure_ascii": True})
        return text

    @staticmethod
    def default(value: Any) -> Any:
        """Encode what JSON has no word for."""
        if hasattr(value, "tzinfo"):
            return format_instant(value)
        return str(value) if type(value).__name__ == "Decimal" else DefaultJSONProvider.default(value)


def check_text(request: Request) -> None:
    """Refuse what no name or id here may hold, before any query sees it: NUL and what is not Unicode."""
    for value in (request.view_args or {}).values():
        if isinstance(value, str) and not _is_clean(value):
            flask.abort(404)
    for name, values in request.args.lists():
        if not _is_clean(name) or not all(_is_clean(value) for value in values):
            raise InvalidRequest(errors=[{"path": "query", "message": "A parameter has a NUL or is not Unicode text."}])


def _is_clean(text: str) -> bool:
    if "\x00" in text or len(text) > 2_000:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
