"""Reads a calendar's own days: those written in plugins.toml and those of overlay files (CSV).

An overlay file has the columns date, kind, name, hours; only `date` must be filled. `date` is 2027-02-05, or a range
2027-02-05..2027-02-11. `kind` is holiday, make_up, day_off or workday; left out, it is workday where hours are given.
`hours` are shifts with spaces between them: 09:00-12:00 13:00-17:00.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from core.model.errors import did_you_mean
from core.time.calendar import FIRST_YEAR, LAST_YEAR
from core.time.days import FREE_KINDS, OWN_KINDS
from core.time.shifts import read_shifts

COLUMNS = ("date", "kind", "name", "hours")
KEYS = COLUMNS[1:]

MAX_FILE = 1024 * 1024
_LONGEST_RANGE = 366
_DATE = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})")  # with slashes, as spreadsheets save them


@dataclass(frozen=True, slots=True)
class Overlay:
    """What a file says: days by ISO date, and what is wrong with it."""

    days: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    digest: str = ""


def stored_overlays(resolved: Mapping[str, Any] | None) -> dict[str, Overlay]:
    """Return the overlay files as a stored version read them, by their names in plugins.toml."""
    stored = (resolved or {}).get("overlays", {})
    return {name: Overlay(item["days"], digest=item["sha256"]) for name, item in stored.items()}


def edited_overlays(resolved: Mapping[str, Any], folder: Path | None) -> dict[str, str]:
    """Return the overlay files that say something else now than a version read, with their hashes; "" for none."""
    found = {name: (item, read_overlay(name, folder)) for name, item in stored_overlays(resolved).items()}
    return {name: now.digest for name, (then, now) in found.items() if now.digest != then.digest}


def read_day(on: str, item: Any) -> tuple[str, dict[str, Any]]:
    """Return the ISO date and the canonical JSON of one own day. Raises ValueError."""
    when = _date(on)
    if not isinstance(item, Mapping):
        raise ValueError('must be a table, such as { kind = "holiday", name = "盘点" }')  # noqa: TRY004  # a letter
    for key in item:
        if key not in KEYS:
            raise ValueError(f"unknown key `{key}`.{did_you_mean(str(key), KEYS)}".replace('"', "`"))
    hours, name = item.get("hours"), item.get("name", "")
    kind = item.get("kind", "workday" if hours is not None else None)
    if kind is None:
        raise ValueError(f"needs `kind` ({', '.join(OWN_KINDS)}) or `hours`")
    if kind not in OWN_KINDS:
        raise ValueError(
            f'there is no kind of day "{str(kind)[:40]}".{did_you_mean(str(kind), OWN_KINDS)} '
            f"Known: {', '.join(OWN_KINDS)}."
        )
    if not isinstance(name, str):
        raise ValueError("`name` must be a text")  # noqa: TRY004  # a letter
    return when.isoformat(), {"kind": kind, "name": name.strip(), "hours": _hours(kind, hours)}


def _hours(kind: str, hours: Any) -> list[str] | None:
    if hours is None:
        return None
    if kind in FREE_KINDS:
        raise ValueError(f"a {kind} has no hours; a day with other hours is a workday")
    if not isinstance(hours, list) or not hours:
        raise ValueError('`hours` must be a list such as ["09:00-12:00"]; a free day is `kind = "day_off"`')
    return [str(shift) for shift in read_shifts(hours)]


def read_overlay(name: str, folder: Path | None) -> Overlay:
    """Read an overlay file, found from the folder of plugins.toml; what is wrong with it is told line by line."""
    if folder is None:
        return Overlay(faults=[f"{name}: cannot be read, since the folder of plugins.toml is not known here"])
    path = folder / name
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE + 1)
    except FileNotFoundError:
        near = did_you_mean(path.name, _siblings(path))
        return Overlay(faults=[f"{name}: there is no such file beside plugins.toml.{near}"])
    except (OSError, ValueError) as error:
        return Overlay(faults=[f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}"])
    if len(raw) > MAX_FILE:
        return Overlay(faults=[f"{name}: is larger than {MAX_FILE} bytes"])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Overlay(faults=[f"{name}: is no UTF-8 text at byte {error.start}; save it as CSV UTF-8"])
    found = _read_rows(name, text)
    return Overlay(found.days, found.faults, hashlib.sha256(raw).hexdigest())


def _siblings(path: Path) -> list[str]:
    try:
        return [other.name for other in path.parent.iterdir()]
    except OSError:
        return []


def _read_rows(name: str, text: str) -> Overlay:
    found = Overlay()
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = [column.strip().lower() for column in next(reader, [])]
        unknown = [column for column in columns if column not in COLUMNS]
        if unknown or "date" not in columns or len(set(columns)) < len(columns):
            near = did_you_mean(unknown[0], COLUMNS) if unknown else ""
            found.faults.append(f"{name}, line 1: the columns must be {', '.join(COLUMNS)}, at least `date`.{near}")
            return found
        for row in reader:
            cells = {column: cell.strip() for column, cell in zip(columns, row, strict=False) if cell.strip()}
            if len(row) > len(columns):
                found.faults.append(f"{name}, line {reader.line_num}: has more cells than there are columns")
            elif cells:
                _read_row(cells, found, f"{name}, line {reader.line_num}")
    except csv.Error as error:
        found.faults.append(f"{name}, line {reader.line_num}: is no CSV: {error}")
    return found


def _read_row(cells: dict[str, str], found: Overlay, where: str) -> None:
    item: dict[str, Any] = {key: cells[key] for key in KEYS if key in cells}
    if "hours" in item:
        item["hours"] = item["hours"].replace(";", " ").replace("、", " ").split()
    try:
        for on in _dates(cells.get("date", "")):
            text, day = read_day(on, item)
            if text in found.days:
                found.faults.append(f"{where}: {text} stands in the file twice")
            found.days[text] = day
    except ValueError as error:
        found.faults.append(f"{where}: {error}")


def _dates(text: str) -> list[str]:
    """Return the dates of a cell: one, or a range with both its ends. Raises ValueError."""
    first, dots, last = text.partition("..")
    start = _date(first.strip())
    end = _date(last.strip()) if dots else start
    length = (end - start).days + 1
    if not 1 <= length <= _LONGEST_RANGE:
        raise ValueError(f'"{text[:60]}" is no range of at most {_LONGEST_RANGE} days from a day to a later one')
    return [(start + timedelta(days=count)).isoformat() for count in range(length)]


def _date(text: str) -> date:
    match = _DATE.fullmatch(text)
    try:
        found = date(*map(int, match.groups())) if match else None
    except ValueError:
        found = None
    if found is None:
        raise ValueError(f'"{text[:40]}" is no date; write it as 2027-02-05')
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise ValueError(f"{text} lies outside the years {FIRST_YEAR} to {LAST_YEAR}")
    return found
