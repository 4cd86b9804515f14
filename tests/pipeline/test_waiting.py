"""What waited for a delivery is let go when that is final, whatever else of its record stands open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.model.outcomes import DeliveryStatus
from core.store.bulk import insert_rows
from core.store.database import Database
from core.store.tables import deliveries
from core.store.waiting import release
from tests.growth.work import work_of
from tests.pipeline.delivery_rows import NOW, delivery_rows

LEAD, OTHER = ("crm", "lead", "L-1"), ("erp", "lead", "L-1")

_delivery = st.tuples(
    st.sampled_from([LEAD, OTHER]), st.sampled_from(["scorer", "clocks"]), st.sampled_from(["north", "south"]),
    st.integers(1, 12), st.sampled_from(list(DeliveryStatus)), st.integers(1, 12),
)  # fmt: skip
_deliveries = st.lists(_delivery, max_size=30, unique_by=lambda item: (item[3], item[1], item[2]))


def _insert(connection: sa.Connection, chosen: Sequence[Any]) -> list[dict[str, Any]]:
    rows = [
        row | {"waiting_for": each[5] if each[4] is DeliveryStatus.WAITING else None}
        for row, each in zip(delivery_rows([each[:5] for each in chosen]), chosen, strict=True)
    ]
    insert_rows(connection, deliveries, rows)
    return rows


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=_deliveries, final=st.lists(st.integers(0, 29), max_size=3, unique=True))
def test_those_are_let_go_that_waited_for_a_final_one_of_their_record_plugin_and_unit(
    database: Database, chosen: Sequence[Any], final: Sequence[int]
) -> None:
    same = ("source", "kind", "record_id", "plugin", "unit")
    with database.write() as connection:
        connection.execute(sa.delete(deliveries))
        rows = _insert(connection, chosen)
        ended = [rows[number] for number in final if number < len(rows)]
        expected = {
            row["id"]
            for row in rows
            for end in ended
            if row["status"] == "waiting" and row["waiting_for"] == end["event_seq"]
            and all(row[name] == end[name] for name in same)
        }  # fmt: skip
        assert release(connection, ended, NOW) == len(expected)
        for row in connection.execute(sa.select(deliveries)):
            before = rows[row.id - 1]
            if row.id in expected:
                assert (row.status, row.waiting_for, row.due_at) == ("available", None, NOW)
            else:
                assert (row.status, row.waiting_for) == (before["status"], before["waiting_for"])


def test_letting_go_is_no_more_work_for_a_record_of_which_thousands_stand_open(database: Database) -> None:
    def work_with(count: int) -> int:
        chain = [(LEAD, "scorer", "north", seq, DeliveryStatus.WAITING, seq - 1) for seq in range(1, count + 1)]
        with database.write() as connection:
            connection.execute(sa.delete(deliveries))
            rows = _insert(connection, chain)
        final = rows[0] | {"event_seq": -1}  # for which none waits
        return work_of(database, lambda connection: release(connection, [final], NOW))

    assert work_with(6000) <= work_with(200) * 2 + 20
