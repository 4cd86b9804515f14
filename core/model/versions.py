"""What supersedes what: a sender's version or time as one sortable text."""

from __future__ import annotations

from datetime import datetime

from core.model.instants import to_micros


def version_key(version: int | str | datetime | None, occurred_at: datetime) -> str:
    """Return a text whose order is the order of versions.

    A number (or a text of digits) sorts as a number; a time sorts as an instant; other text sorts as text. With no
    version the time of the fact is the version. A source that sends numbers outranks its own messages without.
    """
    if isinstance(version, str) and version.isdecimal() and len(version) <= 20:
        version = int(version)
    if isinstance(version, bool) or version is None:
        return _time_key(occurred_at)
    if isinstance(version, datetime):
        return _time_key(version)
    if isinstance(version, int):
        return f"v{max(version, 0):020d}"
    return f"w{version[:200]}"


def _time_key(at: datetime) -> str:
    micros = to_micros(at)
    # Before 1970 the number is negative; counted from below, so that the text still sorts as the instant does.
    return f"t{micros:020d}" if micros >= 0 else f"t-{10**19 + micros:019d}"
