"""The work every peer does: one durable event, its record's snapshot, and three decisions with their deliveries."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from tests.load.wire import SECRET

POOL = 8
HANDLERS = ("first", "second", "third")
_KEY = base64.b64decode(SECRET.removeprefix("whsec_"))


class Base(DeclarativeBase):
    """The peers' tables; no more columns than the work needs."""


class Event(Base):
    """One webhook."""

    __tablename__ = "events"
    id: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str]
    record_id: Mapped[str]
    data: Mapped[str]
    status: Mapped[str]
    accepted_at: Mapped[datetime] = mapped_column(sa.DateTime(timezone=True))


class Record(Base):
    """What is known of a record."""

    __tablename__ = "records"
    id: Mapped[str] = mapped_column(primary_key=True)
    snapshot: Mapped[str]
    updated_at: Mapped[datetime] = mapped_column(sa.DateTime(timezone=True))


class Decision(Base):
    """What one handler decided, and that it was done."""

    __tablename__ = "decisions"
    event_id: Mapped[str] = mapped_column(primary_key=True)
    handler: Mapped[str] = mapped_column(primary_key=True)
    outcome: Mapped[str]
    inputs: Mapped[str]
    decided_at: Mapped[datetime] = mapped_column(sa.DateTime(timezone=True))


class Delivery(Base):
    """That a handler got an event."""

    __tablename__ = "deliveries"
    event_id: Mapped[str] = mapped_column(primary_key=True)
    handler: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str]
    finished_at: Mapped[datetime] = mapped_column(sa.DateTime(timezone=True))


def engine() -> sa.Engine:
    """Open the database the peer was told of; SQLite with its log and full sync, as ours."""
    url = os.environ["PEER_DATABASE_URL"]
    if not url.startswith("sqlite"):
        return sa.create_engine(url, pool_size=POOL)
    made = sa.create_engine(url, connect_args={"timeout": 30})

    @sa.event.listens_for(made, "connect")
    def _durable(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")

    return made


def is_signed(headers: Any, body: bytes) -> bool:
    """Whether a request carries a Standard Webhooks signature by our secret."""
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(_KEY, content, hashlib.sha256)).decode()
    return hmac.compare_digest(f"v1,{expected}", headers["webhook-signature"])


def keep(session: Session, identity: str, body: bytes) -> bool:
    """Store the webhook; return whether it is new."""
    told = json.loads(body)
    if session.get(Event, identity) is not None:
        return False
    session.add(
        Event(
            id=identity, type=told["type"], record_id=told["data"]["id"], data=json.dumps(told["data"]),
            status="accepted", accepted_at=datetime.now(UTC),
        )
    )  # fmt: skip
    session.commit()
    return True


def merge(session: Session, event: Event) -> None:
    """Lay what the event says over what is known of its record."""
    record = session.get(Record, event.record_id)
    known = json.loads(record.snapshot) if record is not None else {}
    snapshot = json.dumps({**known, **json.loads(event.data)})
    session.merge(Record(id=event.record_id, snapshot=snapshot, updated_at=datetime.now(UTC)))
    event.status = "dispatched"


def decide(session: Session, event: Event, handler: str) -> None:
    """Do one handler's work, once."""
    if session.get(Delivery, (event.id, handler)) is not None:
        return
    now = datetime.now(UTC)
    inputs = json.dumps({"record": event.record_id, "type": event.type})
    session.add(Decision(event_id=event.id, handler=handler, outcome="seen", inputs=inputs, decided_at=now))
    session.add(Delivery(event_id=event.id, handler=handler, status="completed", finished_at=now))
