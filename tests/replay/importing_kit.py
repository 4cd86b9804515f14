"""What the tests of importing share: lines as files hold them, plugins that use the time, and looking at the rows."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from core.host.plugin import Plugin
from core.model.effects import CancelTimer, Decide, EmitEvent, Notify, StartTimer, UpdateRecord
from core.model.instants import format_instant
from core.people.directory import Directory
from core.pipeline.import_lines import ImportFiles
from core.pipeline.importing import Imported, Importer
from core.store import tables
from core.store.database import Database
from core.time.clock import FrozenClock
from tests.pipeline.kit import Kit, plugin

_SEQUENCE = re.compile(r'"sequence":\d+,')
BEGIN = datetime(2016, 3, 1, 8, 0, tzinfo=UTC)

OF_A_RECORD = ("kind", "record_id", "unit", "snapshot", "versions", "own", "last_seq", "created_at", "updated_at")

ASKED = {"asked": {"by": "alpha"}}


def line(type: str, record_id: str, minutes: float, *, id: str | None = None, **fields: Any) -> dict[str, Any]:
    """Return one line, so many minutes after the beginning."""
    body = {"type": type, "timestamp": format_instant(BEGIN + timedelta(minutes=minutes)), "source": "crm"}
    return body | ({"id": id} if id else {}) | {"data": {"id": record_id, **fields}}


def write(path: Path, lines: Sequence[Mapping[str, Any] | str]) -> Path:
    """Write lines to a file; texts as they are."""
    texts = [item if isinstance(item, str) else json.dumps(item, ensure_ascii=False) for item in lines]
    path.write_text("".join(text + "\n" for text in texts), encoding="utf-8")
    return path


def decide(event: Any, ctx: Any, outcome: str = "", **inputs: Any) -> Decide:
    """Decide something that shows at what time the handler was called."""
    seen = {"now": format_instant(ctx.now), "accepted": format_instant(event.accepted_at), **inputs}
    return Decide(kind="seen", outcome=outcome or event.type, summary=event.record_id, rule="test", inputs=seen)


def watchful() -> dict[str, Plugin]:
    """Return plugins that start and cancel timers, send, set fields, read linked records, emit, fail and hear."""
    failed: set[str] = set()

    def opened(event: Any, ctx: Any) -> list[Any]:
        return [
            decide(event, ctx),
            StartTimer(timer="answer", due_at=ctx.now + timedelta(minutes=10), data=ASKED),
            Notify(to="service", template="seen"),
            UpdateRecord(fields={"owner": "anna"}),
        ]

    def resolved(event: Any, ctx: Any) -> list[Any]:
        return [decide(event, ctx), CancelTimer(timer="answer"), EmitEvent(type="alpha.noted", data={})]

    def updated(event: Any, ctx: Any) -> list[Any]:
        if event.id not in failed:
            failed.add(event.id)
            raise RuntimeError("not the first time")
        return [decide(event, ctx)]

    def placed(event: Any, ctx: Any) -> list[Any]:
        other = ctx.records.get("complaint", event.record.region or "")
        return [decide(event, ctx, owner=other.owner if other else None)]

    def due(event: Any, ctx: Any) -> list[Any]:
        told = event.data.data["asked"]["by"]  # what the timer was started with comes back as it was
        assert told == ASKED["asked"]["by"]
        again = (
            [StartTimer(timer="answer", due_at=ctx.now + timedelta(minutes=10), data=ASKED)]
            if event.data.round < 3
            else []
        )
        return [decide(event, ctx, "overdue", late=event.late), *again]

    alpha = plugin(
        "alpha", on_complaint_opened=opened, on_complaint_resolved=resolved, on_complaint_updated=updated,
        on_order_placed=placed, on_timer_due=due,
    )  # fmt: skip
    beta = plugin("beta", on_event=lambda event, ctx: [decide(event, ctx)] if event.type == "alpha.noted" else [])
    return {"alpha": alpha, "beta": beta}


def run_import(
    database: Database,
    paths: Sequence[Path],
    plugins: dict[str, Plugin],
    *,
    batch: int = 50,
    directory: Directory | None = None,
    **options: Any,
) -> Imported:
    """Import files with these plugins switched on everywhere, and the people of `directory`."""
    files = ImportFiles(paths, ["crm"])
    files.scan()
    kit = Kit(database, plugins, directory=directory or Directory())
    return Importer(database, FrozenClock(BEGIN), plugins, kit, batch=batch).run(files, **options)


def all_rows(database: Database, table: sa.Table, *columns: str) -> list[tuple[Any, ...]]:
    """Return some columns of every row, in the order in which rows were made."""
    key = next(iter(table.primary_key.columns))
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(sa.select(*(table.c[name] for name in columns)).order_by(key))]


def everything(database: Database) -> dict[str, Any]:
    """Return what an import led to, without the numbers that the database hands out."""
    return {
        "decisions": all_rows(
            database, tables.decisions, "plugin", "decision", "outcome", "record_id", "inputs", "decided_at"
        ),
        "timers": all_rows(
            database, tables.timers, "id", "round", "due_at", "status", "fired_at", "started_by", "outward"
        ),
        "events": sorted(
            all_rows(database, tables.events, "id", "type", "record_id", "status", "occurred_at", "outward", "depth")
        ),
        "deliveries": sorted(
            all_rows(database, tables.deliveries, "event_id", "plugin", "status", "attempts", "finished_at", "outward")
        ),
        "records": sorted(all_rows(database, tables.records, *OF_A_RECORD)),
        "outbox": sorted(
            (identity, status, created_at, _SEQUENCE.sub("", body))
            for identity, status, created_at, body in all_rows(
                database, tables.outbox, "id", "status", "created_at", "body"
            )
        ),
    }
