"""Lets go the deliveries that were held back by one that is now final."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.outcomes import OPEN_DELIVERY, DeliveryStatus
from core.store.columns import status_in
from core.store.tables import deliveries


def release(connection: Connection, delivery: Mapping[str, Any], now: datetime) -> int:
    """Make available what waited for `delivery` (a row of deliveries); return how many it were.

    The next claim looks again whether something earlier is still open, so releasing too much is harmless.
    """
    changed = connection.execute(
        sa.update(deliveries)
        .where(
            status_in(*OPEN_DELIVERY),  # the words of the index, which SQLite needs to use it
            deliveries.c.status == DeliveryStatus.WAITING.value,
            deliveries.c.kind == delivery["kind"],
            deliveries.c.record_id == delivery["record_id"],
            deliveries.c.source == delivery["source"],
            deliveries.c.plugin == delivery["plugin"],
            deliveries.c.unit == delivery["unit"],
            deliveries.c.waiting_for == delivery["event_seq"],
        )
        .values(status=DeliveryStatus.AVAILABLE.value, waiting_for=None, due_at=now)
    )
    return int(changed.rowcount)
