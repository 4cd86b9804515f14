"""Who receives messages: how a target is reached, whether it is spared for a while, and how fast it takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from core.egress import http
from core.egress.channels import KINDS
from core.egress.sent import Outgoing, Sent
from core.egress.signing import signing_key
from core.host.settings import Configuration
from core.model.errors import OutriggerError, did_you_mean

FAILURES = 5
PAUSE = timedelta(seconds=30)
SLOW_S = 1.0
SIDE_BY_SIDE = 8
"""How many messages one healthy receiver gets at once."""


@dataclass(slots=True)
class Receiver:
    """What is known of a target: how it answered lately, and how many messages are on their way to it.

    After five failures in a row it gets nothing for half a minute, then one message to see. One that fails or is slow
    gets one message at a time, so that it cannot take the places that the others need.
    """

    failures: int = 0
    is_slow: bool = False
    paused_until: datetime | None = None
    spared_until: datetime | None = None
    in_flight: int = 0

    def room(self, now: datetime) -> int:
        """Return how many more messages may go to it now."""
        if any(until is not None and now < until for until in (self.paused_until, self.spared_until)):
            return 0
        return max((1 if self.failures or self.is_slow else SIDE_BY_SIDE) - self.in_flight, 0)

    def spare(self, seconds: float, now: datetime) -> None:
        """Send it nothing for so long, since it asked for that; what was on its way meanwhile does not change it."""
        until = now + timedelta(seconds=seconds)
        self.spared_until = until if self.spared_until is None else max(until, self.spared_until)

    def note(self, is_ok: bool, took_s: float, now: datetime) -> None:
        """Count an attempt that ended."""
        self.is_slow = took_s > SLOW_S
        self.failures = 0 if is_ok else self.failures + 1
        self.paused_until = now + PAUSE if self.failures >= FAILURES else None


ON_THE_WAY = timedelta(seconds=1)
"""How much later than it began a message may be counted by its receiver."""


PARTS = 100
"""In how many parts of its time a rate is counted: what began in one part counts as begun with the latest of it."""


@dataclass(slots=True)
class Pace:
    """A channel's rate: at most `messages` in any stretch of `seconds`; what is beyond waits for its turn.

    It counts attempts, since receivers do. On SQLite one courier holds it, and one that starts knows from the outbox
    what was sent before it; on PostgreSQL it is what a courier last read of the count that all share.
    """

    messages: int
    seconds: float
    parts: dict[int, tuple[datetime, int]] = field(default_factory=dict)  # the latest of each part, and how many

    @classmethod
    def after(cls, rate: tuple[int, float], attempts: Iterable[tuple[datetime, int]]) -> Pace:
        """Return the pace of a rate after attempts of which these are the times and the numbers."""
        pace = cls(*rate)
        for at, count in attempts:
            pace.note(at, count)
        return pace

    @property
    def attempts(self) -> list[tuple[datetime, int]]:
        """When attempts began that may still count, and how many then."""
        return list(self.parts.values())

    def room(self, now: datetime) -> int:
        """Return how many more may go now."""
        # A receiver counts when a message arrives, a little later than it began: so its windows are kept apart.
        over = now - timedelta(seconds=self.seconds) - ON_THE_WAY
        self.parts = {part: noted for part, noted in self.parts.items() if noted[0] > over}
        return max(self.messages - sum(count for _, count in self.parts.values()), 0)

    def note(self, now: datetime, count: int = 1) -> None:
        """Count attempts that begin."""
        latest, so_far = self.parts.get(self._part(now), (now, 0))
        self.parts[self._part(now)] = max(latest, now), so_far + count

    def forget(self, began: datetime) -> None:
        """Count one no longer: the message turned out not to be sent at all."""
        latest, count = self.parts.pop(self._part(began), (began, 0))
        if count > 1:
            self.parts[self._part(began)] = latest, count - 1

    def _part(self, at: datetime) -> int:
        return int(at.timestamp() * PARTS / self.seconds)


Place = tuple[bool, str]
"""Where a message goes: whether by a channel, and the name; a channel may be called like a source."""


def place_of(row: Any) -> Place:
    """Return the place a message goes to."""
    return row.effect == "notify", row.target


Send = Callable[[Outgoing, datetime, Sequence[str]], Sent]
"""Sends a message at a time, to where the allowed networks let it go."""


@dataclass(frozen=True, slots=True)
class Address:
    """How a message is sent, or the reason why it cannot go anywhere."""

    send: Send | None = None
    missing: str = ""


def address_of(row: Any, configuration: Configuration) -> Address:
    """Find how a message is sent from its target: a source's write-back URL, an endpoint, or a channel."""
    try:
        if row.effect == "notify":
            return _channel(row.target, configuration)
        if row.effect == "update_record":
            source = configuration.sources.get(row.target)
            if source is None or not source.write_back_url:
                return Address(missing=f"the source {row.target} has no write_back_url")
            references = (source.write_back_secret,) if source.write_back_secret else source.secrets
            return _webhook(source.write_back_url, tuple(signing_key(item) for item in references[:2]))
        endpoint = configuration.endpoints.get(row.target)
        if endpoint is None:
            return Address(missing=f"no endpoint {row.target} is defined under [endpoints]")
        return _webhook(endpoint.url, (signing_key(endpoint.secret),) if endpoint.secret else ())
    except OutriggerError as error:
        return Address(missing=error.message)


def _webhook(url: str, keys: tuple[bytes, ...]) -> Address:
    def send(message: Outgoing, now: datetime, allow: Sequence[str]) -> Sent:
        return http.send(url, message.body.encode(), message_id=message.id, secrets=keys, now=now, allow=allow)

    return Address(send)


def _channel(slug: str, configuration: Configuration) -> Address:
    channel = configuration.channels.get(slug)
    if channel is None:
        near = did_you_mean(slug, configuration.channels)
        return Address(missing=f'no channel took it: "{slug}" is not under [channels]{near}')
    options, kind = channel.options, KINDS[channel.kind]
    return Address(lambda message, now, allow: kind.send(message, options, now, allow))
