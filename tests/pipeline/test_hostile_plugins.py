"""Whatever one plugin raises, returns, reads or writes: the others and the other records go on."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import pytest
import sqlalchemy as sa

from core.model.effects import Decide, Notify, SendWebhook, StartTimer, UpdateRecord
from core.model.outcomes import Cancel, Snooze
from core.store import tables
from core.store.database import Database
from tests.pipeline.kit import Kit, plugin

rows = sa.Table(
    "bad_rows",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("text", sa.Text),
)
missing = sa.Table("bad_missing", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True))


class Unspeakable(Exception):
    """An error that cannot even say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def decide(summary: str = "") -> Decide:
    return Decide(kind="seen", outcome="seen", summary=summary, rule="test")


def well(event: Any, ctx: Any) -> list[Any]:
    return [decide()]


def raising(error: BaseException) -> Any:
    def handler(event: Any, ctx: Any) -> list[Any]:
        raise error

    return handler


def returning(*effects: Any) -> Any:
    return lambda event, ctx: list(effects)


def reads_a_missing_table(event: Any, ctx: Any) -> list[Any]:
    return [decide(str(ctx.session.rows(sa.select(missing))))]


def divides_by_zero(event: Any, ctx: Any) -> list[Any]:
    return [decide(str(ctx.session.scalars(sa.select(sa.cast(sa.literal("x"), sa.Integer) / 0, missing.c.id))))]


def swallows_its_error_and_reads_on(event: Any, ctx: Any) -> list[Any]:
    for _ in range(2):
        with contextlib.suppress(sa.exc.DBAPIError):
            ctx.session.rows(sa.select(missing))
    raise RuntimeError("after all")


def writes(**values: Any) -> Any:
    def handler(event: Any, ctx: Any) -> list[Any]:
        ctx.session.upsert(rows, **values)
        return [decide()]

    return handler


def writes_to_a_missing_table(event: Any, ctx: Any) -> list[Any]:
    ctx.session.insert(missing, id=1)
    return [decide()]


def updates_a_row_that_is_not_there(event: Any, ctx: Any) -> list[Any]:
    ctx.session.update(rows, 99, {"text": "x"})
    return [decide()]


def expects_what_never_holds(event: Any, ctx: Any) -> list[Any]:
    ctx.session.update(rows, 1, {"text": "x"}, expected={"text": "never"})
    return [decide()]


DEEDS = {
    "exits": raising(SystemExit(3)),
    "calls sys.exit": lambda event, ctx: sys.exit(),
    "an error without words": raising(Unspeakable()),
    "a NUL in the error": raising(ValueError("a\x00b")),
    "half a surrogate in the error": raising(ValueError("a\ud800b")),
    "cancels without a reason": lambda event, ctx: raising(Cancel(None))(event, ctx),  # type: ignore[arg-type]
    "snoozes for ten thousand years": lambda event, ctx: raising(Snooze(minutes=5e9))(event, ctx),
    "a NUL in a decision": returning(decide("a\x00b")),
    "half a surrogate in a decision": returning(decide("a\ud800b")),
    "a timer due at a text": returning(StartTimer(timer="t", due_at="tomorrow")),  # type: ignore[arg-type]
    "a timer without a name": returning(StartTimer(timer=None, due_at=None)),  # type: ignore[arg-type]
    "near misses that are no list": returning(Decide(kind="k", outcome="o", summary="", rule="r", near_misses=None)),  # type: ignore[arg-type]
    "an outcome that is nothing": returning(Decide(kind="k", outcome=None, summary="", rule="r")),  # type: ignore[arg-type]
    "fields that are no mapping": returning(UpdateRecord(fields=None)),  # type: ignore[arg-type]
    "an endpoint that is a list": returning(SendWebhook(endpoint=["x"], type="t")),  # type: ignore[arg-type]
    "two messages of one key": returning(Notify(key="k", to="x", template="t"), Notify(key="k", to="y", template="t")),
    "reads a missing table": reads_a_missing_table,
    "reads with an error in it": divides_by_zero,
    "reads on after an error": swallows_its_error_and_reads_on,
    "writes to a missing table": writes_to_a_missing_table,
    "writes a number beyond 64 bits": writes(id=2**70),
    "writes half a surrogate": writes(id=7, text="a\ud800"),
    "writes an object": writes(id=7, text=object()),
    "updates a row that is not there": updates_a_row_that_is_not_there,
    "expects what never holds": expects_what_never_holds,
}


@pytest.mark.parametrize("deed", DEEDS)
def test_it_costs_its_own_delivery_and_nothing_else(database: Database, deed: str) -> None:
    with database.write() as connection:
        rows.create(connection)
        connection.execute(sa.insert(rows).values(id=1, text="one"))
    kit = Kit(
        database,
        {
            "able": plugin("able", on_lead_created=well),
            "bad": plugin("bad", on_lead_created=DEEDS[deed]),
            "cool": plugin("cool", on_lead_created=well),
        },
    )
    for number in range(3):
        kit.send("lead.created", f"L{number}")
    kit.drain(40)
    assert [row.status for row in kit.rows(tables.events)] == ["dispatched"] * 3
    assert sorted(row.plugin for row in kit.rows(tables.decisions)) == ["able"] * 3 + ["cool"] * 3
    done = {row.plugin: row.status for row in kit.rows(tables.deliveries)}
    assert done["able"] == done["cool"] == "completed"
    assert done["bad"] in ("retryable", "cancelled") if "cancels" in deed else done["bad"] == "retryable"
    bad = kit.rows(tables.deliveries, tables.deliveries.c.plugin == "bad")
    assert all(row.reason and row.attempts == 1 for row in bad)
    kit.later(minutes=1)
    kit.drain(40)  # the second attempt runs as a stored delivery, which is written by another path
    bad = kit.rows(tables.deliveries, tables.deliveries.c.plugin == "bad")
    assert all(row.attempts == 2 or row.status == "cancelled" for row in bad)
    assert len(kit.rows(tables.decisions)) == 6
