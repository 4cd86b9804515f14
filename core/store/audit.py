"""Writes the audit trail, one row for each thing that was done, inside the transaction that does it; and checks it.

How rows hang together is told in `audit_chain`. Personal values have no place in `details`: what is written here can
never be erased, so it holds ids, names of settings, and words from a fixed set.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import printable
from core.model.instants import format_instant, from_micros
from core.store.audit_chain import START, Head, Row, Verdict, canonical, check, digest
from core.store.tables import audit

CHUNK = 2_000
LONGEST_NAME = 300

_COLUMNS = ("action", "actor", "at", "details", "hash", "previous", "seq", "subject", "unit")
_LAST = sa.select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)
# Read as plain SQL: a value that was tampered with must come as it stands, not as an error of its column's type.
_CHUNK = f"SELECT {', '.join(_COLUMNS)} FROM audit WHERE seq > {{after:d}} ORDER BY seq LIMIT {CHUNK:d}"
_BEFORE_ALL = -(2**63)


def lock(connection: Connection) -> None:
    """Let only this transaction append until it ends, so that the chain cannot fork.

    Whoever appends does so as the last thing that could wait, or takes this lock before any row that another one who
    appends may hold; so two transactions never wait for each other. On SQLite there is one writer anyway.
    """
    if connection.dialect.name == "postgresql":
        # Advisory locks are shared by all schemas of a database; two installations do not wait for each other.
        connection.exec_driver_sql(
            "SELECT pg_advisory_xact_lock(hashtext('outrigger audit of ' || current_schema()), 0)"
        )


@dataclass(frozen=True, slots=True)
class Act:
    """What was done, for a row of its own.

    `action` is dotted, the thing first (`key.created`); `subject` names what it was done to (`dlv_12`); `unit` is
    None for what concerns every unit.
    """

    action: str
    subject: str
    unit: str | None = None
    details: Mapping[str, Any] | None = None


def append(
    connection: Connection,
    *,
    actor: str,
    action: str,
    subject: str,
    unit: str | None = None,
    details: Mapping[str, Any] | None = None,
    now: datetime,
) -> int:
    """Add a row inside the caller's write transaction and return its number; it is kept or lost with the act.

    The words are those of `Act`.
    """
    return append_all(connection, [Act(action, subject, unit, details)], actor=actor, now=now)


def append_all(connection: Connection, acts: Iterable[Act], *, actor: str, now: datetime) -> int:
    """Add a row for each act, in their order and by one statement, as `append` does; return the last row's number."""
    lock(connection)
    last, added = head(connection), []
    for act in acts:
        row: dict[str, Any] = {
            "seq": last.seq + 1,
            "at": format_instant(now),
            "actor": printable(actor, longest=LONGEST_NAME),
            "action": act.action,
            "subject": printable(act.subject, longest=LONGEST_NAME),
            "unit": act.unit,
            "details": canonical(dict(act.details or {})),
            "previous": last.hash,
        }
        last = Head(last.seq + 1, digest(row))
        added.append({**row, "at": now, "hash": last.hash})
    if added:
        connection.execute(sa.insert(audit), added)
    return last.seq


def head(connection: Connection) -> Head:
    """Return the number and the hash of the newest row; number 0 for an empty trail."""
    found = connection.execute(_LAST).first()
    return START if found is None else Head(found.seq, found.hash)


def rows(connection: Connection) -> Iterator[Row]:
    """Give out every row in its order, as it is exported; read in chunks, so that any length fits into memory."""
    after = _BEFORE_ALL
    while True:
        with _text_as_it_stands(connection):
            found = connection.exec_driver_sql(_CHUNK.format(after=after)).fetchall()
        for values in found:
            yield _row(values)
        if len(found) < CHUNK:
            return
        after = found[-1].seq


def verify(connection: Connection, *, anchor: Head | None = None) -> Verdict:
    """Check the whole chain; the first bad row is named, with what is wrong with it."""
    return check(rows(connection), anchor)


def _row(values: Sequence[Any]) -> Row:
    row = dict(zip(_COLUMNS, values, strict=True))
    with contextlib.suppress(OverflowError):  # a number that is no instant stays one; its hash cannot fit
        row["at"] = format_instant(from_micros(row["at"])) if type(row["at"]) is int else row["at"]
    return row


@contextlib.contextmanager
def _text_as_it_stands(connection: Connection) -> Iterator[None]:
    """On SQLite, have text that is not UTF-8 come as text too; the driver would fail without saying which row."""
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name != "sqlite":
        yield
        return
    before, driver.text_factory = driver.text_factory, lambda raw: raw.decode("utf-8", "surrogateescape")
    try:
        yield
    finally:
        driver.text_factory = before
