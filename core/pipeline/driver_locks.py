"""Who may work on a lane: a share of the lanes by lease on SQLite, locks of the transaction on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import OutriggerError
from core.store.database import Database
from core.store.tables import leases
from core.store.together import Question

LANE_LOCKS = "hashtext('outrigger lanes of ' || current_schema())"
"""SQL for the class of advisory locks that belong to lanes. PostgreSQL shares such locks among all schemas of a
database, so the schema is part of the class: two installations in one database do not wait for each other."""

_EPOCH = sa.select(leases.c.epoch).where(leases.c.name == sa.bindparam("share"))


class Fenced(OutriggerError):
    """Another worker took this worker's place; what it decided was not written."""

    code = "worker.fenced"


@dataclass(frozen=True, slots=True)
class Share:
    """This worker's share of the lanes: those whose number leaves `index` when divided by `of`."""

    index: int = 0
    of: int = 1

    @property
    def name(self) -> str:
        """The name of the lease for this share."""
        return f"worker-{self.index}-of-{self.of}"

    def condition(self, column: str = "lane") -> str:
        """Return the SQL condition that picks the share's lanes."""
        # Without the sign for a remainder, which drivers take for a placeholder.
        return f"{column} - {column} / {self.of} * {self.of} = {self.index}" if self.of > 1 else "1 = 1"


EVERYTHING = Share()
"""The share of a worker that is alone."""


def take_lease(database: Database, share: Share, holder: str, now: datetime) -> int:
    """Take the share's lease and return its epoch; whoever held it before can no longer write."""
    with database.write() as connection:
        row = connection.execute(_EPOCH, {"share": share.name}).first()
        epoch = 1 if row is None else int(row.epoch) + 1
        values = {"epoch": epoch, "holder": holder, "taken_at": now}
        if row is None:
            connection.execute(sa.insert(leases).values(name=share.name, **values))
        else:
            connection.execute(sa.update(leases).where(leases.c.name == share.name).values(**values))
        return epoch


def check_lease(connection: Connection, share: Share, epoch: int) -> None:
    """Raise Fenced when the lease was taken by another worker meanwhile."""
    row = connection.execute(_EPOCH, {"share": share.name}).first()
    if row is None or row.epoch != epoch:
        raise Fenced(f"The lease {share.name} went to another worker.")


def wait_for_lane(connection: Connection, lane: int) -> None:
    """On PostgreSQL: wait until no worker works at `lane`, and keep it until the transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LANE_LOCKS}, %s)", (lane,))


def lock_lanes(connection: Connection, lanes: Sequence[int]) -> set[int]:
    """On PostgreSQL: lock those of `lanes` that nobody works at, until the transaction ends; return them."""
    if not lanes:
        return set()
    return {int(row[0]) for row in connection.exec_driver_sql(*lane_locks(lanes))}


def lane_locks(lanes: Sequence[int]) -> Question:
    """Return the question to PostgreSQL that locks those of `lanes` that nobody works at, and answers which."""
    return Question(
        f"SELECT lane FROM unnest(%s::int[]) AS lane WHERE pg_try_advisory_xact_lock({LANE_LOCKS}, lane)",
        (sorted(set(lanes)),),
    )
