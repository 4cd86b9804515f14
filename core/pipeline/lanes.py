"""Which lanes have work for a fleet: a mark for each, so that its message is published once and not once per event.

A mark is set after the events are committed. Who comes works at every lane that nobody else works at, since a batch of
many lanes costs little more than one of a single lane, and leaves the marks standing meanwhile, so that lanes which get
more work need no more messages. When nothing is left all marks are taken away, and then the lanes are looked at once
more: whatever was committed before a mark that stood there is seen now, and whatever came later sets a new one. The
messages of the others find no mark and end at once. Marks are only wake-ups: one that is lost costs a second, since
`left_behind` looks into the tables themselves; a message lost behind a mark that stands costs FORGOTTEN as well.
Each of these functions is one statement, for a connection on which it is a transaction of its own: a process that is
stopped in between must not hold the others up.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from core.model.instants import to_micros
from core.model.outcomes import CLAIMABLE_DELIVERY, EventStatus

LEFT_BEHIND = timedelta(seconds=1)
"""How long an event may wait before its lane counts as left behind."""

FORGOTTEN = timedelta(seconds=5)
"""How old a mark may grow before its message counts as lost."""

EVER = 2**62
"""A time, in microseconds, before which everything was."""

LOOKED_AT = 2000
"""How many of the oldest events, and of the longest due deliveries, one look goes through."""

_CLAIMABLE = ", ".join(f"'{status}'" for status in sorted(CLAIMABLE_DELIVERY))

# Marks need not be on the disk before anyone goes on: one that a crash loses is found missing by the scan.
_SOON = "(SELECT set_config('synchronous_commit', 'off', true)) AS soon"
# In the order of their numbers, so that two who mark the same lanes never wait for each other in a circle. A mark that
# stands is not touched: one that was locked here would be passed over by who takes marks away, and stand for nobody.
_MARK = f"""
INSERT INTO dirty_lanes (lane, marked_at) SELECT lane, %s FROM unnest(%s::int[]) AS lane, {_SOON} ORDER BY lane
ON CONFLICT (lane) DO NOTHING RETURNING lane
"""
_RENEW = f"""
UPDATE dirty_lanes SET marked_at = %s FROM {_SOON} WHERE lane IN (
    SELECT lane FROM dirty_lanes WHERE lane = ANY(%s::int[]) AND marked_at NOT BETWEEN %s AND %s FOR UPDATE SKIP LOCKED
) RETURNING lane
"""
# A mark that somebody else is setting or taking away at this moment is theirs, and nobody waits for them.
_CLEAN = f"""
DELETE FROM dirty_lanes USING {_SOON} WHERE lane IN (SELECT lane FROM dirty_lanes FOR UPDATE SKIP LOCKED) RETURNING lane
"""
_LEFT_BEHIND = f"""
SELECT DISTINCT lane FROM (
    (SELECT lane FROM events WHERE status = '{EventStatus.ACCEPTED}' AND accepted_at <= %s
     ORDER BY seq LIMIT {LOOKED_AT})
    UNION ALL
    (SELECT lane FROM deliveries WHERE status IN ({_CLAIMABLE}) AND due_at <= %s
     ORDER BY due_at, event_seq LIMIT {LOOKED_AT})
) AS waiting ORDER BY lane
"""


def mark(connection: Connection, lanes: Iterable[int], now: datetime) -> list[int]:
    """Mark lanes that have work; return those that had no mark, whose message is to be published."""
    wanted = sorted(set(lanes))
    if not wanted:
        return []
    return sorted(int(row[0]) for row in connection.exec_driver_sql(_MARK, (to_micros(now), wanted)))


def renew(connection: Connection, lanes: Iterable[int], now: datetime) -> list[int]:
    """Return those of `lanes` whose mark has stood too long, so that their message counts as lost; it stands anew.

    So does a mark of a time to come: whoever set it has a clock that is ahead, and how long it stands nobody knows.
    """
    wanted = sorted(set(lanes))
    if not wanted:
        return []
    rows = connection.exec_driver_sql(_RENEW, (to_micros(now), wanted, to_micros(now - FORGOTTEN) + 1, to_micros(now)))
    return sorted(int(row[0]) for row in rows)


def clean(connection: Connection) -> set[int]:
    """Take all marks away, before the lanes are looked at once more; return whose they were."""
    return {int(row[0]) for row in connection.exec_driver_sql(_CLEAN)}


def is_marked(connection: Connection, lane: int) -> bool:
    """Whether nobody has come for a lane since it was marked."""
    return connection.exec_driver_sql("SELECT 1 FROM dirty_lanes WHERE lane = %s", (lane,)).first() is not None


def left_behind(connection: Connection, now: datetime, *, after: timedelta | None = LEFT_BEHIND) -> list[int]:
    """Return lanes with events that wait for longer than `after`, or with due deliveries.

    Without `after` every event counts, be it of a machine whose clock is ahead of this one's.
    """
    latest = EVER if after is None else to_micros(now - after)
    rows = connection.exec_driver_sql(_LEFT_BEHIND, (latest, to_micros(now)))
    return [int(row[0]) for row in rows]
