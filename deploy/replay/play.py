"""Plays one set: reads its rows, maps them, and imports the events into a database of the set's own."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.host.environment import Environment
from core.pipeline.import_place import ImportPlace, open_place
from core.pipeline.importing import Imported
from core.time.clock import FrozenClock
from deploy.replay import sets
from deploy.replay.book import Book, DataSet
from deploy.replay.findings import compare, decisions, messages, problems
from deploy.replay.rows import Files, ToolMissing
from wsgi import assembly

CONFIG = Path(__file__).with_name("plugins.toml")
TELL_EVERY_S = 10.0
APPLIED_AT = datetime(2026, 1, 1, tzinfo=UTC)
"""When the configuration is said to be applied; a fixed time, so that two runs write the same rows."""


@dataclass(frozen=True, slots=True)
class Job:
    """One set to play."""

    name: str
    data: Path
    rows: int | None = None  # at most so many rows of each file; None: all
    keep: Path | None = None  # where the database is kept; None: it is thrown away


def all_sets() -> dict[str, DataSet]:
    """Return every set that can be replayed, by name."""
    found = {}
    for item in pkgutil.iter_modules(sets.__path__):
        data: DataSet = importlib.import_module(f"{sets.__name__}.{item.name}").SET
        found[data.name] = data
    return dict(sorted(found.items()))


def play(job: Job) -> dict[str, Any]:
    """Play one set and return everything that is printed about it; `skipped` says why it could not be played."""
    data = all_sets()[job.name]
    files = Files(job.data / data.name, job.rows)
    began = time.perf_counter()
    with ExitStack() as stack:
        folder = job.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="outrigger-replay-")))
        folder.mkdir(parents=True, exist_ok=True)
        lines, book = folder / f"{data.name}.jsonl", Book()
        try:
            with lines.open("w", encoding="utf-8") as out:
                book.write(data, files, out)
        except ToolMissing as missing:
            return {"set": data.name, "skipped": str(missing)}
        mapped_s = time.perf_counter() - began
        with _fresh_place(folder / f"{data.name}.sqlite3") as place:
            done, seconds = _import(data, place, lines)
            return {
                "set": data.name,
                "note": data.note,
                "rows_limited_to": job.rows,
                **book.as_json(),
                **_counts(done),
                "mapping_s": round(mapped_s, 1),
                "import_s": round(seconds, 1),
                "events_per_s": round((done.accepted + done.follow_ups + done.timers) / max(seconds, 0.001)),
                "decisions": decisions(place.database),
                "messages": messages(place.database),
                "problems": problems(place.database) | _import_problems(done),
                "comparison": compare(place.database, data.labels(files)) if data.labels else {},
            }


@contextmanager
def _fresh_place(path: Path) -> Iterator[ImportPlace]:
    path.unlink(missing_ok=True)
    environment = Environment(database_url=f"sqlite:///{path}", config_path=CONFIG)
    with open_place(assembly(), environment, "sqlite:///no-live-database", FrozenClock(APPLIED_AT)) as place:
        yield place


def _import(data: DataSet, place: ImportPlace, lines: Path) -> tuple[Imported, float]:
    files = place.files([lines])
    began = told = time.perf_counter()

    def progress(behind: int, at: datetime) -> None:
        nonlocal told
        if time.perf_counter() - told > TELL_EVERY_S:
            told = time.perf_counter()
            print(f"   {data.name}: {behind:,} of {files.fitting:,} events, {at:%Y-%m-%d}", file=sys.stderr, flush=True)

    done = place.importer(files, FrozenClock(APPLIED_AT)).run(files, run_on=data.run_on, progress=progress)
    return done, time.perf_counter() - began


def _counts(done: Imported) -> dict[str, Any]:
    return {
        "events_accepted": done.accepted,
        "follow_ups": done.follow_ups,
        "timers_fired": done.timers,
        "from": done.began_at.isoformat() if done.began_at else None,
        "to": done.ended_at.isoformat() if done.ended_at else None,
    }


def _import_problems(done: Imported) -> dict[str, int]:
    """Return what the import did not take: a set's module makes each event once and in the right form."""
    found = {f"event refused: {reason}": count for reason, count in done.reasons().items()}
    return found | ({"events told twice": done.duplicates} if done.duplicates else {})


def names_of(text: str | None, known: Sequence[str]) -> list[str]:
    """Return the chosen sets. Raises ValueError naming what is unknown."""
    chosen = [name.strip() for name in (text or "").split(",") if name.strip()]
    strange = [name for name in chosen if name not in known]
    if strange:
        raise ValueError(f"There is no set {', '.join(strange)}. There are: {', '.join(known)}")
    return chosen or list(known)
