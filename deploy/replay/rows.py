"""Reads the files of a set row by row, and the forms in which they write times and amounts."""

from __future__ import annotations

import contextlib
import csv
import gzip
import importlib
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

Row = Mapping[str, str]
MAX_CELL = 10_000_000
YEARS = range(2000, 2027)
"""The years in which the sets were collected; a time outside of them is a slip of the pen."""


class RefusedRow(Exception):
    """A row that cannot be mapped, with the reason; rows of the same reason are counted together."""


class ToolMissing(Exception):
    """Something that this set needs is not installed."""


@dataclass(slots=True)
class Files:
    """The files of one set below the data directory, and how many rows of each are read at most."""

    directory: Path
    limit: int | None = None
    seen: dict[str, int] = field(default_factory=dict)  # file -> rows read as events' rows, for the count

    def rows(self, name: str) -> Iterator[dict[str, str]]:
        """Yield the rows of `open/<name>`, counted as rows read."""
        self.seen[name] = 0
        for row in itertools.islice(self._csv(Path("open", name)), self.limit):
            self.seen[name] += 1
            yield row

    def beside(self, name: str) -> Iterator[dict[str, str]]:
        """Yield the rows of a file that explains others; they are not counted."""
        yield from self._csv(Path(name))

    def parquet(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the rows of a Parquet file below `open/`, counted as rows read. Raises ToolMissing without pyarrow."""
        try:
            reader = importlib.import_module("pyarrow.parquet")
        except ModuleNotFoundError:
            raise ToolMissing(
                f"{name} is a Parquet file; reading it needs pyarrow: pip install -r deploy/replay/requirements.lock"
            ) from None
        self.seen[name] = 0
        with reader.ParquetFile(self.directory / "open" / name) as file:
            rows = (row for batch in file.iter_batches() for row in batch.to_pylist())
            for row in itertools.islice(rows, self.limit):
                self.seen[name] += 1
                yield row

    def _csv(self, path: Path) -> Iterator[dict[str, str]]:
        csv.field_size_limit(MAX_CELL)
        with gzip.open(self.directory / path, "rt", encoding="utf-8", newline="") as stream:
            yield from csv.DictReader(stream)


def amount(text: str, what: str = "amount") -> str | None:
    """Return a number as the text of an exact decimal of two places, None when the cell is empty."""
    if not text.strip():
        return None
    if text.strip().casefold() in ("nan", "snan"):
        raise RefusedRow(f"{what} is no number")
    try:
        return str(Decimal(text.strip()).quantize(Decimal("0.01")))
    except InvalidOperation:  # no number, or one with too many digits
        raise RefusedRow(f"{what} is no number") from None


def number(text: str) -> int | None:
    """Return a count that some files write as `3.0`, None when the cell is empty or no whole number."""
    try:
        value = float(text)
    except ValueError:
        return None
    return int(value) if math.isfinite(value) and value == int(value) else None


def figures(pairs: Iterable[tuple[str, str]]) -> dict[str, float]:
    """Return the labels that are numbers, by record; the label of a dirty row is simply not known."""
    found = {}
    for key, cell in pairs:
        try:
            value = float(cell)
        except ValueError:
            continue
        if math.isfinite(value):
            found[key] = value
    return found


def days_between(cells: Iterable[str]) -> float | None:
    """Return the days between the first and the last of some times; None when fewer than two can be read."""
    times = []
    for cell in cells:
        with contextlib.suppress(RefusedRow):
            times.append(instant(cell))
    return (max(times) - min(times)).total_seconds() / 86400 if len(times) > 1 else None


def instant(
    text: str, form: str | None = None, *, zone: timezone = UTC, what: str = "time", years: range = YEARS
) -> datetime:
    """Return the time that a cell tells: ISO, or by `form`; without an offset it is that of `zone`.

    Raises RefusedRow for an empty cell, another form, and a year in which the set cannot have been collected.
    """
    said = text.strip()
    if not said:
        raise RefusedRow(f"no {what}")
    try:
        value = datetime.strptime(said, form) if form else datetime.fromisoformat(said)
    except ValueError:
        raise RefusedRow(f"{what} of another form") from None
    if value.year not in years:
        raise RefusedRow(f"absurd year in {what}")
    return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)


def hours(offset: int) -> timezone:
    """Return the time zone so many hours ahead of UTC."""
    return timezone(timedelta(hours=offset))
