"""Makes trails, harms them in every way somebody with the database could, and says which row is bad then."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from hypothesis import strategies as st

from core.model.instants import parse_instant, to_micros
from core.store.audit import append
from core.store.audit_chain import digest
from core.store.database import Database

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
LENGTH = 12
Trail = list[dict[str, Any]]
Harm = tuple[str, int, Callable[[Trail], Trail]]
"""How it is called, the row that is bad afterwards, and what makes it so."""

COLUMNS = ("seq", "at", "actor", "action", "subject", "unit", "details", "previous", "hash")


def write_trail(database: Database, length: int = LENGTH) -> None:
    """Write a trail of different rows, some of no unit, some at a part of a second."""
    with database.write() as connection:
        for number in range(1, length + 1):
            append(
                connection,
                actor=f"李工 {number % 3}",
                action="plugin.disabled" if number % 2 else "delivery.retried",
                subject=f"new_energy/plugin_{number}",
                unit=None if number % 4 == 0 else "new_energy",
                details={"version": number, "reason": '试点 \u2028 \u202e "quoted" \\ \x00'},
                now=START + number * timedelta(microseconds=333_333),
            )


def check_by_hand(lines: list[str]) -> int:
    """Check an export as the documentation says anyone can; return how many rows hold. Raises AssertionError."""
    last = "0" * 64
    for number, line in enumerate(lines, 1):
        row = json.loads(line)
        said = row.pop("hash")
        text = json.dumps(row, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        assert hashlib.sha256(text.encode()).hexdigest() == said, number
        assert row["previous"] == last and row["seq"] == number, number
        last = said
    return len(lines)


@contextlib.contextmanager
def opened_up(database: Database) -> Iterator[sa.Connection]:
    """Hand out a connection for which the trail's triggers are off; what is done by it is undone in the end."""
    with contextlib.suppress(_Undo), database.write() as connection:
        if database.is_sqlite:
            for name in ("audit_no_update", "audit_no_delete", "audit_no_replace"):
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
        else:
            connection.exec_driver_sql("ALTER TABLE audit DISABLE TRIGGER USER")
        yield connection
        raise _Undo


class _Undo(Exception):
    """Ends a transaction without keeping anything."""


def put(connection: sa.Connection, trail: Trail) -> None:
    """Make the table hold exactly these rows, whatever they say."""
    connection.exec_driver_sql("DELETE FROM audit")
    if trail:
        statement = sa.text(f"INSERT INTO audit ({', '.join(COLUMNS)}) VALUES ({', '.join(f':{c}' for c in COLUMNS)})")
        connection.execute(statement, [{**row, "at": to_micros(parse_instant(row["at"]))} for row in trail])


# -- harms: each takes a whole trail and returns the harmed one


def _change(seq: int, column: str, value: Any) -> Harm:
    def harm(trail: Trail) -> Trail:
        return [{**row, column: value} if row["seq"] == seq else row for row in trail]

    return f"change {column} of {seq}", seq, harm


def _renumber(trail: Trail) -> Trail:
    return [{**row, "seq": number} for number, row in enumerate(trail, 1)]


def _delete(seq: int, renumbered: bool) -> Harm:
    def harm(trail: Trail) -> Trail:
        kept = [row for row in trail if row["seq"] != seq]
        return _renumber(kept) if renumbered else kept

    return f"delete {seq}{', renumbered' if renumbered else ''}", seq, harm


def _swap(one: int, other: int) -> Harm:
    def harm(trail: Trail) -> Trail:
        trail = list(trail)
        trail[one - 1], trail[other - 1] = trail[other - 1], trail[one - 1]
        return _renumber(trail)

    return f"swap {one} and {other}", min(one, other), harm


def _insert(seq: int, signed: bool) -> Harm:
    def harm(trail: Trail) -> Trail:
        previous = trail[seq - 2]["hash"] if seq > 1 else "0" * 64
        forged = {**trail[0], "seq": seq, "subject": "forged", "previous": previous, "hash": "f" * 64}
        if signed:
            forged["hash"] = digest(forged)
        return _renumber([*trail[: seq - 1], forged, *trail[seq - 1 :]])

    return f"insert at {seq}{', with a hash that fits' if signed else ''}", seq, harm


def _rewrite(seq: int) -> Harm:
    def harm(trail: Trail) -> Trail:
        forged = {**trail[seq - 1], "actor": "nobody"}
        forged["hash"] = digest(forged)
        return [forged if row["seq"] == seq else row for row in trail]

    return f"rewrite {seq} with its hash", seq, harm


def _move(seq: int, to: int) -> Harm:
    _, _, harm = _change(seq, "seq", to)
    return f"renumber {seq} to {to}", to if to < 1 else seq, lambda trail: sorted(harm(trail), key=lambda r: r["seq"])


def _cut(seq: int) -> Harm:
    return f"cut from {seq} on", seq, lambda trail: trail[: seq - 1]


_ROWS = st.integers(1, LENGTH)
TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=12)
_HASHES = st.text("0123456789abcdef", min_size=64, max_size=64)
_VALUES = {
    "actor": TEXTS, "action": TEXTS, "subject": TEXTS, "unit": st.none() | TEXTS, "details": TEXTS,
    "previous": _HASHES, "hash": _HASHES,
    "at": st.integers(1, 10**6).map(lambda n: (START - n * timedelta(seconds=1)).isoformat().replace("+00:00", "Z")),
}  # fmt: skip

IN_THE_MIDDLE: st.SearchStrategy[Harm] = st.one_of(
    st.sampled_from(sorted(_VALUES)).flatmap(lambda name: st.builds(_change, _ROWS, st.just(name), _VALUES[name])),
    st.builds(_delete, st.integers(1, LENGTH - 1), st.booleans()),
    st.lists(_ROWS, min_size=2, max_size=2, unique=True).map(lambda pair: _swap(*pair)),
    st.builds(_insert, _ROWS, st.booleans()),
    st.builds(_rewrite, st.integers(1, LENGTH - 1)),
    st.builds(_move, st.integers(1, LENGTH - 1), st.integers(-5, 0) | st.integers(LENGTH + 1, 40)),
)
"""Harms that show without an anchor."""

AT_THE_END: st.SearchStrategy[Harm] = st.one_of(
    st.builds(_cut, _ROWS), st.just(_rewrite(LENGTH)), st.builds(_delete, st.just(LENGTH), st.booleans())
)
"""Harms that leave a chain which holds, so that only an anchor shows them."""
