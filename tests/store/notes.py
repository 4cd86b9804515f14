"""A table to write to, for tests of the database itself."""

from __future__ import annotations

import sqlalchemy as sa

from core.store.database import Database

notes = sa.Table("notes", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("who", sa.Text))


def note(connection: sa.Connection, who: str) -> None:
    """Write a line."""
    connection.execute(sa.insert(notes).values(who=who))


def written(database: Database) -> list[str]:
    """Return every line in the order of writing."""
    with database.read() as connection:
        return list(connection.scalars(sa.select(notes.c.who).order_by(notes.c.id)))


def with_notes(database: Database) -> Database:
    """Make the table."""
    with database.write() as connection:
        notes.create(connection)
    return database
