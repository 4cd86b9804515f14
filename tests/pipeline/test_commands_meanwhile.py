"""A person decides at the moment at which the configuration changes."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import pytest

from core.host.versions import lock_versions
from core.model.effects import Decide
from core.model.errors import Conflict
from core.pipeline.commands import Desk
from core.store import tables
from core.store.database import Database
from core.store.migrate import migrate
from core.testing.directories import calendar_of
from tests.pipeline.kit import Kit, plugin
from tests.pipeline.somebody import somebody

GRANTED = Decide(kind="approval", outcome="granted", summary="", rule="person")


def configuration(kit: Kit) -> Any:
    with kit.database.read() as connection:
        current = kit.current(connection)
    return dataclasses.replace(current, calendars={"cn": calendar_of("cn")})


def decide(desk: Desk) -> None:
    with desk.command(plugin="approvals", unit="default", actor="wang") as command:
        command.decide(GRANTED, source="crm", kind="quote", record_id="Q1")


def test_what_is_decided_by_a_version_that_is_no_longer_in_force_leaves_nothing(database: Database) -> None:
    kit = Kit(database, {"approvals": plugin("approvals")})
    earlier = configuration(kit)
    desk = Desk(database, kit.clock, lambda: earlier)
    decide(desk)
    kit.switch("default", "approvals", on=False)
    with pytest.raises(Conflict, match="configuration was changed"):
        decide(desk)
    assert len(kit.rows(tables.decisions)) == 1


def test_nothing_is_decided_for_a_plugin_that_is_switched_off(database: Database) -> None:
    kit = Kit(database, {"approvals": plugin("approvals")})
    desk = Desk(database, kit.clock, lambda: configuration(kit))
    kit.switch("default", "approvals", on=False)
    with pytest.raises(Conflict, match="approvals is switched off in default"):
        decide(desk)
    assert kit.rows(tables.decisions) == []


def test_a_change_waits_for_the_decision_that_is_being_made_by_the_version_before(postgres_url: str) -> None:
    with contextlib.closing(Database(postgres_url)) as database, somebody(postgres_url) as other:
        migrate(database, [])
        kit = Kit(database, {"approvals": plugin("approvals")})
        made: list[str] = []

        def change() -> None:
            with other.database.write() as connection:
                lock_versions(connection)
                made.append("a version")

        with Desk(database, kit.clock, lambda: configuration(kit)).command(
            plugin="approvals", unit="default", actor="wang"
        ) as command:
            other.begins(change)
            assert made == []
            command.decide(GRANTED, source="crm", kind="quote", record_id="Q1")
        other.ends()
        assert made == ["a version"] and len(kit.rows(tables.decisions)) == 1
