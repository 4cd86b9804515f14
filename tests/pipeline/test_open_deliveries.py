"""What stands open of a record is counted by the database, and says the same as looking at every delivery."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.model.outcomes import OPEN_DELIVERY, DeliveryStatus
from core.pipeline.open_deliveries import earlier_open, load_open, stands_alone
from core.store.bulk import insert_rows, update_rows
from core.store.database import Database
from core.store.tables import deliveries
from tests.pipeline.delivery_rows import NOW, delivery_rows

RECORDS = [("crm", "lead", "L-1"), ("crm", "lead", "L-2"), ("erp", "lead", "L-1")]

_delivery = st.tuples(
    st.sampled_from(RECORDS),
    st.sampled_from(["scorer", "clocks"]),
    st.sampled_from(["north", "south"]),
    st.integers(1, 12),
    st.sampled_from(list(DeliveryStatus)),
)
_deliveries = st.lists(_delivery, max_size=30, unique_by=lambda item: (item[3], item[1], item[2]))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=_deliveries)
def test_what_stands_open_is_what_looking_at_each_delivery_says(database: Database, chosen: Sequence[Any]) -> None:
    groups: dict[Any, list[int]] = defaultdict(list)
    for key, plugin, unit, seq, status in chosen:
        if status in OPEN_DELIVERY and key != RECORDS[2]:
            groups[key, plugin, unit].append(seq)
    with database.write() as connection:
        connection.execute(sa.delete(deliveries))
        insert_rows(connection, deliveries, delivery_rows(chosen))
        found = load_open(connection, [*RECORDS[:2], RECORDS[0]])  # a record named twice counts once
        told = {key: (s.earliest, s.latest, s.count, s.events) for key, s in found.items()}
        assert told == {key: (min(seqs), max(seqs), len(seqs), sum(seqs)) for key, seqs in groups.items()}
        for row in map(_as_row, delivery_rows(chosen)):
            seqs = groups.get(((row.source, row.kind, row.record_id), row.plugin, row.unit), [])
            if row.status in OPEN_DELIVERY and seqs:
                assert stands_alone(row, found) is (len(seqs) == 1)
                assert earlier_open(connection, row, found) == max((s for s in seqs if s < row.event_seq), default=None)


def _as_row(values: dict[str, Any]) -> Any:
    return SimpleNamespace(**values)


def test_a_record_with_very_many_that_wait_costs_one_row(database: Database) -> None:
    chosen = [(RECORDS[0], "scorer", "north", seq, DeliveryStatus.WAITING) for seq in range(1, 3001)]
    with database.write() as connection:
        insert_rows(connection, deliveries, delivery_rows(chosen))
        (standing,) = load_open(connection, RECORDS[:1]).values()
    assert (standing.latest, standing.count) == (3000, 3000)


@pytest.mark.parametrize("before", ["available", "retryable"])
def test_rows_are_changed_in_bulk_only_as_long_as_they_hold_what_is_expected(database: Database, before: str) -> None:
    chosen = [(RECORDS[0], "scorer", "north", seq, DeliveryStatus.AVAILABLE) for seq in (1, 2, 3)]
    with database.write() as connection:
        insert_rows(connection, deliveries, delivery_rows(chosen))
        changes = [{"status": "completed", "finished_at": NOW, "key_id": number, "key_status": before}
                   for number in (1, 3)]  # fmt: skip
        changed = update_rows(connection, deliveries, ("id", "status"), changes)
        statuses = connection.execute(sa.select(deliveries.c.status).order_by(deliveries.c.id)).scalars().all()
    assert changed == (2 if before == "available" else 0)
    assert statuses == (["completed", "available", "completed"] if before == "available" else ["available"] * 3)
