"""A small stored world for tests of looking in: two units, a lead with a history, and something stuck."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask

from core.host.plugin import Manifest, Plugin
from core.host.settings import (
    Configuration,
    DispatchSettings,
    PluginSetting,
    SourceSettings,
    UnitSettings,
)
from core.host.versions import current_number, version
from core.model.errors import ConfigurationConflict, OutriggerError
from core.model.events import event_id, lane_of
from core.model.inbound import InboundItem, RejectedItem, inbound_event
from core.store.database import Database
from core.store.tables import (
    config_versions,
    decisions,
    deliveries,
    events,
    outbox,
    quarantines,
    record_updates,
    records,
    timers,
)
from core.time.clock import FrozenClock
from core.web.app import create_app
from core.web.keys import ApiKeys

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def plugin(name: str, *hooks: str) -> Plugin:
    """Return a plugin that implements these hooks and does nothing."""
    manifest = Manifest(name, "1.0", name.title(), "For tests.", "tests", "1", ("decide",))
    return Plugin(manifest, Path("nowhere"), name, {hook: lambda **_: None for hook in hooks})


class World:
    """A database, a clock, a configuration of two units, and functions that add rows to the tables."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = FrozenClock(START)
        self.plugins = {
            "lead_scoring": plugin("lead_scoring", "on_lead_created", "on_lead_updated"),
            "audit_copy": plugin("audit_copy", "on_event"),
        }
        self.enabled = {(unit, name): True for unit in ("energy", "building") for name in self.plugins}
        self.changed: list[dict[str, Any]] = []
        self.unready: list[str] = []
        self.number = 1
        self.woken = 0

    # -- what the app is given

    def configuration(self) -> Configuration:
        """Return the configuration in force."""
        settings = {
            key: PluginSetting(key[1], key[0], on, None, {"hot": 80}, {"enabled": "file", "hot": "default"})
            for key, on in self.enabled.items()
        }
        return Configuration(
            self.number,
            {"crm": SourceSettings("crm", "standard", ("env:CRM_TEST_SECRET",))},
            {"energy": UnitSettings("energy", "新能源事业部"), "building": UnitSettings("building", "建筑装饰")},
            {},
            DispatchSettings(),
            settings,
        )

    def change(
        self, *, changes: Mapping[tuple[str, ...], Any], reason: str, actor: str, expected: int | None = None
    ) -> int:
        """Change the configuration, as the host would; of what is changed only switches count here."""
        if expected not in (None, self.number):
            raise ConfigurationConflict(f"version {self.number} is in force")
        self.changed.append({"changes": dict(changes), "reason": reason, "actor": actor})
        for path, value in changes.items():
            if path[-1] == "enabled":
                units = [path[1]] if path[0] == "units" else ["energy", "building"]
                self.enabled.update({(unit, path[-2]): value for unit in units})
        self.number += 1
        return self.number

    def roll_back(self, number: int, *, reason: str, actor: str, expected: int | None = None) -> int:
        """Go back to a version, as the host would; here it makes a copy of it."""
        with self.database.read() as connection:
            old = version(connection, number)
            newest = current_number(connection)
        if expected not in (None, newest):
            raise ConfigurationConflict(f"version {newest} is in force")
        self.version(newest + 1, reason=reason, document=old.document, applied_by=actor, origin="rollback")
        return newest + 1

    def remap(self, source: str, raw: str, headers: Any, received_at: datetime) -> InboundItem:
        """Map a rejected item again: what says it is mended maps, anything else is rejected as before."""
        try:
            body = json.loads(raw)
            return inbound_event(
                source=source, type=body["type"], data=body["data"], dedupe_key=headers["id"], occurred_at=START
            )
        except (ValueError, KeyError, OutriggerError) as error:
            return RejectedItem(source=source, dedupe_key=headers["id"], raw=raw, reason=str(error))

    def wake(self) -> None:
        """Count how often the dispatcher was woken."""
        self.woken += 1

    def app(self, **options: Any) -> Flask:
        """Build the app over this world."""
        given: dict[str, Any] = {
            "database": self.database,
            "clock": self.clock,
            "configuration": self.configuration,
            "plugins": lambda: self.plugins,
            "ready": lambda: self.unready,
            "change": self.change,
            "roll_back": self.roll_back,
            "remap": self.remap,
            "wake": self.wake,
        }
        return create_app(**{**given, **options})

    def key(self, role: str = "admin", *units: str) -> dict[str, str]:
        """Make an API key and return the header that carries it."""
        token, _ = ApiKeys(self.database, self.clock).create(role, role=role, units=units or ("*",), created_by="tests")
        return {"Authorization": f"Bearer {token}"}

    # -- rows

    def add(self, table: sa.Table, **values: Any) -> int:
        """Insert one row and return its primary key where that is a number."""
        with self.database.write() as connection:
            made = connection.execute(sa.insert(table).values(**values))
            key = made.inserted_primary_key
            return key[0] if key is not None and isinstance(key[0], int) else 0

    def rows(self, table: sa.Table, *conditions: Any) -> list[Any]:
        """Return the rows of a table, in the order of its key."""
        with self.database.read() as connection:
            order = next(iter(table.primary_key.columns))
            return list(connection.execute(sa.select(table).where(*conditions).order_by(order)))

    def event(
        self,
        name: str,
        type: str = "lead.created",
        *,
        unit: str | None = "energy",
        status: str = "dispatched",
        **more: Any,
    ) -> tuple[int, str]:
        """Add an event; return its number and id."""
        kind, record = type.partition(".")[0], more.pop("record_id", "L-1")
        values = {
            "id": event_id("crm", name), "source": "crm", "type": type, "kind": kind, "record_id": record,
            "lane": lane_of("crm", kind, record), "status": status, "unit": unit, "occurred_at": self.clock.now(),
            "accepted_at": self.clock.now(), "version": "t1", "completeness": "delta", "origin": "crm", "depth": 0,
            "data": json.dumps({"id": record, "company": "远航铝业"}, ensure_ascii=False),
            "changed": '["company"]', "body_hash": name, "conflicts": 0,
        }  # fmt: skip
        seq = self.add(events, **{**values, **more})
        return seq, str({**values, **more}["id"])

    def rejected(self, name: str, raw: str) -> str:
        """Add a rejected event; return its id."""
        _, identity = self.event(
            name, "lead.created", unit=None, status="rejected", kind="", record_id="",
            status_reason="it does not map", changed=None,
            data=json.dumps({"errors": [{"path": "lead.id", "message": "Missing"}]}),
            raw=json.dumps({"raw": raw, "headers": {"id": name}}),
        )  # fmt: skip
        return identity

    def delivery(
        self, event: tuple[int, str], name: str = "lead_scoring", *, status: str = "completed", **more: Any
    ) -> int:
        """Add a delivery of an event; return its number."""
        record = more.pop("record_id", "L-1")
        values = {
            "event_seq": event[0], "event_id": event[1], "plugin": name, "unit": "energy", "generation": 0,
            "outward": True, "source": "crm", "kind": "lead", "record_id": record, "lane": 1, "status": status,
            "attempts": 1, "due_at": self.clock.now(), "out_of_order": False, "config_version": 1,
            "created_at": self.clock.now(), "finished_at": self.clock.now(),
        }  # fmt: skip
        return self.add(deliveries, **{**values, **more})

    def decision(self, event: tuple[int, str], *, unit: str = "energy", **more: Any) -> int:
        """Add a decision; return its number."""
        values = {
            "event_seq": event[0], "event_id": event[1], "plugin": "lead_scoring", "plugin_version": "1.0",
            "unit": unit, "generation": 0, "source": "crm", "kind": "lead", "record_id": "L-1",
            "decision": "lead_grade", "outcome": "A", "summary": "A 级", "rule": "A from 80",
            "reasons": [{"text": "行业匹配 industry fits", "weight": 30, "field": "industry"}],
            "inputs": {"industry": "ev"}, "near_misses": [], "config_version": 1, "decided_at": self.clock.now(),
        }  # fmt: skip
        return self.add(decisions, **{**values, **more})

    def message(self, event: tuple[int, str], name: str, *, status: str = "available", unit: str = "energy") -> str:
        """Add a message; return its id."""
        self.add(
            outbox, id=name, effect="update_record", target="crm", type="record.update", body='{"data":{"grade":"A"}}',
            event_seq=event[0], event_id=event[1], plugin="lead_scoring", unit=unit, source="crm", kind="lead",
            record_id="L-1", status=status, attempts=3, due_at=self.clock.now(), created_at=self.clock.now(),
        )  # fmt: skip
        return name

    def timer(self, event: tuple[int, str], name: str, *, status: str = "pending", unit: str = "energy") -> None:
        """Add a timer due in a day."""
        self.add(
            timers, id=name, plugin="lead_scoring", unit=unit, source="crm", kind="lead", record_id="L-1",
            timer="remind", round=0, due_at=self.clock.now() + timedelta(days=1), status=status, data={"n": 1},
            started_by=event[1], depth=0,
        )  # fmt: skip

    def record(self, *, unit: str = "energy", source: str = "crm", record_id: str = "L-1", **snapshot: Any) -> None:
        """Add a record that says who set what."""
        values = {"id": record_id, "company": "远航铝业", "grade": "A", "contact": {"name": "王工"}, **snapshot}
        self.add(
            records, source=source, kind="lead", record_id=record_id, unit=unit, unit_reason="industry is ev",
            snapshot=json.dumps(values, ensure_ascii=False),
            versions=json.dumps({"company": f"v{7:020d}", "contact.name": f"t{1_700_000_000_000_000:020d}"}),
            own='["grade"]', last_seq=1, created_at=self.clock.now(), updated_at=self.clock.now(),
        )  # fmt: skip

    def history(self) -> tuple[int, str]:
        """Add the story of lead L-1: created, graded, written back, a timer, and an update that is stuck."""
        first = self.event("first")
        self.delivery(first)
        self.decision(first)
        self.add(
            record_updates, source="crm", kind="lead", record_id="L-1", applied_after_seq=first[0],
            event_seq=first[0], plugin="lead_scoring", fields={"grade": "A"}, at=self.clock.now(),
        )  # fmt: skip
        self.message(first, "msg_1", status="sent")
        self.timer(first, "tmr_1")
        self.record()
        self.clock.move(timedelta(minutes=5))
        second = self.event("second", "lead.updated")
        self.delivery(second, status="retryable", reason="ValueError: no table", trace="Traceback …", finished_at=None)
        self.clock.move(timedelta(minutes=5))
        third = self.event("third", "lead.updated")
        self.delivery(third, status="waiting", waiting_for=second[0], finished_at=None, attempts=0)
        return first

    def other_unit(self) -> None:
        """Add one of everything that belongs to the unit `building` alone."""
        event = self.event("elsewhere", unit="building", record_id="L-9")
        self.delivery(event, unit="building", record_id="L-9", status="discarded")
        self.decision(event, unit="building", record_id="L-9")
        self.message(event, "msg_9", unit="building", status="discarded")
        self.timer(event, "tmr_9", unit="building")
        self.record(unit="building", record_id="L-9")
        self.add(
            quarantines, unit="building", plugin="lead_scoring", crashes=3, active=True, reason="crashed",
            changed_at=self.clock.now(), changed_by="supervisor",
        )  # fmt: skip

    def version(self, number: int = 1, *, off: frozenset[tuple[str, str]] = frozenset(), **more: Any) -> None:
        """Add a configuration version in which some plugins are switched off in some units."""
        of_units = {
            unit: {
                name: {"enabled": (unit, name) not in off, "origin": "switched by li", "config": None}
                for name in self.plugins
            }
            for unit in ("energy", "building")
        }
        values = {
            "number": number, "applied_at": self.clock.now(), "applied_by": "tests", "reason": "first",
            "origin": "file", "document": "[units.energy]\n", "file_hash": "x", "resolved": {"plugins": of_units},
        }  # fmt: skip
        self.add(config_versions, **{**values, **more})
