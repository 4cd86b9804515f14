"""`POST /webhooks/<source>`: reads the raw body, has the adapter verify and map it, stores, answers."""

from __future__ import annotations

from flask import Blueprint, Request, Response, g, request
from werkzeug.exceptions import ClientDisconnected, MethodNotAllowed, RequestEntityTooLarge

from core.model.errors import (
    BodyTooLarge,
    OutriggerError,
    UnreadableBody,
    UnsupportedMediaType,
)
from core.time.clock import Clock
from webhooks.adapter import Adapter, InboundRequest, Reply
from webhooks.door import put_door, refused_at_door
from webhooks.receiving import Accept, BoundSource, Receiver, Resolve, Sources

RETRY_AFTER_S = 5


def blueprint(
    *,
    sources: Sources,
    accept: Accept,
    secrets: Resolve,
    clock: Clock,
    public_url: str,
    max_body: int = 1_048_576,
) -> Blueprint:
    """Build the blueprint. `accept` returns when the items are durable; nothing is acknowledged before.

    Refusals are raised as OutriggerError for the application to render, unless the adapter shapes them. An app that
    registers it also gets the short door in front of its views.
    """
    pages = Blueprint("webhooks", __name__)
    receiver = Receiver(sources=sources, accept=accept, secrets=secrets, clock=clock, public_url=public_url)
    pages.record_once(lambda state: put_door(state.app, receiver, max_body))

    def inbound(slug: str, incoming: Request, body: bytes) -> InboundRequest:
        query = incoming.query_string.decode("latin-1")
        return InboundRequest(
            method=incoming.method,
            url=receiver.url(slug, query),
            headers=incoming.headers,
            body=body,
            received_at=clock.now(),
            query=incoming.args if query else {},
            remote_addr=incoming.remote_addr or "",
        )

    def bind(slug: str) -> BoundSource:
        try:
            return receiver.bind(slug)
        except OutriggerError as error:
            g.webhook_refusal = error
            raise

    @pages.route("/webhooks/<source>", methods=["POST"], provide_automatic_options=False)
    def receive(source: str) -> Response:
        """Take one request of a CRM."""
        bound = bind(source)
        incoming = current_request()
        try:
            refused_at_door(incoming.environ)
            check_media_type(incoming, bound.adapter)
            answer = receiver.take(bound, inbound(source, incoming, read_body(incoming, max_body)))
        except OutriggerError as error:
            answer = shaped(bound.adapter, error)
        return respond(answer)

    @pages.route(
        "/webhooks/<source>", methods=["GET", "OPTIONS", "PUT", "PATCH", "DELETE"], provide_automatic_options=False
    )
    def greet(source: str) -> Response:
        """Answer a sender that checks the address before it uses it; refuse what no sender does."""
        bound = bind(source)
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            raise MethodNotAllowed(valid_methods=methods_of(bound.adapter))
        message = inbound(source, current_request(), b"")
        try:
            answer = bound.adapter.handshake(message, bound.secrets(message.received_at))
        except OutriggerError as error:
            answer = shaped(bound.adapter, error)
        if answer is None:
            raise MethodNotAllowed(valid_methods=methods_of(bound.adapter))
        return respond(answer)

    @pages.after_request
    def say_when_to_retry(response: Response) -> Response:
        """Tell every sender that was put off when to come back."""
        if response.status_code == 503:
            response.headers.setdefault("Retry-After", str(RETRY_AFTER_S))
        return response

    return pages


def current_request() -> Request:
    """Return the request itself; asking the proxy for each attribute costs more than the signature does."""
    incoming: Request = request._get_current_object()  # type: ignore[attr-defined]
    return incoming


def methods_of(adapter: Adapter) -> list[str]:
    """Return the methods that a source's address knows: a sender without a handshake only posts."""
    has_handshake = type(adapter).handshake is not Adapter.handshake
    return ["GET", "HEAD", "OPTIONS", "POST"] if has_handshake else ["POST"]


def shaped(adapter: Adapter, error: OutriggerError) -> Reply:
    """Return the adapter's own answer to an error, or raise the error with the status the adapter picks.

    The refusal is noted for whoever writes down what was refused, since an answer of the adapter's own hides it.
    """
    g.webhook_refusal = error
    answer = adapter.refuse(error)
    if isinstance(answer, Reply):
        return answer
    error.http_status = answer
    raise error


def respond(reply: Reply) -> Response:
    """Turn a reply into a response."""
    response = Response(reply.body, reply.status, content_type=reply.content_type)
    if reply.headers:
        response.headers.update(reply.headers)
    return response


def read_body(incoming: Request, limit: int) -> bytes:
    """Read the raw body. Raises BodyTooLarge before more than `limit` bytes are read, however framed."""
    if (incoming.content_length or 0) > limit:
        raise BodyTooLarge(f"The body is larger than {limit} bytes.")
    # A body of unknown length is cut at the maximum without a word, so one byte more is read than is allowed.
    incoming.max_content_length = limit + 1
    try:
        body = incoming.get_data(cache=False)
    except RequestEntityTooLarge:
        raise BodyTooLarge(f"The body is larger than {limit} bytes.") from None
    except ClientDisconnected:
        raise UnreadableBody("The body ended before its announced length.") from None
    if len(body) > limit:
        raise BodyTooLarge(f"The body is larger than {limit} bytes.")
    return body


def check_media_type(incoming: Request, adapter: Adapter) -> None:
    """Refuse a compressed body, and a media type that is not JSON where the adapter wants JSON."""
    encoding = incoming.headers.get("Content-Encoding")
    if encoding and encoding.strip().lower() != "identity":
        raise UnsupportedMediaType("The body is compressed; send it as it is, without Content-Encoding.")
    content_type = incoming.headers.get("Content-Type")
    if not adapter.json_only or not content_type or content_type == "application/json":
        return
    media_type = incoming.mimetype
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise UnsupportedMediaType(f'This source takes application/json, not "{media_type[:80]}".')
    charset = incoming.mimetype_params.get("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedMediaType(f'JSON is UTF-8; "{charset[:40]}" is not read.')
