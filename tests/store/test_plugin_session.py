"""A plugin's session: reads now, keeps writes, sees what its batch decided before, touches its own tables alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from core.model.errors import EffectRefused
from core.store.database import Database
from core.store.plugin_session import BufferedSession, Overlay, lay_over
from core.store.row_writes import StaleRow, apply_writes


class Base(DeclarativeBase):
    pass


class Pointer(Base):
    __tablename__ = "alpha_pointers"
    name: Mapped[str] = mapped_column(primary_key=True)
    place: Mapped[int] = mapped_column(default=0)
    note: Mapped[str | None]


class Pair(Base):
    __tablename__ = "alpha_pairs"
    one: Mapped[int] = mapped_column(primary_key=True)
    other: Mapped[int] = mapped_column(primary_key=True)


class Numbered(Base):
    __tablename__ = "alpha_numbered"
    id: Mapped[int] = mapped_column(sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True)
    text: Mapped[str]


class Foreign(Base):
    __tablename__ = "beta_rows"
    id: Mapped[int] = mapped_column(primary_key=True)


@pytest.fixture
def connection(database: Database) -> Iterator[sa.Connection]:
    with database.write() as opened:
        Base.metadata.create_all(opened)
        opened.execute(sa.insert(Pointer).values(name="east", place=3, note="华东"))
        yield opened


def session(connection: sa.Connection, overlay: Overlay | None = None) -> BufferedSession:
    return BufferedSession(connection, "alpha", overlay if overlay is not None else {})


def test_reading_sees_what_is_stored_and_no_buffered_write(connection: sa.Connection) -> None:
    mine = session(connection)
    mine.insert(Pointer, name="west", place=1)
    found = mine.get(Pointer, "east")
    assert found is not None and (found.place, found.note) == (3, "华东")
    assert mine.get(Pointer, "west") is None and mine.get(Pointer, {"name": "nowhere"}) is None
    assert mine.scalars(sa.select(Pointer.name)) == ["east"]
    assert [tuple(row) for row in mine.rows(sa.select(Pointer.name, Pointer.place))] == [("east", 3)]
    mine.close()


def test_writes_are_made_when_they_are_applied_and_not_before(connection: sa.Connection) -> None:
    mine = session(connection)
    mine.insert(Pointer, name="west", place=1)
    mine.upsert(Pointer, name="east", place=4)
    mine.upsert(Pointer, name="north", place=9)
    mine.update(Pointer, "east", {"note": "改"}, expected={"place": 4})
    mine.delete(Pointer, "north")
    mine.delete(Pointer, "never there")
    mine.insert(Numbered, text="一")
    mine.insert(Pair, one=1, other=2)
    apply_writes(connection, mine.tables, mine.writes)
    kept = {row.name: (row.place, row.note) for row in connection.execute(sa.select(Pointer))}
    assert kept == {"east": (4, "改"), "west": (1, None)}
    assert connection.execute(sa.select(Numbered.text)).scalars().all() == ["一"]


def test_an_update_that_no_longer_holds_is_stale(connection: sa.Connection) -> None:
    for update in ({"key": "east", "expected": {"place": 99}}, {"key": "gone", "expected": None}):
        mine = session(connection)
        mine.update(Pointer, update["key"], {"place": 1}, expected=update["expected"])  # type: ignore[arg-type]
        with pytest.raises(StaleRow, match="alpha_pointers"), connection.begin_nested():
            apply_writes(connection, mine.tables, mine.writes)


def test_a_later_delivery_of_the_batch_sees_what_an_earlier_one_decided(connection: sa.Connection) -> None:
    overlay: Overlay = {}
    first = session(connection, overlay)
    first.update(Pointer, "east", {"place": 4}, expected={"place": 3})
    first.insert(Pointer, name="west", place=1)
    first.insert(Numbered, text="the database will choose the key")
    lay_over(overlay, first.writes)
    second = session(connection, overlay)
    east, west = second.get(Pointer, "east"), second.get(Pointer, "west")
    assert east is not None and (east.place, east.note) == (4, "华东")
    assert west is not None and west.place == 1
    second.delete(Pointer, "west")
    lay_over(overlay, second.writes)
    third = session(connection, overlay)
    assert third.get(Pointer, "west") is None
    third.upsert(Pointer, name="west", place=7)
    lay_over(overlay, third.writes)
    again = session(connection, overlay).get(Pointer, "west")
    assert again is not None and again.place == 7
    for writer in (first, second, third):
        apply_writes(connection, writer.tables, writer.writes)
    assert dict(connection.execute(sa.select(Pointer.name, Pointer.place)).fetchall()) == {"east": 4, "west": 7}  # type: ignore[arg-type]


def test_a_key_of_two_columns_is_named_by_a_tuple_or_a_mapping(connection: sa.Connection) -> None:
    connection.execute(sa.insert(Pair).values(one=1, other=2))
    for key in ((1, 2), {"other": 2, "one": 1}):
        found = session(connection).get(Pair, key)
        assert found is not None and (found.one, found.other) == (1, 2)
    with pytest.raises(EffectRefused, match=r"primary key of alpha_pairs is \(one, other\)"):
        session(connection).get(Pair, 1)


def test_a_call_of_another_session_names_those_there_are(connection: sa.Connection) -> None:
    with pytest.raises(AttributeError, match=r"no add\(\); it has get, scalars, rows, insert"):
        session(connection).add(Pointer(name="east"))


@pytest.mark.parametrize(
    ("deed", "said"),
    [
        (lambda mine: mine.get(Foreign, 1), 'may only touch tables named "alpha_…", not "beta_rows"'),
        (lambda mine: mine.insert(Foreign, id=1), "may only touch tables"),
        (lambda mine: mine.insert(Pointer, nam="x"), "has no column nam"),
        (lambda mine: mine.update(Pointer, "east", {"place": 1}, expected={"plase": 1}), "has no column plase"),
        (lambda mine: mine.upsert(Pointer, place=1), "needs its whole primary key; missing: name"),
        (lambda mine: mine.scalars(sa.delete(Pointer)), "reads with SELECT"),
        (lambda mine: mine.rows(sa.insert(Pointer)), "reads with SELECT"),
        (lambda mine: mine.scalars(sa.text("DELETE FROM alpha_pointers")), "reads with SELECT"),
    ],
)
def test_what_a_plugin_may_not_do_is_refused_with_a_letter(connection: sa.Connection, deed: Any, said: str) -> None:
    with pytest.raises(EffectRefused) as refused:
        deed(session(connection))
    assert said in refused.value.message
    assert connection.execute(sa.select(sa.func.count()).select_from(Pointer)).scalar_one() == 1


def test_a_read_that_fails_spoils_neither_the_reads_after_it_nor_the_transaction(connection: sa.Connection) -> None:
    connection.execute(sa.insert(Pointer).values(name="before", place=1))
    mine = session(connection)
    for _ in range(3):
        with pytest.raises(sa.exc.DBAPIError):
            mine.rows(sa.select(Foreign.id, sa.literal_column("no_such_column")))
        assert mine.scalars(sa.select(sa.func.count()).select_from(Pointer)) == [2]
    mine.close()
    mine.close()
    connection.execute(sa.insert(Pointer).values(name="after", place=1))
    assert connection.execute(sa.select(sa.func.count()).select_from(Pointer)).scalar_one() == 3


def test_it_says_which_database_it_reads(connection: sa.Connection) -> None:
    assert session(connection).dialect == connection.dialect.name
