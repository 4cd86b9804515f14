"""Which unit a record belongs to: by its source, by the sender's word, by its fields, by the records it names."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import sqlalchemy as sa

from core.host.settings import Configuration, SourceSettings
from core.model.effects import EmitEvent
from core.model.inbound import inbound_event
from core.store import tables
from core.store.database import Database
from tests.pipeline.kit import START, Kit, plugin


def said(kit: Kit, type: str, record_id: str, unit: str | None, version: int, **fields: Any) -> None:
    """Send an event whose sender names the unit."""
    item = inbound_event(
        source="crm", type=type, data={"id": record_id, **fields}, dedupe_key=f"{record_id}:{version}",
        occurred_at=START, version=version, unit=unit,
    )  # fmt: skip
    kit.accept(item)


def units(kit: Kit) -> list[str]:
    return [row.unit for row in kit.rows(tables.events)]


@pytest.fixture
def kit(database: Database) -> Kit:
    return Kit(database, {"alpha": plugin("alpha", on_event=lambda event, ctx: [])})


def test_the_unit_the_sender_named_holds_until_it_names_another(kit: Kit) -> None:
    said(kit, "lead.created", "L1", "packaging", 1, name="甲")
    said(kit, "lead.updated", "L1", None, 2, name="乙")
    said(kit, "lead.updated", "L1", None, 3, industry="ev")
    kit.drain()
    assert units(kit) == ["packaging"] * 3
    said(kit, "lead.updated", "L1", "new_energy", 4, name="丙")
    kit.drain()
    assert units(kit) == ["packaging"] * 3 + ["new_energy", "new_energy"]
    assert kit.rows(tables.events)[-1].type == "record.unit_changed"


def test_an_older_event_does_not_move_the_record_back(kit: Kit) -> None:
    said(kit, "lead.updated", "L1", "new_energy", 5, name="新")
    said(kit, "lead.updated", "L1", "packaging", 4, name="旧")
    kit.drain()
    [record] = kit.rows(tables.records)
    assert record.unit == "new_energy"
    assert [row.type for row in kit.rows(tables.events)] == ["lead.updated"] * 2


def test_a_unit_nobody_configured_is_not_invented(kit: Kit) -> None:
    said(kit, "lead.created", "L1", "moon_base", 1, industry="ev")
    kit.drain()
    assert units(kit) == ["new_energy"]


def test_a_follow_up_event_goes_to_the_unit_of_its_record(database: Database) -> None:
    seen: list[tuple[str, str]] = []

    def hears(event: Any, ctx: Any) -> list[Any]:
        seen.append((event.type, ctx.unit.slug))
        return []

    kit = Kit(
        database,
        {
            "alpha": plugin("alpha", on_lead_created=lambda event, ctx: [EmitEvent(type="alpha.noted")]),
            "beta": plugin("beta", on_event=hears),
        },
    )
    said(kit, "lead.created", "L1", "packaging", 1)
    kit.drain()
    assert seen == [("lead.created", "packaging"), ("alpha.noted", "packaging")]


def test_a_source_of_one_unit_decides_before_everything_else(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = Kit(database, {"alpha": plugin("alpha", on_event=lambda event, ctx: [])})
    current = kit.current

    def with_one_unit(connection: sa.Connection, number: int | None = None) -> Configuration:
        return dataclasses.replace(
            current(connection, number), sources={"crm": SourceSettings("crm", "standard", (), unit="packaging")}
        )

    monkeypatch.setattr(kit, "current", with_one_unit)
    said(kit, "lead.created", "L1", "new_energy", 1, industry="ev")
    kit.drain()
    assert units(kit) == ["packaging"]


def test_a_record_finds_the_unit_of_another_that_came_in_the_same_batch(database: Database) -> None:
    names: list[Any] = []

    def hears(event: Any, ctx: Any) -> list[Any]:
        customer = ctx.records.get("customer", "K1")
        names.append(customer.name if customer else None)
        return []

    kit = Kit(database, {"alpha": plugin("alpha", on_quote_submitted=hears)})
    kit.send("customer.updated", "K1", industry="photovoltaic", name="华东光伏")
    kit.send("quote.submitted", "Q1", customer_id="K1")
    kit.send("customer.updated", "K1", name="改名以后")
    kit.drain()
    assert units(kit) == ["new_energy"] * 3
    assert names == ["华东光伏"]


def test_match_ignores_case_and_surrounding_space_and_looks_into_extra(kit: Kit) -> None:
    kit.send("lead.created", "L1", industry=" EV ")
    kit.send("customer.updated", "K1", extra={"industry": "packaging"})
    kit.drain()
    assert units(kit) == ["new_energy", "packaging"]
