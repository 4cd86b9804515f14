"""`POST /webhooks/<source>`: reads the raw body, has the adapter verify and map it, stores, answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from flask import Blueprint, Request, Response, request
from werkzeug.exceptions import ClientDisconnected, MethodNotAllowed, RequestEntityTooLarge

from core.host.settings import SourceSettings
from core.model.errors import (
    BodyTooLarge,
    ConfigurationRefused,
    OutriggerError,
    UnknownSource,
    UnreadableBody,
    UnsupportedMediaType,
    did_you_mean,
)
from core.model.inbound import Accepted, InboundItem
from core.time.clock import Clock
from webhooks.adapter import ADAPTERS, Adapter, InboundRequest, Reply

FRESH = timedelta(seconds=10)
"""How long resolved secrets are kept; a rotated secret file counts after that time at the latest."""
RETRY_AFTER_S = 5

Sources = Callable[[], Mapping[str, SourceSettings]]
Accept = Callable[[Sequence[InboundItem]], Accepted]
Resolve = Callable[[str], bytes]


class SourceMisconfigured(OutriggerError):
    """This source's configuration cannot be used; nothing was accepted. Send it again later."""

    code = "source.misconfigured"
    http_status = 503


class _Bound:
    """A source with its adapter built and its secrets resolved, once while its settings stay the same."""

    def __init__(self, settings: SourceSettings, resolve: Resolve) -> None:
        cls = ADAPTERS.get(settings.adapter)
        if cls is None:
            raise SourceMisconfigured(f'Source {settings.slug}: there is no adapter "{settings.adapter}".')
        try:
            self.adapter: Adapter = cls(settings)
        except ConfigurationRefused as error:
            raise SourceMisconfigured(error.message, errors=error.errors) from None
        self.settings = settings
        self._resolve = resolve
        self._kept: tuple[datetime, tuple[bytes, ...]] | None = None

    def secrets(self, now: datetime) -> tuple[bytes, ...]:
        """Return the live secrets, read again when they are older than FRESH."""
        if self._kept is None or not timedelta(0) <= now - self._kept[0] < FRESH:
            self._kept = (now, tuple(self._resolve(reference) for reference in self.settings.secrets))
        return self._kept[1]


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

    Refusals are raised as OutriggerError for the application to render, unless the adapter shapes them.
    """
    pages = Blueprint("webhooks", __name__)
    bound: dict[str, _Bound] = {}
    base_url = public_url.rstrip("/")

    def bind(slug: str) -> _Bound:
        configured = sources()
        settings = configured.get(slug)
        if settings is None:
            bound.pop(slug, None)
            raise UnknownSource(f'No source "{slug[:80]}" is configured.{did_you_mean(slug[:80], configured)}')
        known = bound.get(slug)
        if known is None or (known.settings is not settings and known.settings != settings):
            known = bound[slug] = _Bound(settings, secrets)
        return known

    def inbound(slug: str, incoming: Request, body: bytes, now: datetime) -> InboundRequest:
        query = incoming.query_string.decode("latin-1")
        return InboundRequest(
            method=incoming.method,
            url=f"{base_url}/webhooks/{slug}" + (f"?{query}" if query else ""),
            headers=incoming.headers,
            body=body,
            received_at=now,
            query=incoming.args if query else {},
            remote_addr=incoming.remote_addr or "",
        )

    @pages.route("/webhooks/<source>", methods=["POST"], provide_automatic_options=False)
    def receive(source: str) -> Response:
        """Take one request of a CRM."""
        source_bound = bind(source)
        adapter = source_bound.adapter
        incoming = current_request()
        try:
            check_media_type(incoming, adapter)
            now = clock.now()
            message = inbound(source, incoming, read_body(incoming, max_body), now)
            live = source_bound.secrets(now)
            answer = adapter.handshake(message, live) if adapter.shakes_by_post else None
            if answer is None:
                items = adapter.items(adapter.verify(message, live), message)
                accepted = accept(items) if items else Accepted(event_ids=())
                answer = adapter.reply(accepted, message, live)
        except OutriggerError as error:
            answer = shaped(adapter, error)
        return respond(answer)

    @pages.route("/webhooks/<source>", methods=["GET", "OPTIONS"], provide_automatic_options=False)
    def greet(source: str) -> Response:
        """Answer a sender that checks the address before it uses it."""
        source_bound = bind(source)
        now = clock.now()
        try:
            answer = source_bound.adapter.handshake(
                inbound(source, current_request(), b"", now), source_bound.secrets(now)
            )
        except OutriggerError as error:
            answer = shaped(source_bound.adapter, error)
        if answer is None:
            raise MethodNotAllowed(valid_methods=["POST"])
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


def shaped(adapter: Adapter, error: OutriggerError) -> Reply:
    """Return the adapter's own answer to an error, or raise the error with the status the adapter picks."""
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
