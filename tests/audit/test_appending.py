"""Rows are added one after another, together with the act or not at all, and nobody can change them afterwards."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa

from core.store.audit import CHUNK, Act, append, append_all, head, rows, verify
from core.store.database import Database
from core.store.migrate import migrate
from core.store.tables import audit
from tests.audit.trails import LENGTH, START, write_trail

CHANGES = {
    "UPDATE": "UPDATE audit SET actor = 'nobody' WHERE seq = 3",
    "DELETE": "DELETE FROM audit WHERE seq = 12",
    "TRUNCATE": "TRUNCATE audit",
    "REPLACE": "INSERT OR REPLACE INTO audit SELECT seq, at, 'nobody', action, subject, unit, details, previous, hash"
    " FROM audit WHERE seq = 12",
    "ON CONFLICT": "INSERT INTO audit SELECT * FROM audit WHERE seq = 3 ON CONFLICT (seq) DO UPDATE SET actor = 'x'",
}  # fmt: skip


def test_the_database_refuses_every_change_of_what_was_written(database: Database) -> None:
    write_trail(database)
    unknown = "TRUNCATE" if database.is_sqlite else "REPLACE"  # no statement of this database
    for name in CHANGES.keys() - {unknown}:
        with pytest.raises(sa.exc.IntegrityError, match="append-only"), database.write() as connection:
            connection.exec_driver_sql(CHANGES[name])
    with database.read() as connection:
        assert verify(connection).rows == LENGTH


def test_a_replace_by_hash_is_refused_too(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    migrate(database, [])
    write_trail(database)
    statement = (
        "INSERT OR REPLACE INTO audit SELECT 99, at, actor, action, subject, unit, details, previous, hash"
        " FROM audit WHERE seq = 3"
    )
    with pytest.raises(sa.exc.IntegrityError, match="REPLACE is refused"), database.write() as connection:
        connection.exec_driver_sql(statement)
    database.close()


def test_an_act_that_is_undone_leaves_no_row(database: Database) -> None:
    write_trail(database)
    with pytest.raises(RuntimeError), database.write() as connection:
        append(connection, actor="li", action="key.created", subject="key_1", now=START)
        raise RuntimeError("the act failed")
    with database.read() as connection:
        assert head(connection).seq == LENGTH
    write_trail(database, 1)
    with database.read() as connection:
        assert verify(connection).rows == LENGTH + 1


def test_many_acts_are_one_statement_and_the_same_chain_as_one_by_one(database: Database) -> None:
    acts = [Act("plugin.enabled", f"alloys/p{number}", "alloys", {"version": number}) for number in range(50)]
    inserts: list[str] = []
    with database.write() as connection:
        sa.event.listen(
            connection, "before_cursor_execute", lambda _c, _cursor, text, *_: inserts.append(text.split()[0])
        )
        assert append_all(connection, acts, actor="吴明 (api key)", now=START) == 50
        assert append_all(connection, [], actor="吴明 (api key)", now=START) == 50
    assert inserts.count("INSERT") == 1
    with database.read() as connection:
        together = list(rows(connection))
        assert verify(connection).ok
    with database.write() as connection:
        for act in acts:
            append(
                connection, actor="吴明 (api key)", action=act.action, subject=act.subject, unit=act.unit,
                details=act.details, now=START,
            )  # fmt: skip
    with database.read() as connection:
        one_by_one = list(rows(connection))[50:]
        assert verify(connection).ok
    same = ("action", "actor", "at", "details", "subject", "unit")
    assert [[row[name] for name in same] for row in together] == [[row[name] for name in same] for row in one_by_one]


def test_twenty_that_write_at_once_leave_one_chain(database: Database) -> None:
    ready, faults = threading.Barrier(20), []

    def work(number: int) -> None:
        ready.wait()
        try:
            for turn in range(3):
                with database.write() as connection:
                    append(connection, actor=f"w{number}", action="key.created", subject=f"key_{turn}", now=START)
                    append(connection, actor=f"w{number}", action="key.revoked", subject=f"key_{turn}", now=START)
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert faults == []
    with database.read() as connection:
        assert verify(connection).rows == 120
        found = [(row["actor"], row["action"]) for row in rows(connection)]
    # The two rows of a transaction stand together: nobody got in between.
    assert all(one[0] == two[0] for one, two in zip(found[::2], found[1::2], strict=True))


def test_two_installations_in_one_postgresql_do_not_wait_for_each_other(postgres_url: str) -> None:
    first = Database(postgres_url)
    migrate(first, [])
    schema = "other_" + str(sa.make_url(postgres_url).query["options"]).rpartition("=")[2]
    with first.write() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    second = Database(sa.make_url(postgres_url).update_query_dict({"options": f"-csearch_path={schema}"}))
    try:
        migrate(second, [])
        with first.write() as one:
            append(one, actor="li", action="key.created", subject="key_1", now=START)
            with second.write() as other:  # would wait for ever if the lock were shared
                other.exec_driver_sql("SET LOCAL lock_timeout = '2s'")
                append(other, actor="li", action="key.created", subject="key_1", now=START)
        for database in (first, second):
            with database.read() as connection:
                assert head(connection).seq == verify(connection).rows == 1
    finally:
        second.close()
        with first.write() as connection:
            connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
        first.close()


def test_a_long_trail_is_read_in_chunks_without_loss(database: Database) -> None:
    number = CHUNK + 1
    write_trail(database, number)
    with database.read() as connection:
        assert verify(connection).rows == number


def test_names_no_database_could_hold_are_written_as_something_it_can(database: Database) -> None:
    with database.write() as connection:
        append(
            connection, actor="a\x00b\ud800", action="key.created", subject="s" * 5000, unit="u",
            details={"name": "half \ud800 of a pair"}, now=START,
        )  # fmt: skip
    with database.read() as connection:
        row = connection.execute(sa.select(audit)).one()
        assert row.actor == "a\ufffdb?" and len(row.subject) == 300
        assert row.details == '{"name":"half ? of a pair"}'
        assert verify(connection).ok
