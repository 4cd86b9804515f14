"""Messages on their way out: sent at least once under an id that never changes, retried, given up loudly."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from core.egress import http
from core.host.secrets import resolve_secret
from core.host.settings import Configuration
from core.model.errors import OutriggerError
from core.model.outcomes import OutboxStatus
from core.pipeline.backoff import outbox_delay
from core.store.database import Database
from core.store.tables import outbox
from core.time.clock import Clock

BREAKER_FAILURES = 5
BREAKER_PAUSE_S = 30.0

_RESULT = (
    sa.update(outbox)
    .where(outbox.c.seq == sa.bindparam("message"), sa.text("status IN ('available', 'retryable')"))
    .values(
        status=sa.bindparam("new_status"),
        attempts=sa.bindparam("tries"),
        due_at=sa.bindparam("due"),
        reason=sa.bindparam("why"),
        sent_at=sa.bindparam("at"),
    )
)


@dataclass(slots=True)
class Breaker:
    """Spares a receiver that is down: after five failures in a row nothing is sent to it for half a minute."""

    failures: int = 0
    open_until: float = 0.0

    def is_open(self) -> bool:
        """Whether messages to this target wait."""
        return time.monotonic() < self.open_until

    def note(self, is_ok: bool) -> None:
        """Count an attempt."""
        self.failures = 0 if is_ok else self.failures + 1
        if self.failures >= BREAKER_FAILURES:
            self.open_until = time.monotonic() + BREAKER_PAUSE_S
            self.failures = BREAKER_FAILURES - 1  # one probe after the pause decides


def signing_key(reference: str) -> bytes:
    """Return the key behind a secret reference; a `whsec_` secret is base64, anything else is used as it is."""
    secret = resolve_secret(reference)
    if secret.startswith(b"whsec_"):
        try:
            return base64.b64decode(secret[6:], validate=True)
        except binascii.Error:
            raise OutriggerError(f"The secret {reference} starts with whsec_ but is no base64 behind it.") from None
    return secret


@dataclass(frozen=True, slots=True)
class Address:
    """Where a message goes: a URL and the keys that sign, or the reason why it cannot go anywhere."""

    url: str = ""
    keys: tuple[bytes, ...] = ()
    missing: str = ""


def address_of(row: Any, configuration: Configuration) -> Address:
    """Find where a message goes from its target: a source's write-back URL or an endpoint."""
    try:
        if row.effect == "update_record":
            source = configuration.sources.get(row.target)
            if source is None or not source.write_back_url:
                return Address(missing=f"the source {row.target} has no write_back_url")
            references = (source.write_back_secret,) if source.write_back_secret else source.secrets
            return Address(source.write_back_url, tuple(signing_key(item) for item in references[:2]))
        endpoint = configuration.endpoints.get(row.target)
        if endpoint is None:
            return Address(missing=f"no endpoint {row.target} is defined under [endpoints]")
        return Address(endpoint.url, (signing_key(endpoint.secret),) if endpoint.secret else ())
    except OutriggerError as error:
        return Address(missing=error.message)


@dataclass(slots=True)
class Sender:
    """Claims due messages, sends them side by side, and writes down what happened."""

    database: Database
    clock: Clock
    configuration: Callable[[], Configuration]
    observe: Callable[[str, str], None] = lambda effect, result: None
    step: Callable[[str], None] = lambda name: None
    workers: int = 8
    _breakers: dict[str, Breaker] = field(default_factory=dict)
    _pool: ThreadPoolExecutor | None = None

    def send_due(self, limit: int = 64) -> int:
        """Send what is due; return how many messages were tried."""
        now = self.clock.now()
        configuration = self.configuration()
        if not self.database.is_sqlite:
            return self._send_locked(configuration, now, limit)
        with self.database.read() as connection:
            rows = connection.execute(self._due(now, limit)).fetchall()
        results = self._send_all(rows, configuration, now)
        if results:
            with self.database.write() as connection:
                connection.execute(_RESULT, results)
        return len(results)

    def _send_locked(self, configuration: Configuration, now: datetime, limit: int) -> int:
        # Several couriers may share a PostgreSQL; the row locks keep them from sending the same message at once.
        with self.database.write() as connection:
            rows = connection.execute(self._due(now, min(limit, 16)).with_for_update(skip_locked=True)).fetchall()
            results = self._send_all(rows, configuration, now)
            if results:
                connection.execute(_RESULT, results)
            return len(results)

    def _due(self, now: datetime, limit: int) -> sa.Select[Any]:
        statement = sa.select(outbox).where(
            sa.text("status IN ('available', 'retryable')"), outbox.c.due_at <= now, outbox.c.target != "inbox"
        )
        paused = [target for target, breaker in self._breakers.items() if breaker.is_open()]
        if paused:
            statement = statement.where(outbox.c.target.not_in(paused))
        return statement.order_by(outbox.c.due_at, outbox.c.seq).limit(limit)

    def _send_all(self, rows: Sequence[Any], configuration: Configuration, now: datetime) -> list[dict[str, Any]]:
        if not rows:
            return []
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="outbox")
        return list(self._pool.map(lambda row: self._send_one(row, configuration, now), rows))

    def _send_one(self, row: Any, configuration: Configuration, now: datetime) -> dict[str, Any]:
        address = address_of(row, configuration)
        if address.missing:
            self.observe(row.effect, "suppressed")
            return _result(row, OutboxStatus.SUPPRESSED, row.attempts, now, address.missing)
        sent = http.send(
            address.url,
            row.body.encode(),
            message_id=row.id,
            secrets=address.keys,
            now=self.clock.now(),
            allow=configuration.dispatch.egress_allow,
        )
        self.step("sent_not_recorded")
        self._breakers.setdefault(row.target, Breaker()).note(sent.is_ok)
        tries = row.attempts + 1
        if sent.is_ok:
            self.observe(row.effect, "sent")
            return _result(row, OutboxStatus.SENT, tries, now, None, at=now)
        delay = outbox_delay(tries, row.id)
        if sent.is_final or delay is None:
            self.observe(row.effect, "discarded")
            return _result(row, OutboxStatus.DISCARDED, tries, now, sent.reason)
        if sent.retry_after_s is not None:
            delay = max(delay, timedelta(seconds=sent.retry_after_s))
        self.observe(row.effect, "retryable")
        return _result(row, OutboxStatus.RETRYABLE, tries, now + delay, sent.reason)


def _result(
    row: Any, status: OutboxStatus, tries: int, due: datetime, why: str | None, at: datetime | None = None
) -> dict[str, Any]:
    return {"message": row.seq, "new_status": status.value, "tries": tries, "due": due, "why": why, "at": at}
