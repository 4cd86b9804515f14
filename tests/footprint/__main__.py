"""Imports sales events that all shipped plugins decide on, on both databases, and prints bytes of disk per event."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.host.environment import Environment
from core.pipeline.import_place import open_place
from core.time.clock import FrozenClock
from tests.load.databases import KINDS, Outside, fresh_database, postgres_answers
from wsgi import assembly

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = sorted((ROOT / "deploy" / "demo" / "data").glob("aluminium_*.jsonl"))
NOW = datetime(2026, 11, 23, tzinfo=UTC)
RUN_ON = "30d"
LARGEST = 8


def sales_events() -> list[dict[str, Any]]:
    """Return the events of the demo's aluminium producer, as its files hold them, in the order of their times."""
    stories = [json.loads(line) for path in SAMPLES for line in path.read_text(encoding="utf-8").splitlines()]
    return sorted((event for story in stories for event in story["events"]), key=lambda event: str(event["at"]))


def lines(count: int) -> Iterator[str]:
    """Yield `count` lines for an import: the sample again and again, each round about records of its own."""
    sample = sales_events()
    for number in range(count):
        event, turn = sample[number % len(sample)], number // len(sample)
        data = {
            name: f"{value}-{turn}" if name == "id" or name.endswith("_id") else value
            for name, value in event["data"].items()
        }
        yield json.dumps(
            {"type": event["type"], "timestamp": event["at"], "id": f"e-{number}", "data": data}, ensure_ascii=False
        )


def store(url: str, path: Path) -> dict[str, int]:
    """Import the lines of a file into a database, with every timer that falls due within RUN_ON; return the counts."""
    environment = Environment(database_url=url, config_path=ROOT / "plugins.toml")
    with open_place(assembly(), environment, "sqlite:///no-live-database", FrozenClock(NOW)) as place:
        files = place.files([path], "crm")
        done = place.importer(files, FrozenClock(NOW)).run(files, run_on=_span())
        return {"from the CRM": done.accepted, "follow-ups": done.follow_ups, "timers fired": done.timers}


def _span() -> Any:
    from core.model.spans import parse_span

    return parse_span(RUN_ON).amount


def sizes(outside: Outside) -> tuple[int, int, list[tuple[str, int, int]]]:
    """Return bytes of rows and of indexes, and of PostgreSQL's largest tables (name, rows, indexes)."""
    if outside.kind == "sqlite":
        return _of_sqlite(outside)
    found = outside.rows(
        "SELECT relname, pg_table_size(oid), pg_indexes_size(oid) FROM pg_class WHERE relkind = 'r'"
        " AND relnamespace = current_schema()::regnamespace ORDER BY pg_total_relation_size(oid) DESC"
    )
    tables = [(str(name), int(rows), int(indexes)) for name, rows, indexes in found]
    return sum(item[1] for item in tables), sum(item[2] for item in tables), tables[:LARGEST]


def _of_sqlite(outside: Outside) -> tuple[int, int, list[tuple[str, int, int]]]:
    """Compact the file, then once more without the indexes that can be dropped; those of keys count as rows."""

    def compact() -> int:
        outside.rows("VACUUM")
        outside.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        return outside.path.stat().st_size

    whole = compact()
    for (name,) in outside.rows("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"):
        outside.rows(f'DROP INDEX "{name}"')
    rows = compact()
    return rows, whole - rows, []


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2_000, help="how many events the CRM sends")
    count = parser.parse_args().events
    with tempfile.TemporaryDirectory(prefix="outrigger-footprint-") as folder:
        path = Path(folder) / "events.jsonl"
        with path.open("w", encoding="utf-8") as out:
            out.writelines(f"{line}\n" for line in lines(count))
        print(f"{count:,} events, {os.path.getsize(path) / count:,.0f} bytes each as they were sent")
        for kind in KINDS:
            if kind == "postgresql" and not postgres_answers():
                print("!!! NO POSTGRESQL: not measured there !!!")
                continue
            with fresh_database(kind, Path(folder)) as url:
                _tell(kind, url, path)


def _tell(kind: str, url: str, path: Path) -> None:
    counts = store(url, path)
    sent = counts["from the CRM"]
    outside = Outside(url)
    stored = int(outside.one("SELECT count(*) FROM events"))
    rows, indexes, tables = sizes(outside)
    outside.close()
    print(f"{kind}: {', '.join(f'{number:,} {what}' for what, number in counts.items())}; {stored:,} events stored")
    print(f"  per event of the CRM: {rows / sent:,.0f} bytes of rows, {indexes / sent:,.0f} of indexes")
    for name, of_rows, of_indexes in tables:
        print(f"    {name:<28} {of_rows / sent:8,.0f} {of_indexes / sent:8,.0f}")


if __name__ == "__main__":
    main()
