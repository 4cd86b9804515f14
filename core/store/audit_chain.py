"""The audit trail as a chain of hashes: what a row's hash is made of, and what a broken chain says about the break.

A row's hash is the SHA-256, in lower-case hexadecimal, of the row's canonical JSON without the hash itself: the keys
action, actor, at, details, previous, seq, subject, unit in this order, no spaces, UTF-8 (what RFC 8785 calls
canonical). `at` is RFC 3339 text in UTC, `details` is the text that is stored, `unit` may be null, and `previous` is
the hash of the row before; the first row has 64 zeros there. Rows are numbered from 1 without gaps. So anyone can
check an export with a few lines of their own:

    last = "0" * 64
    for number, line in enumerate(open("audit.jsonl", encoding="utf-8"), 1):
        row = json.loads(line)
        said = row.pop("hash")
        text = json.dumps(row, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        assert hashlib.sha256(text.encode()).hexdigest() == said, number
        assert row["previous"] == last and row["seq"] == number, number
        last = said

A chain proves that history was not changed in place. Whoever can write the database can still cut off its end, or
write all of it anew from some row on; both are found by an anchor, the number and hash of a row kept elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from core.model.errors import InvalidRequest

NOTHING = "0" * 64
"""What stands for the hash before the first row."""

SEARCHED_AHEAD = 1_000
"""How far behind its place the place is looked for that a row was written at."""

_ANCHOR = re.compile(r"^([0-9]{1,18}):([0-9a-f]{64})$", re.ASCII)
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))

Row = Mapping[str, Any]
"""A row as it is exported: every column by its name, `at` as text."""


class Head(NamedTuple):
    """A place in the chain: a row's number and hash. An empty chain has number 0."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


START = Head(0, NOTHING)


@dataclass(frozen=True, slots=True)
class Break:
    """Where a chain is broken first: the row, the kind of harm, and what is wrong in words."""

    seq: int
    kind: str  # changed, missing, inserted, moved, previous, cut or anchor
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What checking found: how many rows hold, the last of them, and the first break if there is one."""

    rows: int
    head: Head
    fault: Break | None = None

    @property
    def ok(self) -> bool:
        """Whether the whole chain holds."""
        return self.fault is None


def canonical(value: Any) -> str:
    """Return the canonical JSON of a value; half a surrogate pair, which is no character, becomes a question mark."""
    return _ENCODER.encode(value).encode("utf-8", "replace").decode()


def digest(row: Row) -> str:
    """Return the hash a row must have. Raises TypeError or ValueError for values that no row holds."""
    content = {name: value for name, value in row.items() if name != "hash"}
    return hashlib.sha256(_ENCODER.encode(content).encode()).hexdigest()


def parse_anchor(text: str) -> Head:
    """Read an anchor as `outrigger audit head` prints it. Raises InvalidRequest."""
    found = _ANCHOR.match(text.strip().lower())
    if found is None:
        raise InvalidRequest(
            f'"{text[:80]}" is no anchor. An anchor is a row\'s number, a colon and 64 hexadecimal digits, as '
            "`outrigger audit head` prints it."
        )
    return Head(int(found.group(1)), found.group(2))


def check(rows: Iterable[Row], anchor: Head | None = None) -> Verdict:
    """Walk the chain from its first row; stop at the first break."""
    last, stream = START, iter(rows)
    for row in stream:
        fault = _fault(row, last, stream)
        if fault is None and anchor is not None and row["seq"] == anchor.seq and row["hash"] != anchor.hash:
            fault = Break(
                anchor.seq, "anchor", f"Row {anchor.seq} is not the one the anchor names; it, or the trail up to it, "
                "was written anew.",
            )  # fmt: skip
        if fault is not None:
            return Verdict(last.seq, last, fault)
        last = Head(row["seq"], row["hash"])
    if anchor is not None and anchor.seq > last.seq:
        return Verdict(last.seq, last, _cut(last, anchor))
    return Verdict(last.seq, last)


def _cut(last: Head, anchor: Head) -> Break:
    first = last.seq + 1
    what = f"Row {first} is" if first == anchor.seq else f"Rows {first} to {anchor.seq} are"
    return Break(first, "cut", f"{what} cut off: the anchor names row {anchor.seq}, the trail ends with {last.seq}.")


def _fault(row: Row, last: Head, following: Iterator[Row]) -> Break | None:
    expected, seq = last.seq + 1, row.get("seq")
    if type(seq) is not int:
        return Break(expected, "changed", f"Where row {expected} should stand is something that is no row.")
    if seq > expected:
        what = f"Row {expected} is" if seq == expected + 1 else f"Rows {expected} to {seq - 1} are"
        return Break(expected, "missing", f"{what} missing: after row {last.seq} comes row {seq}.")
    if seq < expected:
        return Break(seq, "inserted", f"Row {seq} stands where row {expected} should: put in, or rows were exchanged.")
    is_next = row.get("previous") == last.hash
    if not _is_intact(row):
        return _changed(row, last)
    return None if is_next else _loose(row, last, next(following, None))


def _is_intact(row: Row) -> bool:
    try:
        return digest(row) == row.get("hash")
    except (TypeError, ValueError):
        return False


def _changed(row: Row, last: Head) -> Break:
    """Say what became of a row whose hash does not fit it."""
    seq = row["seq"]
    if _is_intact({**row, "previous": last.hash}):
        return Break(seq, "previous", f"Row {seq} was changed: it no longer names the hash of the row before.")
    written = next((n for n in range(1, seq + SEARCHED_AHEAD) if _is_intact({**row, "seq": n})), seq)
    if written > seq:
        return Break(
            seq, "moved", f"Where row {seq} should stand is what was written as row {written}: rows were exchanged, "
            "or taken out and the rest renumbered.",
        )  # fmt: skip
    if written < seq:
        what = f"Row {written} was" if written == seq - 1 else f"Rows {written} to {seq - 1} were"
        return Break(written, "inserted", f"{what} put in and the rest renumbered.")
    return Break(seq, "changed", f"Row {seq} was changed: its hash does not fit what it says.")


def _loose(row: Row, last: Head, following: Row | None) -> Break:
    """Say which of two rows is wrong, when a row whose own hash fits does not follow the one before."""
    seq = row["seq"]
    if last.seq and (following is None or following.get("previous") == row["hash"]):
        doubt = f", or row {seq} was put in" if following is None else ""
        return Break(
            last.seq, "changed", f"Row {last.seq} was written anew together with its hash, and perhaps rows before "
            f"it{doubt}: row {seq} names another one.",
        )  # fmt: skip
    return Break(seq, "previous", f"Row {seq} was written anew: it does not name the hash of the row before.")
