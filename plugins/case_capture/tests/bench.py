"""A migrated database and what stands around the plugin there: its events, its sessions, a desk for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa
import structlog

from core.api import Context, Decide, Desk, Effect, Event, Unit
from core.host.discovery import load_plugins
from core.host.settings import Configuration, DispatchSettings
from core.model.events import EVENT_TYPES, PAYLOADS
from core.model.records import KINDS
from core.model.schemas import builder_for, validate_record
from core.pipeline.commands import use_desk
from core.store.database import Database
from core.store.migrate import migrate
from core.store.plugin_session import BufferedSession
from core.store.row_writes import apply_writes
from core.store.tables import decisions, outbox
from core.time.clock import FrozenClock
from core.web.app import create_app
from core.web.keys import ApiKeys
from plugins.case_capture import api
from plugins.case_capture.config import Config
from plugins.case_capture.tests.databases import NOW

PLUGIN = load_plugins([Path(__file__).parents[2]], with_entry_points=False)["case_capture"]


class Bench:
    """One database with the plugin installed, a clock, and the records as the last event left them."""

    def __init__(self, url: str, *, unit: str = "new_energy") -> None:
        self.database = Database(url)
        migrate(self.database, [PLUGIN])
        self.clock = FrozenClock(NOW)
        self.unit = unit
        self.desk = Desk(self.database, self.clock)
        self.records: dict[tuple[str, str], dict[str, Any]] = {}
        self.numbers = 0
        self.sit_down()

    def sit_down(self) -> None:
        """Make this bench's desk the current one of the calling thread."""
        use_desk(self.desk)

    def send(
        self, event_type: str, data: Mapping[str, Any], *, config: Config | None = None, minutes: float = 1,
        unit: str | None = None,
    ) -> list[Effect]:  # fmt: skip
        """Merge an event into its record, call the plugin's hook and write what it kept; return its effects."""
        self.clock.move(timedelta(minutes=minutes))
        self.numbers += 1
        kind = EVENT_TYPES[event_type].kind or "complaint"
        place = (kind, str(data["id"]))
        record = self.records.setdefault(place, {})
        if EVENT_TYPES[event_type].kind:
            data = validate_record(kind, data)
            record.update(data)
        build = builder_for(cast(type, PAYLOADS[event_type]))
        event: Event[Any] = Event(
            id=f"evt_{self.numbers}", type=event_type, source="erp", kind=kind, record_id=place[1],
            unit=unit or self.unit, occurred_at=self.clock.now(), accepted_at=self.clock.now(),
            data=build(data),
            record=build(record) if record else None,
            changed=frozenset(data) - {"id"},
        )  # fmt: skip
        return self.handle(event, config or Config())

    def handle(self, event: Event[Any], config: Config) -> list[Effect]:
        """Call the plugin's hook for one event and write what it kept."""
        with self.database.read() as connection:
            session = BufferedSession(connection, "case_capture", {})
            context: Context[Any] = Context(
                unit=Unit(event.unit), config=config, now=self.clock.now(), session=session, records=self,
                log=structlog.get_logger(),
            )  # fmt: skip
            hook = "on_" + event.type.replace(".", "_")
            effects = list(PLUGIN.hooks[hook](event=event, ctx=context) or ())
        with self.database.write() as connection:
            apply_writes(connection, session.tables, session.writes)
        return effects

    def get(self, kind: str, record_id: str) -> Any | None:
        """Return a record, as `ctx.records` does."""
        found = self.records.get((kind, record_id))
        return builder_for(cast(type, KINDS[kind]))(found) if found else None

    def rows(self, statement: Any) -> list[Any]:
        """Run a SELECT."""
        with self.database.read() as connection:
            return list(connection.execute(statement).mappings())

    def emitted(self) -> list[str]:
        """Return the types of the events that commands emitted."""
        return [row["type"] for row in self.rows(sa.select(outbox.c.type).order_by(outbox.c.created_at))]

    def decided(self) -> list[Any]:
        """Return the decisions of people."""
        return self.rows(sa.select(decisions).order_by(decisions.c.decided_at))


def outcomes(effects: list[Effect]) -> list[str]:
    """Return how a handler's decisions ended."""
    return [effect.outcome for effect in effects if isinstance(effect, Decide)]


def web_client(bench: Bench, *, role: str = "operator", units: Sequence[str] = ("*",)) -> Callable[..., Any]:
    """Return a function that calls the API with a key of this role and these units."""
    configuration = Configuration(
        number=1, sources={}, units={}, endpoints={}, dispatch=DispatchSettings(), plugins={}
    )  # fmt: skip
    app = create_app(
        database=bench.database, clock=bench.clock, configuration=lambda: configuration,
        plugin_blueprints=[api.blueprint],
    )  # fmt: skip
    token, _ = ApiKeys(bench.database, bench.clock).create("li", role=role, units=units, created_by="test")
    client = app.test_client()

    def call(method: str, path: str, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
        return client.open("/api/v1" + path, method=method, headers=headers, **options)

    return call
