"""What receiving is, however the request came: bind its source, verify, map, store, shape the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from core.host.settings import SourceSettings
from core.model.errors import ConfigurationRefused, OutriggerError, UnknownSource, did_you_mean
from core.model.inbound import Accepted, InboundItem
from core.time.clock import Clock
from webhooks.adapter import ADAPTERS, Adapter, InboundRequest, Reply

FRESH = timedelta(seconds=10)
"""How long resolved secrets are kept; a rotated secret file counts after that time at the latest."""

Sources = Callable[[], Mapping[str, SourceSettings]]
Accept = Callable[[Sequence[InboundItem]], Accepted]
Resolve = Callable[[str], bytes]


class SourceMisconfigured(OutriggerError):
    """This source's configuration cannot be used; nothing was accepted. Send it again later."""

    code = "source.misconfigured"
    http_status = 503


class BoundSource:
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


class Receiver:
    """Receives for all configured sources; what it needs per source is built once per configuration version."""

    def __init__(self, *, sources: Sources, accept: Accept, secrets: Resolve, clock: Clock, public_url: str) -> None:
        self._sources = sources
        self._accept = accept
        self._resolve = secrets
        self.clock = clock
        self._base_url = public_url.rstrip("/")
        self._bound: dict[str, BoundSource] = {}

    def bind(self, slug: str) -> BoundSource:
        """Return the source of this name with its adapter. Raises UnknownSource or SourceMisconfigured."""
        configured = self._sources()
        settings = configured.get(slug)
        if settings is None:
            self._bound.pop(slug, None)
            refusal = UnknownSource(f'No source "{slug[:80]}" is configured.')
            # Whoever asks here is a stranger, so which names there are is for the log alone.
            refusal.add_note(did_you_mean(slug[:80], configured).strip())
            raise refusal
        known = self._bound.get(slug)
        if known is None or (known.settings is not settings and known.settings != settings):
            known = self._bound[slug] = BoundSource(settings, self._resolve)
        return known

    def url(self, slug: str, query: str = "") -> str:
        """Return the public URL a sender of this source posts to."""
        return f"{self._base_url}/webhooks/{slug}" + (f"?{query}" if query else "")

    def take(self, source: BoundSource, message: InboundRequest) -> Reply:
        """Verify, map and store one POST request. Raises OutriggerError; nothing is answered before it is durable."""
        adapter = source.adapter
        live = source.secrets(message.received_at)
        answer = adapter.handshake(message, live) if adapter.shakes_by_post else None
        if answer is not None:
            return answer
        items = adapter.items(adapter.verify(message, live), message)
        accepted = self._accept(items) if items else Accepted(event_ids=())
        return adapter.reply(accepted, message, live)
