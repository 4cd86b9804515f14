"""Two workers write the same rows of plugins at the same moment, each in the order of its own events."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import sqlalchemy as sa

from core.model.context import RowWrite
from core.store.database import Database
from core.store.row_writes import apply_writes
from tests.pipeline.somebody import somebody


def _table(name: str) -> sa.Table:
    return sa.Table(name, sa.MetaData(), sa.Column("id", sa.Text, primary_key=True), sa.Column("state", sa.Integer))


TABLES = {name: _table(name) for name in ("rotation_turns", "sla_rules")}


def _write(table: str, ident: str) -> RowWrite:
    return RowWrite("upsert", table, {"id": ident}, {"id": ident, "state": 1}, {})


def test_workers_that_write_the_same_rows_the_other_way_round_wait_in_no_circle(postgres_url: str) -> None:
    writes = [_write("sla_rules", "a"), _write("rotation_turns", "c"), _write("rotation_turns", "b")]
    with contextlib.closing(Database(postgres_url)) as database, somebody(postgres_url) as other:
        with database.write() as connection:
            for table in TABLES.values():
                table.create(connection)
            apply_writes(connection, TABLES, writes)

        def write(own: Database, wanted: Sequence[RowWrite], after_the_first: Callable[[], None]) -> None:
            with own.write() as connection:
                waiting = [after_the_first]
                sa.event.listen(connection, "after_cursor_execute", lambda *_: waiting and waiting.pop()())
                apply_writes(connection, TABLES, wanted)

        theirs = list(reversed(writes))
        write(database, writes, lambda: other.begins(lambda: write(other.database, theirs, lambda: None)))
        assert other.ends() is None
