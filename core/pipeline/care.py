"""Takes what a delivery asked for into its batch: all at once, or each in a savepoint when something does not fit."""

from __future__ import annotations

from enum import Enum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import OutriggerError, printable
from core.model.outcomes import DeliveryStatus
from core.pipeline.about import About
from core.pipeline.handler import Outcome
from core.pipeline.plan import Surroundings
from core.pipeline.recorder import Rows, gather
from core.pipeline.work import DeliveryWork, RecordWork
from core.store.faults import is_storage_fault
from core.store.row_writes import StaleRow


class Care(Enum):
    """How a batch is written."""

    NONE = "none"  # everything at once; whatever does not fit undoes the batch
    SAVEPOINTS = "savepoints"  # each delivery in a savepoint of its own; rows that moved undo the batch
    PLUGIN_ROWS = "plugin_rows"  # of an import: only plugins' own rows are written now, each in a savepoint
    LAST = "last"  # as SAVEPOINTS, but rows that moved cost the delivery, since they moved every time


def take(
    connection: Connection,
    rows: Rows,
    delivery: DeliveryWork,
    event_row: Any,
    record: RecordWork,
    around: Surroundings,
    care: Care,
) -> None:
    """Gather one delivery's rows. With care they are written now, in a savepoint that only they can lose."""
    outcome = delivery.outcome
    if outcome is None or outcome.status is not DeliveryStatus.COMPLETED:
        return
    about = About(event_row, delivery, around.plugins[delivery.plugin], around.configuration, around.now, connection)
    state_before, touched_before = record.state, record.touched
    try:
        if care is Care.NONE:
            gather(rows, about, record)
            return
        own = Rows()
        gather(own, about, record)
        if care is Care.PLUGIN_ROWS:
            if own.writes:
                with connection.begin_nested():
                    own.write_plugin_rows(connection)
            rows.add(own)
            return
        with connection.begin_nested():
            own.write(connection)
        rows.has_messages |= bool(own.outbox or own.notices)
    except Exception as error:
        if is_storage_fault(error) or (isinstance(error, StaleRow) and care is Care.SAVEPOINTS):
            raise
        if care is Care.NONE and outcome.writes:
            # Later deliveries of the batch were shown rows that will not be written now.
            raise StaleRow(outcome.writes[0].table) from error
        record.state, record.touched = state_before, touched_before
        delivery.outcome = Outcome(DeliveryStatus.RETRYABLE, reason=_refusal(error))


def _refusal(error: Exception) -> str:
    """Say why a delivery's effects were not recorded: the plugin's fault in all of these cases."""
    if isinstance(error, OutriggerError):
        return printable(f"{error.code}: {error.message}")
    if isinstance(error, sa.exc.StatementError):
        return printable(getattr(error, "orig", None) or error, before="its rows were refused by the database: ")
    return printable(error, before=f"its effects could not be recorded: {type(error).__name__}: ")
