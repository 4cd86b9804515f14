"""Tells a database that is away or full from a statement that it refuses; only the first is worth waiting for."""

from __future__ import annotations

import sqlalchemy as sa

_SQLITE_ERROR = 1
"""SQLite's code for a statement that is wrong in itself: no such table, no such column, a broken expression."""

_STATEMENT_CLASSES = ("22", "23", "42", "54")
"""PostgreSQL's classes of errors that a statement or its values bring about; 54 is a value too large for an index."""


def is_storage_fault(error: BaseException | None) -> bool:
    """Whether the database could not serve at all (away, full, locked, cut off), so that trying later makes sense."""
    return storage_fault(error) is not None


def storage_fault(error: BaseException | None) -> sa.exc.DBAPIError | None:
    """Return the error by which the database said that it cannot serve, or None.

    What the error came from counts too: after a full disk SQLite has undone the whole transaction by itself, and all
    one hears of it is that the savepoint to return to is gone.
    """
    while error is not None:
        if isinstance(error, sa.exc.DBAPIError) and _cannot_serve(error):
            return error
        error = error.__cause__ or error.__context__
    return None


def _cannot_serve(error: sa.exc.DBAPIError) -> bool:
    if error.connection_invalidated:
        return True
    if not isinstance(error, (sa.exc.OperationalError, sa.exc.InterfaceError)):
        return False
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return state[:2] not in _STATEMENT_CLASSES
    if "sqlite" in type(error.orig).__module__:
        # A value that cannot be bound is an InterfaceError in one driver and a ProgrammingError in the other.
        code = getattr(error.orig, "sqlite_errorcode", None)
        return isinstance(error, sa.exc.OperationalError) and (code is None or code & 0xFF != _SQLITE_ERROR)
    return True
