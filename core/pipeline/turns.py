"""Shares a channel's rate among all couriers of a PostgreSQL database: which attempts began lately is kept there.

The outbox itself cannot answer that: it says when a message was sent, and not when an attempt began that failed or is
still on its way; and what was sent lately may lie anywhere among millions of rows. So each channel with a rate has one
row of `leases`, named after it, whose `holder` is JSON: pairs of an instant in microseconds and a number of attempts.
Who claims messages of the channel reads and writes it in the claim's transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from core.model.instants import from_micros, to_micros
from core.store.tables import leases

RATE_LOCKS = "hashtext('outrigger rates of ' || current_schema())"
"""SQL for the class of the PostgreSQL advisory locks under which couriers count attempts, one lock for each channel."""


def is_our_turn(connection: Connection, channel: str) -> bool:
    """Whether no other courier claims messages of a channel just now; until this transaction ends none will.

    It does not wait: a courier that is stopped amid its claim must not hold up what others send elsewhere.
    """
    asked = f"SELECT pg_try_advisory_xact_lock({RATE_LOCKS}, hashtext(%s))"
    return bool(connection.exec_driver_sql(asked, (channel,)).scalar_one())


def read_attempts(connection: Connection, channel: str) -> list[tuple[datetime, int]]:
    """Return when attempts of any courier began, and how many then; only in our turn is that all of them."""
    kept = connection.execute(sa.select(leases.c.holder).where(leases.c.name == _name(channel))).scalar()
    return [(from_micros(at), count) for at, count in json.loads(kept or "[]")]


def keep_attempts(
    connection: Connection, channel: str, attempts: Iterable[tuple[datetime, int]], now: datetime
) -> None:
    """Write down when attempts began, for the next courier whose turn it is."""
    holder = json.dumps([(to_micros(at), count) for at, count in attempts], separators=(",", ":"))
    statement = insert(leases).values(name=_name(channel), epoch=0, holder=holder, taken_at=now)
    changed = {"holder": statement.excluded.holder, "taken_at": statement.excluded.taken_at}
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=changed))


def _name(channel: str) -> str:
    return f"rate of {channel}"
