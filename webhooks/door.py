"""The short door: the ordinary webhook request is received before the web framework looks at it.

Routing, contexts and response objects of the framework cost more than verifying, mapping and storing together. What is
not ordinary (another method, a query, a chunked or compressed body, an unusual media type) and every refusal goes on to
the views behind, which answer it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

from flask import Flask
from flask.sansio.app import App
from werkzeug.datastructures import EnvironHeaders

from core.model.errors import OutriggerError, UnreadableBody
from webhooks.adapter import InboundRequest
from webhooks.receiving import Receiver

PREFIX = "/webhooks/"
REFUSAL = "outrigger.refusal"
_STATUS = {200: "200 OK", 202: "202 ACCEPTED"}

StartResponse = Callable[..., Any]
WsgiApp = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


def put_door(app: App, receiver: Receiver, max_body: int) -> None:
    """Put the door in front of the app."""
    flask_app = cast(Flask, app)
    flask_app.wsgi_app = Door(flask_app.wsgi_app, receiver, max_body)  # type: ignore[method-assign]


def refused_at_door(environ: dict[str, Any]) -> None:
    """Raise the refusal that the door met, so that the view renders it instead of receiving the request again."""
    error = environ.get(REFUSAL)
    if error is not None:
        raise error


class Door:
    """WSGI middleware that receives ordinary webhook requests itself."""

    def __init__(self, app: WsgiApp, receiver: Receiver, max_body: int) -> None:
        self._app = app
        self._receiver = receiver
        self._max_body = max_body

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Receive the request, or pass it on."""
        length = self._ordinary(environ)
        if length < 0:
            return self._app(environ, start_response)
        slug = environ["PATH_INFO"][len(PREFIX) :]
        try:
            source = self._receiver.bind(slug)
            body = environ["wsgi.input"].read(length)
            if len(body) != length:
                raise UnreadableBody("The body ended before its announced length.")
            message = InboundRequest(
                method="POST",
                url=self._receiver.url(slug),
                headers=EnvironHeaders(environ),
                body=body,
                received_at=self._receiver.clock.now(),
                remote_addr=environ.get("REMOTE_ADDR", ""),
            )
            reply = self._receiver.take(source, message)
        except OutriggerError as error:
            environ[REFUSAL] = error
            return self._app(environ, start_response)
        headers = [
            ("Content-Type", reply.content_type),
            ("Content-Length", str(len(reply.body))),
            ("X-Content-Type-Options", "nosniff"),
            *(reply.headers or {}).items(),
        ]
        start_response(_STATUS.get(reply.status) or f"{reply.status} ANSWERED", headers)
        return [reply.body]

    def _ordinary(self, environ: dict[str, Any]) -> int:
        """Return the length of the body when this is an ordinary webhook request, else -1."""
        path: str = environ["PATH_INFO"]
        if not path.startswith(PREFIX) or environ["REQUEST_METHOD"] != "POST" or "/" in path[len(PREFIX) :]:
            return -1
        if environ.get("QUERY_STRING") or "HTTP_TRANSFER_ENCODING" in environ or "HTTP_CONTENT_ENCODING" in environ:
            return -1
        if environ.get("CONTENT_TYPE") not in (None, "", "application/json"):
            return -1
        length: str = environ.get("CONTENT_LENGTH") or ""
        return int(length) if length.isdecimal() and len(length) < 10 and int(length) <= self._max_body else -1
