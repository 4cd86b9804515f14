"""What every request passes: its id, who calls, the headers of the answer; webhooks take a short way through."""

from __future__ import annotations

import re
import secrets
import time

import structlog
from flask import Flask, Response, g, request

from core.model import strict_json
from core.model.errors import NotAuthenticated
from core.pipeline.commands import Desk, use_desk
from core.web.auth import set_caller
from core.web.parsing import check_text
from core.web.problems import request_id
from core.web.refusals import Refusals, note_refusal
from core.web.services import Services

API = "/api/"
WEBHOOKS = "/webhooks/"
_TRACE = re.compile(r"^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$")

_log = structlog.get_logger("outrigger.web")


def install(app: Flask, parts: Services) -> None:
    """Put the gate before and behind every view."""
    refusals = Refusals(lambda: parts.configuration().sources)
    desk = Desk(parts.database, parts.clock, parts.configuration)

    @app.before_request
    def enter() -> None:
        if not request.path.startswith(API):
            return
        g.started = time.perf_counter()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id())
        trace = _TRACE.match(request.headers.get("traceparent", ""))
        if trace:
            structlog.contextvars.bind_contextvars(trace_id=trace.group(1))
        _authenticate(parts)
        check_text(request)
        if request.mimetype == "application/json" and request.content_length:
            # Plugins' own views may use another loader; what they get has passed this one.
            strict_json.loads(request.get_data(cache=True))
        use_desk(desk)

    @app.after_request
    def leave(response: Response) -> Response:
        headers = response.headers
        headers["X-Content-Type-Options"] = "nosniff"
        if request.path.startswith(WEBHOOKS):
            note_refusal(refusals, response)
            return response
        headers["X-Request-Id"] = request_id()
        headers["Referrer-Policy"] = "no-referrer"
        headers.setdefault("Content-Security-Policy", content_security_policy())  # pages have one of their own
        headers.setdefault("Cache-Control", "no-store")
        if "traceparent" in request.headers and _TRACE.match(request.headers["traceparent"]):
            headers["traceparent"] = request.headers["traceparent"]
        if request.path.startswith(API):
            _finish(response)
        return response

    @app.teardown_request
    def forget(_error: BaseException | None) -> None:
        if request.path.startswith(API):
            set_caller(None)


def _authenticate(parts: Services) -> None:
    set_caller(None)
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if not token:
        raise NotAuthenticated
    found = parts.keys.recognise(token.strip()) if scheme.lower() == "bearer" else None
    if found is None:
        raise NotAuthenticated("This API key is not known, or it was revoked.")
    g.key_id = found.key_id
    set_caller(found)


def _finish(response: Response) -> None:
    if request.method in ("GET", "HEAD") and response.status_code == 200 and response.is_json:
        response.add_etag()
        response.make_conditional(request)
    _log.info(
        "request",
        method=request.method,
        route=request.url_rule.rule if request.url_rule else None,
        status=response.status_code,
        key_id=g.get("key_id"),
        ms=round((time.perf_counter() - g.started) * 1000, 1) if "started" in g else None,
    )


def nonce() -> str:
    """Return this answer's nonce, by which a page's own style and script are told from injected ones."""
    if "nonce" not in g:
        g.nonce = secrets.token_urlsafe(16)
    return str(g.nonce)


def content_security_policy() -> str:
    """Return the policy of this answer: nothing but what carries the nonce, in no frame."""
    own = f"style-src 'nonce-{g.nonce}'; script-src 'nonce-{g.nonce}'; img-src 'self'; " if "nonce" in g else ""
    return f"default-src 'none'; {own}base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
