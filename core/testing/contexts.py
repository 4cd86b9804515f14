"""Builds what a handler is given beside its event: a unit, settings, the time, tables, records and a log."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NoReturn, TypeVar

from core.model.calendar import Calendar
from core.model.context import Context, PluginSession, Unit
from core.model.records import KINDS, Record
from core.testing.directories import calendar_of, directory_of
from core.testing.events import NOW

ConfigT = TypeVar("ConfigT")

_KIND_OF = {cls: kind for kind, cls in KINDS.items()}


class RecordingLog:
    """A log that keeps what was said in `lines`, as (level, message, values)."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def info(self, message: str, **values: Any) -> None:
        """Keep the line."""
        self.lines.append(("info", message, values))

    def warning(self, message: str, **values: Any) -> None:
        """Keep the line."""
        self.lines.append(("warning", message, values))


class KnownRecords:
    """Implements `ctx.records` over the records a test gives."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._records = {(_KIND_OF[type(record)], record.id): record for record in records}

    def get(self, kind: str, record_id: str) -> Any | None:
        """Return the record, or None when the test gave none."""
        return self._records.get((kind, record_id))


class NoTables:
    """Stands where a test gave no session; touching it says what to do."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(
            f"the handler used ctx.session.{name}; give its test the plugin's tables: context(…, session=session) "
            "with `session` from core.testing.plugin_session(folder)"
        )


def context(
    config: ConfigT,
    *,
    unit: str | Unit = "default",
    now: datetime = NOW,
    session: PluginSession | None = None,
    records: Iterable[Record] = (),
    log: RecordingLog | None = None,
    people: str = "",
    calendar: str | Calendar = "always",
) -> Context[ConfigT]:
    """Build a handler's context. `records` are what `ctx.records` knows; `session` comes from `plugin_session`.

    `people` is TOML with the [people] and [roles] of a plugins.toml; `calendar` is a built-in one, `cn` or `always`,
    or one of your own. Raises ConfigurationRefused for people with faults.
    """
    tables: Any = NoTables() if session is None else session
    place = Unit(unit) if isinstance(unit, str) else unit
    hours = calendar_of(calendar) if isinstance(calendar, str) else calendar
    return Context(
        unit=place,
        config=config,
        now=now,
        session=tables,
        records=KnownRecords(records),
        log=log if log is not None else RecordingLog(),
        people=directory_of(people, unit=place.slug).at(now, place.slug, hours.zone),
        calendar=hours,
    )
