"""A sales office for tests: it hands events to the hooks and records what follows as the server would."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.api import Context, Customer, Decide, Effect, EmitEvent, Event, Lead, Notify, Unit, UnitChange, UpdateRecord
from core.testing import RecordingLog, TableSession, context, plugin_session
from plugins.lead_scoring import plugin
from plugins.lead_scoring.config import Config, ConfigSchema
from plugins.lead_scoring.lead_file import read_lead
from plugins.lead_scoring.models import LeadScore, Rotation

NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
EVENTS = Path(__file__).parent / "events"

STAFF: dict[str, Any] = {
    "assignment": {
        "fallback_owner": "manager.wu",
        "grids": {
            "east": {"senior": ["senior.chen", "senior.xu"], "reps": ["rep.li", "rep.wang", "rep.zhao"]},
            "south": {"reps": ["rep.huang"]},
            "north": {"senior": ["senior.ma"]},
        },
    }
}
"""East has both, South no senior rep, North nobody but a senior rep, West nobody at all."""


class Office:
    """One server with lead scoring on: `created`, `updated` and the rest deliver an event and record its effects."""

    def __init__(self, configs: Mapping[str, Config], session: TableSession) -> None:
        self.configs = dict(configs)
        self.session = session
        self.log = RecordingLog()
        self.leads: dict[str, Lead] = {}
        self.customers: dict[str, Customer] = {}
        self.now = NOW
        self.unit = "new_energy"
        self.count = 0

    def context(self, unit: str | None = None) -> Context[Config]:
        slug = unit or self.unit
        return context(
            self.configs[slug],
            unit=Unit(slug, slug.upper()),
            now=self.now + timedelta(seconds=1),
            session=self.session,
            records=[*self.leads.values(), *self.customers.values()],
            log=self.log,
        )

    def event(self, name: str, lead: Lead, changed: frozenset[str] = frozenset(), **more: Any) -> Event[Any]:
        self.count += 1
        values: dict[str, Any] = {
            "id": f"evt_{self.count}",
            "type": name,
            "source": "erp",
            "kind": "lead",
            "record_id": lead.id,
            "unit": self.unit,
            "occurred_at": self.now,
            "accepted_at": self.now,
            "data": lead,
            "record": lead,
            "changed": changed,
        }
        return Event(**{**values, **more})

    def deliver(self, event: Event[Any], *, unit: str | None = None, commit: bool = True) -> list[Effect]:
        """Call the event's hook; record its rows and what it set on the lead."""
        hook = getattr(plugin, "on_" + event.type.replace(".", "_"))
        effects: list[Effect] = hook(event, self.context(unit))
        if not commit:
            self.session.writes.clear()
            return effects
        self.session.apply()
        for effect in effects:
            if isinstance(effect, UpdateRecord):
                known = self.leads[event.record_id]
                self.leads[event.record_id] = dataclasses.replace(known, **effect.fields)
        return effects

    def created(self, lead: Lead) -> list[Effect]:
        self.leads[lead.id] = lead
        return self.deliver(self.event("lead.created", lead, frozenset({"name"})))

    def updated(self, lead_id: str, **changes: Any) -> list[Effect]:
        lead = dataclasses.replace(self.leads[lead_id], **changes)
        self.leads[lead_id] = lead
        return self.deliver(self.event("lead.updated", lead, frozenset(changes)))

    def moved(self, lead_id: str, before: str, after: str, *, told: str) -> list[Effect]:
        change = UnitChange(id=lead_id, from_unit=before, to_unit=after)
        event = self.event("record.unit_changed", self.leads[lead_id], data=change, unit=after)
        return self.deliver(event, unit=told)

    def closed(self, lead_id: str, how: str) -> list[Effect]:
        lead = self.leads.setdefault(lead_id, Lead(id=lead_id))
        return self.deliver(self.event(f"lead.{how}", lead))

    def row(self, lead_id: str) -> LeadScore:
        row: LeadScore | None = self.session.get(LeadScore, ("erp", lead_id))
        assert row is not None
        return row

    def position(self, pool: str, unit: str = "new_energy") -> int | None:
        rotation: Rotation | None = self.session.get(Rotation, (unit, pool))
        return None if rotation is None else rotation.position


def load(*layers: Mapping[str, Any]) -> Config:
    """Load a configuration from one or two layers, as plugins.toml and its unit give them."""
    values: dict[str, Any] = {}
    for layer in layers:
        values = _laid_over(values, layer)
    config: Config = ConfigSchema().load(values)
    return config


def _laid_over(below: Any, above: Any) -> Any:
    if not isinstance(below, dict) or not isinstance(above, Mapping):
        return above
    return {**below, **{key: _laid_over(below.get(key), value) for key, value in above.items()}}


@pytest.fixture
def config() -> Config:
    """The built-in settings alone."""
    return load({})


@pytest.fixture
def office() -> Iterator[Office]:
    """Two units whose reps are the same people under the built-in rules, on the plugin's own, migrated tables."""
    configs = {"new_energy": load(STAFF), "packaging": load(STAFF, {"grades": {"A": 90}})}
    with plugin_session(EVENTS.parents[1]) as session:
        yield Office(configs, session)


@pytest.fixture
def hot() -> Lead:
    """A lead of grade A from Suzhou."""
    return read_lead(EVENTS / "lead.created.new_energy.json")


@pytest.fixture
def fair() -> Lead:
    """A lead of grade C from Shenzhen."""
    return read_lead(EVENTS / "lead.created.packaging.json")


@pytest.fixture
def cold() -> Lead:
    """A lead of grade F: a student."""
    return read_lead(EVENTS / "lead.created.student.json")


@pytest.fixture
def loaded() -> Any:
    """The function that loads settings."""
    return load


@pytest.fixture
def picked() -> Any:
    """The function that picks the effects of one kind out of a list."""
    return pick


def pick(effects: Sequence[Effect], kind: str) -> Any:
    """Return the one effect of a kind: a decision by its kind, the others by their name; None when there is none."""
    names = {UpdateRecord: "update", Notify: "notify", EmitEvent: "emit"}
    found = [
        effect for effect in effects if (effect.kind if isinstance(effect, Decide) else names.get(type(effect))) == kind
    ]
    assert len(found) <= 1
    return found[0] if found else None
