"""Turns a database's refusal into a letter: what it said, and what a person can do about it."""

from __future__ import annotations

import sqlalchemy as sa

_ADVICE = (
    ("file is not a database", "It is some other file; see whether OUTRIGGER_DATABASE_URL names the right one."),
    ("malformed", "The file is damaged; stop the server and bring back a backup."),
    ("unable to open", "See whether OUTRIGGER_DATABASE_URL names the right file, and whether its folder may be used."),
    ("readonly", "The file, its folder or its disk may not be written by this user."),
    ("disk is full", "Free space on its disk."),
    ("disk i/o", "Look at its disk and at the kernel's log."),
    ("authentication", "See the user and the password in OUTRIGGER_DATABASE_URL."),
    ("does not exist", "See the names in OUTRIGGER_DATABASE_URL; on a new installation make the database first."),
    ("connection", "Start the database, or set OUTRIGGER_DATABASE_URL to where it is."),
)
"""What a refusal says -> what to do. The first that fits counts."""


def refusal(error: sa.exc.DBAPIError) -> str:
    """Return the letter for a refusal. It names no path and no host, since senders of webhooks read it too."""
    said = first_line(error).rstrip(".")
    advice = next((text for part, text in _ADVICE if part in said.lower()), "")
    return f"The database refused: {said}. {advice}".rstrip()


def first_line(error: sa.exc.DBAPIError) -> str:
    """Return what the driver said, without the statement and without the links that SQLAlchemy adds."""
    text = str(error.orig).strip()
    return text.splitlines()[0] if text else type(error.orig).__name__
