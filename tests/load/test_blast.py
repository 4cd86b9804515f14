"""The load generator's look at effects misses none, in whichever order transactions commit."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa

from core.model.events import event_id
from core.store.database import Database
from core.store.migrate import migrate
from core.store.tables import decisions
from tests.load.blast import Options, Watcher


def _decision(index: int) -> dict[str, Any]:
    texts = (
        "plugin",
        "plugin_version",
        "unit",
        "source",
        "kind",
        "record_id",
        "decision",
        "outcome",
        "summary",
        "rule",
    )
    return {
        **dict.fromkeys(texts, "x"), "event_seq": index + 1, "event_id": event_id("crm", f"g-{index}"), "generation": 0,
        "reasons": [], "inputs": {}, "near_misses": [], "config_version": 1,
        "decided_at": datetime(2026, 11, 28, tzinfo=UTC),
    }  # fmt: skip


def test_a_row_that_is_committed_behind_a_later_one_is_found(postgres_url: str) -> None:
    database = Database(postgres_url)
    migrate(database, [])
    run: Any = SimpleNamespace(options=Options(0, "g", 1), requests=[b"", b""])
    watcher = Watcher(run, postgres_url, 1)
    with database.write() as slow:
        slow.execute(sa.insert(decisions), [_decision(0)])
        with database.write() as fast:
            fast.execute(sa.insert(decisions), [_decision(1)])
        assert watcher.tick()
        assert set(watcher.done) == {1}
    assert not watcher.tick()
    assert set(watcher.done) == {0, 1}
    watcher.close()
    database.close()
