"""Lists: a page costs the same however much is stored, and following its cursor gives everything once."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from core.model.effects import Decide
from core.store import tables
from core.store.database import Database
from core.store.reading.decisions import DecisionFilter, list_decisions
from core.store.reading.events import EventFilter, list_events
from core.store.reading.pages import first_that_fit, newest_first
from core.store.reading.records import list_leads
from core.store.reading.times import SLACK, first_accepted
from tests.pipeline.kit import START, Kit, plugin


@pytest.fixture
def kit(database: Database) -> Kit:
    def decide(event: Any, ctx: Any) -> list[Any]:
        return [Decide(kind="seen", outcome=event.record.status, summary="", rule="r")]

    made = Kit(database, {"alpha": plugin("alpha", on_event=decide)})
    for number in range(24):
        made.send("lead.updated", f"L{number}", version=1, status="rare" if number % 8 == 0 else "common")
        made.drain()
        made.later(hours=1)
    return made


def everything(read: Any) -> tuple[list[Any], int]:
    """Follow the cursors to the end; return the items and how many pages they stood on."""
    items: list[Any] = []
    cursor, pages = None, 0
    while True:
        page = read(cursor)
        items, cursor, pages = items + page.items, page.next, pages + 1
        if cursor is None:
            return items, pages


def test_a_page_tries_a_bounded_number_of_rows_and_its_cursor_goes_on_behind_them(kit: Kit) -> None:
    with kit.database.read() as connection:
        rare = DecisionFilter(outcome="rare")
        patient = list_decisions(connection, rare, look=None)
        found, pages = everything(lambda cursor: list_decisions(connection, rare, cursor=cursor, limit=2, look=5))
        assert found == patient.items and len(found) == 3 and patient.next is None
        assert pages == 5
        leads, _ = everything(lambda cursor: list_leads(connection, owner="nobody", cursor=cursor, limit=2, look=7))
        assert leads == []


def test_pages_without_a_filter_are_full(kit: Kit) -> None:
    with kit.database.read() as connection:
        rows, cursor = newest_first(connection, tables.events.c.seq, cursor=None, limit=20, look=5)
        assert len(rows) == 20 and cursor is not None
        rows, cursor = newest_first(connection, tables.events.c.seq, cursor=cursor, limit=20, look=5)
        assert len(rows) == 4 and cursor is None


def test_a_span_of_time_is_found_by_halving(kit: Kit) -> None:
    with kit.database.read() as connection:
        stored = kit.rows(tables.events)
        for hours in (-1, 0, 1, 7.5, 23, 24, 100):
            at = START + timedelta(hours=hours)
            wanted = next((row.seq for row in stored if row.accepted_at >= at), stored[-1].seq + 1)
            assert first_accepted(connection, at) == wanted
        since, until = START + timedelta(hours=5), START + timedelta(hours=9)
        page = list_events(connection, EventFilter(since=since, until=until), look=int(SLACK.total_seconds()))
        assert [item["record_id"] for item in page.items] == ["L8", "L7", "L6", "L5"]


@pytest.mark.parametrize(
    "chosen",
    [
        EventFilter(type="lead.updated"), EventFilter(unit="default"), EventFilter(status="skipped"),
        EventFilter(status="rejected", unit="default"), EventFilter(kind="lead", record_id="L1", source="crm"),
        EventFilter(unit="default", type="lead.lost"), EventFilter(source="crm"),
    ],
)  # fmt: skip
def test_every_filter_of_events_reads_an_index(kit: Kit, chosen: EventFilter) -> None:
    if not kit.database.is_sqlite:
        pytest.skip("PostgreSQL reads a small table whole")
    leading, others = chosen.by_index()
    assert bool(leading) is (chosen != EventFilter(source="crm"))
    with kit.database.read() as connection:
        statement = tables.events.select().where(*leading).order_by(tables.events.c.seq.desc()).limit(50)
        text = str(statement.compile(connection, compile_kwargs={"literal_binds": True}))
        plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]
        assert all(re.search("USING (COVERING )?INDEX", step) or not leading for step in plan), plan
        assert not any("TEMP B-TREE" in step for step in plan), plan
        first_that_fit(connection, statement.limit(None), others, 5, tables.events.c.seq, look=3)
