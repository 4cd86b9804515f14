"""The configuration version that stands: nobody can make a newer one until the transaction that asked has ended."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from core.store.tables import config_versions
from core.store.together import Question, ask_together

_NEWEST = Question(f"SELECT coalesce(max(number), 0) FROM {config_versions.name}")
_NO_NEWER = Question(f"LOCK TABLE {config_versions.name} IN SHARE MODE")


def standing_version(connection: Connection) -> int:
    """Return the number of the newest version, 0 when there is none, inside the caller's write transaction.

    On PostgreSQL a change that is being committed is waited for, or waits itself until this transaction ends.
    """
    # On SQLite a write transaction is alone anyway.
    is_alone = connection.dialect.name == "sqlite"
    *_, [(number,)] = ask_together(connection, [_NEWEST] if is_alone else [_NO_NEWER, _NEWEST])
    return int(number)
