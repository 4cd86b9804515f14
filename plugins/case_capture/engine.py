"""What differs between SQLite's FTS5 and PostgreSQL: how a search row is asked for its words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from .models import CaseSearch

_FTS = sa.table("case_capture_search_fts", sa.column("rowid", sa.Integer))


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose cases are searched; None means all."""

    units: frozenset[str] | None
    statuses: frozenset[str] | None = frozenset({"published"})
    kinds: frozenset[str] | None = None

    def tag_groups(self) -> list[list[str]]:
        """Return the words a row must have, one of each group."""
        groups = (("u", self.units), ("s", self.statuses), ("k", self.kinds))
        return [sorted(tag(sort, value) for value in values) for sort, values in groups if values is not None]

    def is_empty(self) -> bool:
        """Whether nothing can lie in this scope."""
        return any(values is not None and not values for values in (self.units, self.statuses, self.kinds))

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """Return the same limits as conditions on columns."""
        columns = (
            (CaseSearch.unit, self.units),
            (CaseSearch.status, self.statuses),
            (CaseSearch.kind, self.kinds),
        )
        return [column.in_(sorted(values)) for column, values in columns if values is not None]


def tag(sort: str, value: str) -> str:
    """Return the word under which a row's unit (`u`), status (`s`) or kind (`k`) is indexed."""
    return sort + value.encode().hex()


def tokens_of(terms: Iterable[str], *, unit: str, status: str, kind: str) -> str:
    """Return what the engine indexes for one case: its tags and its terms."""
    return " ".join([tag("u", unit), tag("s", status), tag("k", kind), *sorted(terms)])


def matches(dialect: str, groups: Sequence[Sequence[str]]) -> sa.ColumnElement[bool]:
    """Return the condition that a search row has at least one word of every group."""
    if dialect == "sqlite":
        query = " AND ".join("(" + " OR ".join(f'"{word}"' for word in group) + ")" for group in groups)
        found = sa.select(_FTS.c.rowid).where(sa.literal_column("case_capture_search_fts").op("MATCH")(query))
        return CaseSearch.number.in_(found)
    query = " & ".join("(" + " | ".join(f"'{word}'" for word in group) + ")" for group in groups)
    words = sa.func.case_capture_words(CaseSearch.tokens)
    return words.op("@@", is_comparison=True)(sa.cast(query, _TsQuery()))


def count_matching(dialect: str, groups: Sequence[Sequence[str]]) -> Any:
    """Return a scalar subquery that counts the rows with at least one word of every group."""
    if dialect == "sqlite":
        query = " AND ".join("(" + " OR ".join(f'"{word}"' for word in group) + ")" for group in groups)
        match = sa.literal_column("case_capture_search_fts").op("MATCH")(query)
        return sa.select(sa.func.count()).select_from(_FTS).where(match).scalar_subquery()
    return sa.select(sa.func.count()).select_from(CaseSearch).where(matches(dialect, groups)).scalar_subquery()


class _TsQuery(sa.types.UserDefinedType[str]):
    """PostgreSQL's query type; its text form is read without parser or dictionary."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Return the type's name."""
        return "tsquery"

    def bind_processor(self, dialect: sa.Dialect) -> None:
        """Send the text as it is."""
        return
