"""Whatever somebody with the database does to one row, `verify` finds it and names the first bad row."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings

from core.model.errors import InvalidRequest
from core.store.audit import append, head, rows, verify
from core.store.audit_chain import NOTHING, Head, canonical, check, parse_anchor
from core.store.database import Database
from core.store.migrate import migrate
from core.store.reading.audit import export_lines, read_lines
from tests.audit.trails import AT_THE_END, IN_THE_MIDDLE, LENGTH, START, TEXTS, Harm, Trail, opened_up, put, write_trail


@pytest.fixture
def trail(database: Database) -> Trail:
    write_trail(database)
    with database.read() as connection:
        return [dict(row) for row in rows(connection)]


def test_an_untouched_trail_holds_and_so_does_an_empty_one(database: Database) -> None:
    with database.read() as connection:
        assert verify(connection).ok and head(connection) == Head(0, NOTHING)
        assert verify(connection, anchor=head(connection)).ok
    write_trail(database)
    with database.read() as connection:
        for row in rows(connection):  # every row may serve as the anchor
            verdict = verify(connection, anchor=Head(row["seq"], row["hash"]))
            assert verdict.ok and verdict.rows == LENGTH and verdict.head == head(connection)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=250)
@given(harm=IN_THE_MIDDLE)
def test_a_row_harmed_in_the_database_is_named(database: Database, trail: Trail, harm: Harm) -> None:
    name, bad, harmed = harm[0], harm[1], harm[2](trail)
    assume(harmed != trail)
    anchor = Head(LENGTH, trail[-1]["hash"])
    with opened_up(database) as connection:
        put(connection, harmed)
        for verdict in (verify(connection), verify(connection, anchor=anchor)):
            assert verdict.fault is not None and verdict.fault.seq == bad, (name, verdict)
            assert str(bad) in verdict.fault.text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(harm=AT_THE_END)
def test_what_is_done_to_the_end_is_found_by_the_anchor(database: Database, trail: Trail, harm: Harm) -> None:
    name, bad, harmed = harm[0], harm[1], harm[2](trail)
    with opened_up(database) as connection:
        put(connection, harmed)
        assert verify(connection).ok, "a chain alone cannot know; this is why the anchor is kept elsewhere"
        verdict = verify(connection, anchor=Head(LENGTH, trail[-1]["hash"]))
        assert verdict.fault is not None and verdict.fault.seq == bad, (name, verdict)


@pytest.mark.parametrize("first", [1, 5, LENGTH])
def test_a_trail_written_anew_from_a_row_on_is_found_by_the_anchor(
    database: Database, trail: Trail, first: int
) -> None:
    with opened_up(database) as connection:
        connection.exec_driver_sql(f"DELETE FROM audit WHERE seq >= {first}")
        for row in trail[first - 1 :]:
            append(
                connection, actor="nobody", action=row["action"], subject=row["subject"], now=START
            )  # fmt: skip
        assert verify(connection).ok
        verdict = verify(connection, anchor=Head(LENGTH, trail[-1]["hash"]))
        assert verdict.fault is not None and (verdict.fault.seq, verdict.fault.kind) == (LENGTH, "anchor")


@pytest.mark.parametrize(
    "change",
    [
        "actor = CAST(x'ff41' AS TEXT)",  # text that is no UTF-8
        "actor = CAST(actor AS BLOB)",
        "at = 'yesterday'",
        "at = at + 0.2",
        "at = 9223372036854775807",
        "previous = x''",
    ],
)
def test_values_of_a_kind_no_row_holds_are_named_too(sqlite_url: str, change: str) -> None:
    database = Database(sqlite_url)
    migrate(database, [])
    write_trail(database)
    with opened_up(database) as connection:
        connection.exec_driver_sql(f"UPDATE audit SET {change} WHERE seq = 7")
        verdict = verify(connection)
        assert verdict.fault is not None and verdict.fault.seq == 7
        exported = [line.encode() for line in export_lines(connection)]
        assert len(exported) == LENGTH
        offline = check(read_lines(exported))
        assert offline.fault is not None and offline.fault.seq == 7
    database.close()


def lines_of(trail: Trail) -> list[bytes]:
    return [canonical(row).encode() for row in trail]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=250)
@given(harm=IN_THE_MIDDLE)
def test_an_export_harmed_in_the_file_is_named_alike(trail: Trail, harm: Harm) -> None:
    harmed = harm[2](trail)
    assume(harmed != trail)
    verdict = check(read_lines(lines_of(harmed)))
    assert verdict.fault is not None and verdict.fault.seq == harm[1], (harm[0], verdict)


@pytest.mark.parametrize(
    "line", [b"no JSON", b"[]", b"17", b'{"seq": "7"}', b'{"seq": 7, "seq": 7}', b"\xff", b'{"seq": true}']
)
def test_a_line_that_is_no_row_is_named(trail: Trail, line: bytes) -> None:
    lines = lines_of(trail)
    lines[6] = line
    verdict = check(read_lines(lines))
    assert verdict.fault is not None and verdict.fault.seq == 7 and verdict.rows == 6


def test_a_name_that_stands_twice_in_a_line_does_not_hide_what_was_hashed(trail: Trail) -> None:
    lines = lines_of(trail)
    lines[2] = b'{"actor":"somebody else",' + lines[2][1:]
    verdict = check(read_lines(lines))
    assert verdict.fault is not None and verdict.fault.seq == 3


@example(text="")
@example(text="7")
@example(text="7:" + "g" * 64)
@example(text="-1:" + "a" * 64)
@example(text="7:" + "a" * 63)
@example(text="٧:" + "a" * 64)
@given(text=TEXTS)
def test_what_is_no_anchor_is_refused_in_words(text: str) -> None:
    with pytest.raises(InvalidRequest, match="audit head"):
        parse_anchor(text)


def test_an_anchor_reads_as_it_was_printed() -> None:
    kept: Any = Head(12, "ab" * 32)
    assert parse_anchor(str(kept)) == kept == parse_anchor(f" {str(kept).upper()}\n")
