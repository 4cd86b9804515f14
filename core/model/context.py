"""What a handler is given beside the event: the promises of `ctx`, as types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from core.model.calendar import Calendar
from core.model.people import People

ConfigT = TypeVar("ConfigT", covariant=True)
ModelT = TypeVar("ModelT")


@dataclass(frozen=True, slots=True)
class Unit:
    """A business unit (事业部): its slug and its title."""

    slug: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class RowWrite:
    """One buffered change of one row of a plugin's table.

    `expected` holds column values the row must still have when it is written; when it does not, the whole delivery
    is decided again on fresh rows.
    """

    operation: str  # insert, upsert, update, delete
    table: str
    key: Mapping[str, Any]
    values: Mapping[str, Any]
    expected: Mapping[str, Any]


class PluginSession(Protocol):
    """The plugin's own tables: reads are answered now, writes are kept and made with the effects, or not at all."""

    def get(self, model: type[ModelT], key: Any) -> ModelT | None:
        """Return the row with this primary key, with what earlier deliveries of the batch decided, or None."""
        ...

    def scalars(self, statement: Any) -> Sequence[Any]:
        """Run a SELECT and return the first column of every row; sees committed rows only."""
        ...

    def rows(self, statement: Any) -> Sequence[Any]:
        """Run a SELECT and return its rows; sees committed rows only."""
        ...

    def insert(self, model: type[Any], **values: Any) -> None:
        """Add a row when the delivery is recorded; a row with the same key fails the delivery."""
        ...

    def upsert(self, model: type[Any], **values: Any) -> None:
        """Add a row, or replace these columns of the row with the same primary key."""
        ...

    def update(
        self, model: type[Any], key: Any, values: Mapping[str, Any], expected: Mapping[str, Any] | None = None
    ) -> None:
        """Change columns of the row with this primary key; decided again when `expected` no longer holds."""
        ...

    def delete(self, model: type[Any], key: Any) -> None:
        """Delete the row with this primary key; none there is not an error."""
        ...

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`, for the few places where full-text search differs."""
        ...


class Records(Protocol):
    """The merged records, as of the event being handled."""

    def get(self, kind: str, record_id: str) -> Any | None:
        """Return the record (`Lead`, `Customer`, …) of the event's source, or None when it is not known."""
        ...


class Log(Protocol):
    """A structured log with event, unit and plugin already bound."""

    def info(self, message: str, **values: Any) -> Any:
        """Log something worth keeping."""
        ...

    def warning(self, message: str, **values: Any) -> Any:
        """Log something a person should look at."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Context(Generic[ConfigT]):
    """Everything a handler may look at beside its event; there is no app, no clock and no HTTP client here."""

    unit: Unit
    config: ConfigT
    now: datetime
    session: PluginSession
    records: Records
    log: Log
    people: People
    calendar: Calendar
