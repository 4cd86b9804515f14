"""What an adapter is: it verifies one sender's requests, maps them to events and shapes the answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol, TypeVar

from core.host.settings import SourceSettings
from core.model import strict_json
from core.model.errors import ConfigurationRefused, ItemRejected, OutriggerError, UnreadableBody
from core.model.inbound import Accepted, InboundEvent, InboundItem, RejectedItem, body_digest
from core.model.instants import format_instant, from_micros, parse_instant
from core.model.schemas import canonical_json

MAX_ITEMS = 1_000
"""How many items one body may hold; the busiest known sender puts a hundred into one."""

FUTURE = timedelta(days=1)
"""How far ahead of the receiving a sender's time may lie; a local time read in a wrong zone is off by less."""

Fault = dict[str, str]
"""What is wrong with one option: its `path` below `options`, and a `message` to a person."""

FAILED = "The adapter failed on this item, which is a mistake in the adapter"

_NOT_READ: Any = object()


class Headers(Protocol):
    """Request headers, looked up without regard to case."""

    def get(self, key: str, /) -> str | None:
        """Return the header's value, or None when it was not sent."""
        ...


@dataclass(slots=True, kw_only=True)
class InboundRequest:
    """One request as its sender made it.

    `url` is the public one, from configuration: behind a proxy the server itself does not know it, and some
    senders sign it.
    """

    method: str
    url: str = field(repr=False)  # the query may hold a token, the headers and the body a secret
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)
    received_at: datetime
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    remote_addr: str = ""
    _document: Any = field(default=_NOT_READ, repr=False)

    def header(self, name: str) -> bytes:
        """Return a header as the bytes that came over the wire; empty when it was not sent."""
        value = self.headers.get(name)
        if value is None:
            return b""
        try:
            return value.encode("latin-1")
        except UnicodeEncodeError:
            return value.encode("utf-8", "surrogatepass")

    def url_bytes(self) -> bytes:
        """Return the public URL as bytes; the query is kept as it came over the wire."""
        try:
            return self.url.encode("latin-1")
        except UnicodeEncodeError:
            return self.url.encode("utf-8", "surrogatepass")

    def document(self, payload: bytes | None = None) -> Any:
        """Return the JSON value of the body, or of a payload decrypted from it. The body is parsed only once.

        Raises UnreadableBody.
        """
        if payload is not None and payload is not self.body:
            return strict_json.loads(payload)
        if self._document is _NOT_READ:
            self._document = strict_json.loads(self.body)
        return self._document


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to the sender."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class Verifier(Protocol):
    """Decides whether a request is authentic."""

    def verify(self, request: InboundRequest, secrets: Sequence[bytes]) -> bytes:
        """Return the payload, decrypted when it came encrypted. Raises SignatureRefused.

        Every secret is live: during a rotation the old one and the new one both count.
        """
        ...


class Adapter(ABC):
    """One sender's dialect. A subclass names its verifier and says how one item becomes an event."""

    verifier: Verifier
    json_only: ClassVar[bool] = True
    """Whether a body that names a media type must name a JSON one; a body that names none is always read."""
    kept_headers: ClassVar[tuple[str, ...]] = ()
    """Headers that `event` reads; they are kept with a rejected item. Never a signature or a token."""
    shakes_by_post: ClassVar[bool] = False
    """Whether `handshake` is asked about POST requests as well."""

    def __init__(self, source: SourceSettings) -> None:
        faults = self.check_options(source.options)
        if faults:
            raise ConfigurationRefused(f"The options of source {source.slug} have faults.", errors=faults)
        self.source = source

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> list[Fault]:
        """Return every fault of a source's options; an adapter that has options overrides this."""
        return [{"path": name, "message": "This adapter has no such option."} for name in options]

    @classmethod
    def wants_secret(cls, options: Mapping[str, Any]) -> bool:
        """Whether a source with these options needs a secret at all."""
        return True

    def verify(self, request: InboundRequest, secrets: Sequence[bytes]) -> bytes:
        """Return the authentic payload. Raises SignatureRefused."""
        return self.verifier.verify(request, secrets)

    @abstractmethod
    def event(self, item: Any, request: InboundRequest) -> InboundEvent:
        """Map one item. Raises ItemRejected when it does not map, which costs its batch nothing else."""

    def split(self, document: Any) -> list[Any]:
        """Return the items of a body: the whole body is one, unless an adapter knows better."""
        return [document]

    def without_secrets(self, document: Any) -> Any:
        """Return the document as it may be stored; for senders that put their secret inside it."""
        return document

    def items(self, payload: bytes, request: InboundRequest) -> list[InboundItem]:
        """Map a payload to events and rejected items, in the sender's order. Raises UnreadableBody."""
        sent = request.document(payload)
        document = self.without_secrets(sent)
        text = payload if document is sent else None
        try:
            parts = self.split(document)
        except ItemRejected as error:
            return [self._rejected(document, error, request, text)]
        if len(parts) > MAX_ITEMS:
            raise UnreadableBody(f"The body holds {len(parts)} items; at most {MAX_ITEMS} are read.")
        return [self.item(part, request, text if part is document else None) for part in parts]

    def item(
        self, part: Any, request: InboundRequest, payload: bytes | None = None, now: datetime | None = None
    ) -> InboundItem:
        """Map one item, or make it a RejectedItem with the reason; `payload` is its text where known.

        `now` is given where the item was received earlier and is mapped again.
        """
        try:
            event = self.event(part, request)
            check_times(event, now or request.received_at)
            return event
        except ItemRejected as error:
            return self._rejected(part, error, request, payload)
        except OutriggerError:
            raise
        except Exception as error:
            # A mistake in an adapter must neither lose the item nor cost its batch; kept, it can be replayed.
            reason = ItemRejected(f"{FAILED}: {type(error).__name__}: {str(error)[:200]}")
            return self._rejected(part, reason, request, payload)

    def remap(self, rejected: RejectedItem, received_at: datetime, now: datetime) -> InboundItem:
        """Map a rejected item again, after the mapping was mended.

        An item that says no time of its own happened when it was received: taken for newer than what came since, it
        would set its record back.
        """
        body = rejected.raw.encode()
        request = InboundRequest(
            method="POST", url="", headers=KeptHeaders(rejected.headers), body=body, received_at=received_at
        )
        return self.item(request.document(), request, body, now)

    def rejected_key(self, raw: str, request: InboundRequest) -> str:
        """Return the dedupe key of an item that did not map: by default a digest of its text."""
        return "raw:" + body_digest(raw.encode())

    def type_of(self, item: Any) -> str:
        """Return the type a rejected item claims to be of, for lists; empty when that cannot be told."""
        found = item.get("type") if isinstance(item, dict) else None
        return found[:80] if isinstance(found, str) else ""

    def reply(self, accepted: Accepted, request: InboundRequest, secrets: Sequence[bytes]) -> Reply:
        """Answer when everything is durable: 202 with the event ids, 200 when nothing was new."""
        body: dict[str, Any] = {
            "event_ids": list(accepted.event_ids),
            "accepted": len(accepted.event_ids) - accepted.duplicates - accepted.rejected,
            "duplicates": accepted.duplicates,
            "rejected": accepted.rejected,
        }
        if accepted.conflicts:
            body["conflicts"] = accepted.conflicts
        return Reply(200 if accepted.all_duplicates else 202, canonical_json(body).encode())

    def refuse(self, error: OutriggerError) -> int | Reply:
        """Choose the status for an error (the one its sender retries on), or shape the whole answer."""
        return error.http_status

    def handshake(self, request: InboundRequest, secrets: Sequence[bytes]) -> Reply | None:
        """Answer a sender's GET or OPTIONS check of the address; None when this sender makes none."""
        return None

    def _rejected(self, part: Any, error: ItemRejected, request: InboundRequest, payload: bytes | None) -> RejectedItem:
        raw = payload.decode() if payload is not None else canonical_json(part)
        headers = {name: value for name in self.kept_headers if (value := request.headers.get(name)) is not None}
        return RejectedItem(
            source=self.source.slug,
            dedupe_key=self.rejected_key(raw, request),
            raw=raw,
            reason=error.message,
            errors=tuple(error.errors),
            body_hash=body_digest(raw.encode()),
            type=self.type_of(part),
            headers=headers,
        )


def check_times(event: InboundEvent, now: datetime) -> None:
    """Refuse a time from the far future, seen from `now`. Raises ItemRejected.

    What happened "next year" would supersede everything that really happens until then, and so freeze its record.
    """
    version = event.version
    if event.occurred_at - now <= FUTURE and (
        version[0] == "v"
        or (version[0] == "t" and int(version[1:]) <= (now.timestamp() + FUTURE.total_seconds()) * 1e6)
    ):
        return  # every ordinary event leaves here, after two cheap comparisons
    latest = now + FUTURE
    said, what = event.occurred_at, "It says that it happened at"
    if said <= latest:
        version_time = _time_of(version)
        if version_time is None or version_time <= latest:
            return
        said, what = version_time, "Its version is the time"
    raise ItemRejected(
        f"{what} {format_instant(said)}, which is more than a day ahead of this server's time"
        f" ({format_instant(now)}). Set the sender's clock or time zone right."
    )


def _time_of(version: str) -> datetime | None:
    """Return the time that a version key stands for; None for a number, a plain text and a time before 1970."""
    kind, rest = version[:1], version[1:]
    if kind == "t" and rest.isdecimal():
        return from_micros(int(rest))
    if kind == "w" and rest[:4].isdecimal():
        try:
            return parse_instant(rest)
        except ValueError:
            return None
    return None


class KeptHeaders:
    """The few headers kept with a rejected item, for mapping it again."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = {name.lower(): value for name, value in values.items()}

    def get(self, key: str, /) -> str | None:
        """Return the header's value, or None."""
        return self._values.get(key.lower())


AdapterClass = TypeVar("AdapterClass", bound=type[Adapter])

ADAPTERS: dict[str, type[Adapter]] = {}
"""The adapters by the name that a source in plugins.toml uses."""


def register_adapter(name: str) -> Callable[[AdapterClass], AdapterClass]:
    """Register an adapter under the name that plugins.toml uses."""

    def register(cls: AdapterClass) -> AdapterClass:
        ADAPTERS[name] = cls
        return cls

    return register
