"""How far an import reads ahead: long lines take no more memory than short ones, and no transaction stays silent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from core.pipeline import import_rows, importing
from core.pipeline.import_lines import MAX_KEPT, ImportFiles, Line
from core.pipeline.importing import Importer
from core.store import tables
from core.store.database import Database
from core.time.clock import FrozenClock
from tests.pipeline.kit import Kit, plugin
from tests.replay.importing_kit import BEGIN, all_rows, line, run_import, write


class Counted(ImportFiles):
    """Files that count how many lines were read from them in order."""

    handed_out = 0

    def in_order(self) -> Iterator[Line]:
        """Yield the lines, and count each."""
        for item in super().in_order():
            self.handed_out += 1
            yield item


def most_ahead(database: Database, path: Path, *, batch: int) -> int:
    """Import a file; return how many lines were read at most beyond those that were decided."""
    files = Counted([path], ["crm"])
    ahead: list[int] = []

    def placed(event: Any, ctx: Any) -> list[Any]:
        ahead.append(files.handed_out - len(ahead))
        return []

    files.scan()
    plugins = {"alpha": plugin("alpha", on_order_placed=placed)}
    done = Importer(database, FrozenClock(BEGIN), plugins, Kit(database, plugins), batch=batch).run(
        files, run_on=timedelta(0)
    )
    assert done.accepted == len(ahead) == files.read
    return max(ahead)


def test_long_lines_are_read_ahead_up_to_so_many_bytes_and_no_more(database, tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "AHEAD", 20_000)
    lines = [line("order.placed", f"O-{number}", number, note="x" * 6_000) for number in range(12)]
    assert most_ahead(database, write(tmp_path / "a.jsonl", lines), batch=500) == 4


def test_short_lines_are_read_ahead_up_to_the_batch_and_never_beyond_a_transaction(database, tmp_path, monkeypatch):
    path = write(tmp_path / "a.jsonl", [line("order.placed", f"O-{number}", number) for number in range(30)])
    monkeypatch.setattr(importing, "DURABLE", 7)
    assert most_ahead(database, path, batch=100_000) == 7


def test_records_are_forgotten_and_read_again_when_their_texts_are_long_and_nothing_else_changes(
    database, tmp_path, monkeypatch
):
    monkeypatch.setattr(import_rows, "KEPT_TEXT", 20_000)
    kept: list[int] = []
    flush = import_rows.KnownRecords.flush

    def counted(self: Any, connection: Any) -> None:
        flush(self, connection)
        kept.append(len(self))

    monkeypatch.setattr(import_rows.KnownRecords, "flush", counted)
    notes = {"lead.created": "first", "lead.updated": "second"}
    lines = [
        line(type, f"L-{number}", 100 * turn + number, **{notes[type]: "x" * 4_000})
        for turn, type in enumerate(notes)
        for number in range(10)
    ]
    done = run_import(database, [write(tmp_path / "a.jsonl", lines)], {}, batch=2)
    assert done.accepted == 20
    assert 2 <= max(kept) <= 6
    found = all_rows(database, tables.records, "record_id", "snapshot")
    assert len(found) == 10
    assert all("first" in snapshot and "second" in snapshot for _, snapshot in found)


@pytest.mark.parametrize("size", [MAX_KEPT // 2, MAX_KEPT * 2])
def test_of_a_long_line_that_comes_too_late_only_the_beginning_is_kept(database, tmp_path, size):
    run_import(database, [write(tmp_path / "a.jsonl", [line("order.placed", "O-1", 60)])], {})
    late = line("order.placed", "O-2", 30, note="钢" * (size // 3))
    done = run_import(database, [write(tmp_path / "b.jsonl", [late])], {})
    [refusal] = done.refusals
    assert refusal.raw.startswith('{"type": "order.placed"')
    assert len(refusal.raw.encode()) <= MAX_KEPT + 3
    assert ("rejected",) in all_rows(database, tables.events, "status")
