"""Turns every error into one shape: RFC 9457 problem+json with a stable code, and nothing of the server's inside."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from core.model.errors import OutriggerError, ReplayCutOff

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 20
MAX_TEXT = 400
RETRY_AFTER_S = 5

_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{1,100}$", re.ASCII)
_CODES = {
    400: "bad_request",
    401: "auth.required",
    403: "auth.forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    408: "timeout",
    409: "conflict",
    412: "precondition_failed",
    413: "too_large",
    414: "uri_too_long",
    415: "media_type",
    416: "range",
    422: "invalid_request",
    429: "too_many_requests",
    431: "headers_too_large",
}

_DETAILS = {
    400: "The request cannot be read as HTTP of this server's kind.",
    408: "The request took too long to arrive.",
    413: "The body is larger than this server accepts.",
    415: "The body's media type is not taken here; send application/json.",
}


def request_id() -> str:
    """Return the id of this request: the sender's X-Request-Id when it is a plain word, else one of our own."""
    if "request_id" not in g:
        given = request.headers.get("X-Request-Id", "")
        g.request_id = given if _REQUEST_ID.match(given) else "req_" + secrets.token_hex(12)
    return str(g.request_id)


def problem(
    status: int,
    code: str,
    title: str,
    detail: str,
    *,
    errors: Iterable[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Build a problem+json answer."""
    g.problem = (code, detail)
    body: dict[str, Any] = {
        "type": f"urn:outrigger:problem:{code}",
        "title": title,
        "status": status,
        "detail": _short(detail),
        "instance": request_id(),
        "code": code,
        "errors": [{key: _short(str(item)) for key, item in error.items()} for error in list(errors)[:MAX_ERRORS]],
    }
    text = json.dumps(body)
    while len(text) > 4_000 and body["errors"]:
        body["errors"].pop()
        text = json.dumps(body)
    response = Response(text, status=status, mimetype=MEDIA_TYPE)
    response.headers["X-Request-Id"] = request_id()
    response.headers["Cache-Control"] = "no-store"
    for name, value in (headers or {}).items():
        response.headers[name] = value
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers.setdefault("Retry-After", str(RETRY_AFTER_S))
    if status == HTTPStatus.UNAUTHORIZED and not request.path.startswith("/webhooks/"):
        response.headers["WWW-Authenticate"] = 'Bearer realm="outrigger"'
    return response


def problem_of(error: OutriggerError) -> Response:
    """Build the answer to one of our own errors."""
    title = (type(error).__doc__ or "Error").strip().splitlines()[0]
    if error.http_status >= 500 and error.http_status != HTTPStatus.SERVICE_UNAVAILABLE:
        structlog.get_logger("outrigger.web").error("request failed", code=error.code, reason=error.message)
        if not isinstance(error, ReplayCutOff):  # of which something was kept, and whoever asked must know what
            return _unexpected()
    detail = error.message
    if error.http_status == HTTPStatus.SERVICE_UNAVAILABLE:
        # What the database driver said is for the log; a stranger learns only that it is worth trying again.
        if not request.path.startswith("/webhooks/"):  # of which every refusal is written down by `refusals`
            structlog.get_logger("outrigger.web").warning("not available", code=error.code, reason=error.message)
        detail = title
    return problem(error.http_status, error.code, title, detail, errors=error.errors)


def install(app: Flask) -> None:
    """Make every error of the app a problem."""
    app.register_error_handler(OutriggerError, problem_of)
    app.register_error_handler(HTTPException, _of_http)
    app.register_error_handler(Exception, _of_anything)


def _of_http(error: HTTPException) -> Response:
    status = error.code or 500
    if status < 400:  # a redirect is no error
        response = error.get_response()
        return Response(response.data, status, dict(response.headers))
    title = HTTPStatus(status).phrase if status in _STATUSES else "Error"
    kept = {"Allow", "Retry-After"}
    headers = {name: value for name, value in error.get_headers() if name in kept}
    # webargs puts what a plugin's own schema refused behind `data`.
    data = getattr(error, "data", None) or {}
    errors = flatten(data.get("messages", {}).get("json") or data.get("messages", {}))
    detail = "The request's parameters or body do not fit; see errors." if errors else _detail(error) or title
    return problem(status, _CODES.get(status, "http_error"), title, detail, errors=errors, headers=headers)


def _detail(error: HTTPException) -> str:
    """Return what a view said, or our own words where the framework only said what it says to everybody."""
    if error.description != type(error).description:
        return error.description or ""
    if isinstance(error, NotFound):
        return f'There is nothing at "{request.path[:200]}"; the addresses stand in /docs.'
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        return f"{request.method} is not taken here." + (f" Use {allowed}." if allowed else "")
    return _DETAILS.get(error.code or 500, error.description or "")


def flatten(faults: Any, path: str = "") -> list[dict[str, str]]:
    """Return marshmallow's nested messages as a list of path and message."""
    if isinstance(faults, Mapping):
        return [item for key, value in faults.items() for item in flatten(value, f"{path}.{key}" if path else str(key))]
    if isinstance(faults, list):
        return [item for value in faults for item in flatten(value, path)]
    return [{"path": path[:100], "message": str(faults)}]


def _of_anything(error: Exception) -> Response:
    structlog.get_logger("outrigger.web").error(
        "unexpected error", request_id=request_id(), route=request.url_rule.rule if request.url_rule else None,
        exc_info=error,
    )  # fmt: skip
    return _unexpected()


def _unexpected() -> Response:
    return problem(
        500, "outrigger.error", "Something went wrong inside Outrigger.",
        "The server's log has the details under this request's id. Look whether it was done before you repeat it.",
    )  # fmt: skip


def _short(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


_STATUSES = frozenset(int(status) for status in HTTPStatus)
