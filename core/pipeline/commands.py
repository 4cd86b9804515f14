"""Synchronous commands: what a person decides is locked, compared, written and emitted in one transaction."""

from __future__ import annotations

import contextlib
import contextvars
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.host.settings import Configuration, PluginSetting
from core.model.calendar import Calendar
from core.model.context import Unit
from core.model.effects import Decide, EmitEvent, is_own_type, message_id
from core.model.errors import Conflict, EffectRefused
from core.model.outcomes import NO_LONGER_TRUE, OutboxStatus
from core.model.people import People
from core.model.schemas import canonical_json
from core.store import audit, tables
from core.store.database import Database
from core.store.standing_version import standing_version
from core.time.clock import Clock


@dataclass(slots=True)
class Command:
    """One decision by a person: a session inside the write transaction, the time, and what follows from it."""

    session: Session
    now: datetime
    actor: str
    plugin: str
    unit: str
    people: People
    calendar: Calendar
    config: Any = None  # the plugin's typed settings in the unit
    config_version: int = 0
    id: str = field(default_factory=lambda: "cmd_" + secrets.token_hex(12))
    _emitted: int = 0
    _decided: list[dict[str, Any]] = field(default_factory=list)

    def emit(self, effect: EmitEvent, *, source: str, kind: str, record_id: str) -> None:
        """Emit a follow-up event about a record; it enters by the inbox after this command is committed.

        Raises EffectRefused for an event that does not bear the plugin's name.
        """
        if not is_own_type(effect.type, self.plugin):
            raise EffectRefused(f'{self.plugin} may emit events named "{self.plugin}.…", not "{effect.type}".')
        self._emitted += 1
        key = effect.key or f"emit_event#{self._emitted}"
        self.session.execute(
            sa.insert(tables.outbox).values(
                id=message_id(self.id, self.plugin, key, 0),
                effect=effect.name,
                target="inbox",
                type=effect.type,
                body=canonical_json({"data": dict(effect.data), "depth": 1, "occurred_at": None}),
                event_seq=0,
                event_id=self.id,
                plugin=self.plugin,
                unit=self.unit,
                source=source,
                kind=kind,
                record_id=record_id,
                status=OutboxStatus.AVAILABLE,
                attempts=0,
                due_at=self.now,
                created_at=self.now,
            )
        )

    def decide(self, effect: Decide, *, source: str, kind: str, record_id: str) -> None:
        """Record the decision with the person who made it; the audit trail gets it too, without words and inputs."""
        what = {"command": self.id, "source": source, "decision": effect.kind, "outcome": effect.outcome}
        self._decided.append({"subject": f"{kind}/{record_id}", "details": {**what, "rule": effect.rule}})
        self.session.execute(
            sa.insert(tables.decisions).values(
                event_seq=0,
                event_id=self.id,
                plugin=self.plugin,
                plugin_version="",
                unit=self.unit,
                generation=0,
                source=source,
                kind=kind,
                record_id=record_id,
                decision=effect.kind,
                outcome=effect.outcome,
                summary=effect.summary,
                rule=effect.rule,
                reasons=[reason.as_json() for reason in effect.reasons],
                inputs=dict(effect.inputs),
                near_misses=list(effect.near_misses),
                config_version=self.config_version,
                decided_by=self.actor,
                decided_at=self.now,
            )
        )

    def record(self) -> None:
        """Write what was decided into the audit trail; last of all, since others who append wait from here on."""
        for decided in self._decided:
            audit.append(
                self.session.connection(), actor=self.actor, action=f"{self.plugin}.decided", unit=self.unit,
                now=self.now, **decided,
            )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageState:
    """What became of a message to a person: `available`, `retryable`, `sent`, `discarded` or `suppressed`, and why.

    `was_dropped` says that it was true no longer when it was to be sent.
    """

    status: str
    channel: str
    reason: str | None
    sent_at: datetime | None
    was_dropped: bool


Settings = Mapping[tuple[str, str], PluginSetting]
"""Plugins' settings by (unit, plugin)."""


class Desk:
    """Where a plugin's own API, pages and commands meet the database: reads, and commands by a person."""

    def __init__(self, database: Database, clock: Clock, configuration: Callable[[], Configuration]) -> None:
        self.database = database
        self.clock = clock
        self._configuration = configuration

    @property
    def settings(self) -> Settings:
        """Every plugin's setting by (unit, plugin), of the configuration version in force."""
        return self._configuration().plugins

    def now(self) -> datetime:
        """Return the time."""
        return self.clock.now()

    def calendar(self, unit: str) -> Calendar:
        """Return the working calendar of a unit."""
        return self._configuration().calendar_of(unit)

    def unit(self, slug: str) -> Unit:
        """Return a unit with its title; one that the configuration no longer has is called by its slug."""
        known = self._configuration().units.get(slug)
        return Unit(slug, known.title if known is not None else "")

    def people(self, unit: str) -> People:
        """Return the directory as it stands now, seen from a unit."""
        configuration = self._configuration()
        return configuration.directory.at(self.clock.now(), unit, configuration.calendar_of(unit).zone)

    def messages(
        self, asked: Iterable[tuple[str, str]], *, plugin: str, unit: str
    ) -> dict[tuple[str, str], MessageState]:
        """Return what became of messages that a plugin asked for, by the event and the key of the effect.

        A key is `notify:` and the key that the plugin gave its `Notify`. What is not there was never asked for, or is
        kept no longer.
        """
        wanted = {message_id(event, f"{plugin}@{unit}", key, 0): (event, key) for event, key in asked}
        if not wanted:
            return {}
        box = tables.outbox.c
        columns = (box.id, box.status, box.target, box.reason, box.sent_at)
        with self.database.read() as connection:
            rows = connection.execute(sa.select(*columns).where(box.id.in_(sorted(wanted)))).all()
        return {
            wanted[row.id]: MessageState(
                status=row.status, channel=row.target, reason=row.reason, sent_at=row.sent_at,
                was_dropped=row.status == OutboxStatus.SUPPRESSED and (row.reason or "").startswith(NO_LONGER_TRUE),
            )
            for row in rows
        }  # fmt: skip

    @contextlib.contextmanager
    def read(self) -> Iterator[Session]:
        """Hand out a session for reading."""
        with self.database.read() as connection, Session(bind=connection, autoflush=False) as session:
            yield session

    @contextlib.contextmanager
    def command(self, *, plugin: str, unit: str, actor: str, while_off: bool = False) -> Iterator[Command]:
        """Run one command of a person in one write transaction; an exception leaves nothing behind.

        `while_off` is for what people do by themselves, and may do although the plugin is switched off in the unit.

        Raises Conflict when the plugin is switched off in the unit, or another configuration version is in force than
        the one this process decides by, which may switch it off or have other settings.
        """
        configuration = self._configuration()
        setting = configuration.plugins.get((unit, plugin))
        people, calendar = self.people(unit), configuration.calendar_of(unit)
        with self.database.write() as connection, Session(bind=connection, autoflush=False) as session:
            if standing_version(connection) != configuration.number:
                raise Conflict("The configuration was changed a moment ago; look again and decide again.")
            if not while_off and not configuration.is_enabled(unit, plugin):
                raise Conflict(f"{plugin} is switched off in {unit}; switch it on again first.")
            command = Command(
                session=session, now=self.clock.now(), actor=actor, plugin=plugin, unit=unit,
                people=people, calendar=calendar, config=setting.config if setting else None,
                config_version=configuration.number,
            )  # fmt: skip
            yield command
            session.flush()
            command.record()


_current: contextvars.ContextVar[Desk] = contextvars.ContextVar("outrigger_desk")


def current_desk() -> Desk:
    """Return the desk of the running request or command line. Raises LookupError outside of both."""
    return _current.get()


def use_desk(desk: Desk) -> None:
    """Make `desk` the current one for this request or command line."""
    _current.set(desk)
