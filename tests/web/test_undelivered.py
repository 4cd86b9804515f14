"""An event says which plugins would have heard it and were given nothing, and why."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from flask.testing import FlaskClient

from tests.web.world import World, plugin

OFF = frozenset({("energy", "audit_copy")})


def missing(client: FlaskClient, world: World, identity: str) -> dict[str, str]:
    shown: dict[str, Any] = client.get(f"/api/v1/events/{identity}", headers=world.key("reader")).get_json()
    return {item["plugin"]: item["reason"] for item in shown["not_delivered"]}


def test_a_plugin_that_was_off_is_named_with_the_configuration_of_that_moment(
    world: World, client: FlaskClient
) -> None:
    world.version(1)
    world.version(2, off=OFF)
    world.version(3)
    first = world.event("first")
    world.delivery(first, config_version=2)
    assert missing(client, world, first[1]) == {
        "audit_copy": "switched off in energy (switched by li), configuration version 2"
    }


def test_an_event_that_nobody_got_is_explained_by_the_version_it_met(world: World, client: FlaskClient) -> None:
    everything = frozenset({("energy", name) for name in world.plugins})
    world.version(1, off=everything)
    world.clock.move(timedelta(hours=1))
    _, early = world.event("early", record_id="L-1")
    world.clock.move(timedelta(hours=1))
    world.version(2, off=OFF)
    _, late = world.event("late", record_id="L-2")
    why = "switched off in energy (switched by li), configuration version 1"
    assert missing(client, world, early) == dict.fromkeys(world.plugins, why)
    reasons = missing(client, world, late)
    assert reasons["audit_copy"].endswith("configuration version 2, the present one")
    assert reasons["lead_scoring"].startswith("switched on in configuration version 2")


def test_nothing_is_missing_where_everybody_who_hears_it_got_it(world: World, client: FlaskClient) -> None:
    world.version(1, off=OFF)
    first = world.event("first", "order.placed")
    world.delivery(first, "audit_copy")
    assert missing(client, world, first[1]) == {}, "lead_scoring does not hear of orders"
    _, skipped = world.event("skipped", "lead.updated", status="skipped", status_reason="echo")
    assert missing(client, world, skipped) == {}


def test_a_plugin_of_later_and_a_unit_that_is_gone_are_said(world: World, client: FlaskClient) -> None:
    world.version(1)
    world.plugins["newcomer"] = plugin("newcomer", "on_lead_created")
    first = world.event("first")
    assert "not installed when" in missing(client, world, first[1])["newcomer"]
    gone = world.event("gone", unit="casting", record_id="L-2")
    assert "the unit casting is not in" in missing(client, world, gone[1])["newcomer"]


def test_a_timer_that_fell_due_concerns_the_plugin_that_set_it_alone(world: World, client: FlaskClient) -> None:
    world.version(1, off=OFF | {("energy", "lead_scoring")})
    world.plugins["lead_scoring"] = plugin("lead_scoring", "on_timer_due")
    world.plugins["other"] = plugin("other", "on_timer_due")
    _, due = world.event("due", "timer.due", kind="lead", data=json.dumps({"plugin": "lead_scoring"}))
    assert set(missing(client, world, due)) == {"lead_scoring"}


def test_the_journey_of_a_record_says_it_too(world: World, client: FlaskClient) -> None:
    world.version(1, off=OFF)
    world.history()
    shown = client.get("/api/v1/records/lead/L-1", headers=world.key("reader")).get_json()
    steps = [step for step in shown["journey"] if step["step"] == "event"]
    assert len(steps) == 3
    for step in steps:
        assert "; not given to audit_copy (switched off in energy" in step["text"]
        assert step["details"]["not_delivered"][0]["reason"].startswith("switched off in energy")
