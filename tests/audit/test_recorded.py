"""What people and IT do stands in the trail with who did it, in the same transaction; no secret and no reason does."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from core.host.calendar_sections import build_calendars
from core.host.versions import Version, store_version
from core.model.effects import Decide, Reason
from core.model.errors import ConfigurationConflict, Conflict
from core.pipeline.commands import Desk
from core.pipeline.quarantine import lift, record_crash
from core.pipeline.slot import Call
from core.store.audit import rows, verify
from core.store.database import Database
from core.store.migrate import migrate
from core.store.reading.audit import AuditFilter, list_audit
from core.store.reading.configuration import list_quarantines
from core.store.reading.events import EventFilter
from core.store.tables import audit, quarantines
from core.time.built_in import BUILT_IN
from core.web.keys import ApiKeys
from tests.web.world import World

Row = dict[str, Any]


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def trail(world: World) -> list[Row]:
    """Return the trail's rows with their details, after checking that the chain holds."""
    with world.database.read() as connection:
        assert verify(connection).ok
        return [{**row, "details": json.loads(row["details"])} for row in rows(connection)]


def acts(world: World) -> list[tuple[str, str, str, str | None]]:
    return [(row["actor"], row["action"], row["subject"], row["unit"]) for row in trail(world)]


def version(world: World, number: int, document: str, on: dict[str, bool], origin: str = "file") -> Version:
    plugins = {unit: {"lead_scoring": {"enabled": enabled}} for unit, enabled in on.items()}
    return Version(number, world.clock.now(), "wang", "pilot over", origin, document, "x", {"plugins": plugins})


FIRST = '[sources.crm]\nsecret = "env:CANARY"\n[people.li]\nphone = "13800138000"\n[units.energy]\n'


def test_every_configuration_version_says_who_why_and_what_was_switched_where(world: World) -> None:
    second = FIRST.replace("13800138000", "13900139000") + "[units.energy.plugins.lead_scoring]\nenabled = false\n"
    with world.database.write() as connection:
        store_version(connection, version(world, 1, FIRST, {"energy": True, "building": False}))
    with world.database.write() as connection:
        store_version(connection, version(world, 2, second, {"energy": False, "building": False}, "switch"))
    with world.database.write() as connection:
        store_version(connection, version(world, 3, FIRST, {"energy": True, "building": False}, "rollback"))
    assert acts(world) == [
        ("wang", "config.applied", "config 1", None),
        ("wang", "plugin.enabled", "energy/lead_scoring", "energy"),
        ("wang", "config.switched", "config 2", None),
        ("wang", "plugin.disabled", "energy/lead_scoring", "energy"),
        ("wang", "config.rolled_back", "config 3", None),
        ("wang", "plugin.enabled", "energy/lead_scoring", "energy"),
    ]
    switched = trail(world)[2]["details"]
    assert switched["changed"] == ["people.li.phone", "units.energy.plugins.lead_scoring.enabled"]
    assert (switched["version"], switched["reason"], switched["changed_count"]) == (2, "pilot over", 2)
    documents = [row["details"]["document_sha256"] for row in trail(world)[::2]]
    assert documents[0] == documents[2] != documents[1]
    assert trail(world)[3]["details"] == {"version": 2, "reason": "pilot over"}


def test_a_version_that_comes_too_late_leaves_no_row(world: World) -> None:
    with pytest.raises(ConfigurationConflict), world.database.write() as connection:
        store_version(connection, version(world, 5, FIRST, {}))
    assert trail(world) == []


def test_a_quarantine_is_recorded_when_it_is_made_and_when_it_is_lifted(world: World) -> None:
    call = Call(event_seq=1, event_id="evt_1", plugin="lead_scoring", unit="energy", generation=0)
    for _ in range(4):  # the third makes it; the fourth finds it made
        with world.database.write() as connection:
            record_crash(connection, call, "signal 9", world.clock.now(), limit=3)
    for _ in range(2):
        with world.database.write() as connection:
            lift(connection, "energy", "lead_scoring", "wang", world.clock.now(), "mended in 1.1")
    with world.database.read() as connection:
        assert list_audit(connection, AuditFilter()).items[0]["details"] == {"reason": "mended in 1.1"}
        assert list_quarantines(connection)[0]["reason"] == "lifted: mended in 1.1"
    assert acts(world) == [
        ("supervisor", "quarantine.made", "energy/lead_scoring", "energy"),
        ("wang", "quarantine.lifted", "energy/lead_scoring", "energy"),
    ]


def test_retries_and_discards_are_recorded_without_the_reason_somebody_gave(world: World) -> None:
    event = world.event("first")
    number = world.delivery(event, status="discarded")
    world.message(event, "msg_1", status="discarded")
    work = world.app().extensions["outrigger"].interventions
    work.retry_delivery(number, actor="wang")
    work.discard_delivery(number, actor="wang", reason="远航铝业 asked for it")
    work.retry_message("msg_1", actor="wang")
    work.discard_message("msg_1", actor="wang", reason="远航铝业 asked for it")
    with pytest.raises(Conflict):
        work.discard_message("msg_1", actor="wang", reason="again")
    assert acts(world) == [
        ("wang", "delivery.retried", f"dlv_{number}", "energy"),
        ("wang", "delivery.discarded", f"dlv_{number}", "energy"),
        ("wang", "message.retried", "msg_1", "energy"),
        ("wang", "message.discarded", "msg_1", "energy"),
    ]
    assert trail(world)[1]["details"] == {"plugin": "lead_scoring", "event_id": event[1], "was": "available"}
    assert "远航" not in str(trail(world))


def test_replays_are_recorded_one_row_for_an_event_and_one_for_each_batch_of_a_set(world: World) -> None:
    world.version()
    first, second = world.event("first"), world.event("second")
    raw = json.dumps({"type": "lead.created", "data": {"id": "L-5"}})
    mended, broken = world.rejected("mended", raw), world.rejected("broken", "{}")
    replayer = world.app().extensions["outrigger"].replayer
    replayer.replay_event(first[1], actor="wang")
    chosen = EventFilter(status="dispatched", unit="energy")
    replayer.replay_set(chosen, replayer.estimate(chosen), actor="wang")
    replayer.replay_event(mended, actor="wang")
    assert acts(world) == [
        ("wang", "event.replayed", first[1], "energy"),
        ("wang", "event.replayed", f"{first[1]} to {second[1]}", "energy"),
        ("wang", "rejected.replayed", mended, None),
    ]
    assert trail(world)[1]["details"] == {
        "plugin": None, "outward": False, "events": 2, "deliveries": 4, "accepted": 0,
    }  # fmt: skip
    chosen = EventFilter(status="rejected")
    replayer.replay_set(chosen, replayer.estimate(chosen), actor="wang")
    assert acts(world)[3] == ("wang", "rejected.replayed", broken, None)
    assert trail(world)[3]["details"]["accepted"] == 0


def test_keys_are_recorded_when_made_and_revoked_and_a_second_revocation_is_none(world: World) -> None:
    keys = ApiKeys(world.database, world.clock)
    _, key = keys.create("console", role="reader", units=("energy",), created_by="wang")
    for _ in range(2):
        keys.revoke(key["id"], by="li")
    assert acts(world) == [("wang", "key.created", key["id"], None), ("li", "key.revoked", key["id"], None)]
    assert trail(world)[0]["details"] == {"name": "console", "role": "reader", "units": ["energy"]}


def test_a_person_s_decision_is_recorded_with_its_outcome_and_not_with_words_about_the_record(world: World) -> None:
    world.version()
    world.enabled["energy", "quote_approval"] = True
    configuration = dataclasses.replace(world.configuration(), calendars=build_calendars(BUILT_IN))
    desk = Desk(world.database, world.clock, lambda: configuration)
    decide = Decide(kind="approval", outcome="approved", summary="远航铝业 gets 5 %", rule="person_approve",
                    reasons=(Reason("good margin"),), inputs={"margin": 0.3})  # fmt: skip
    with desk.command(plugin="quote_approval", unit="energy", actor="wang") as command:
        command.decide(decide, source="crm", kind="quote", record_id="Q-1")
        identity = command.id
    with pytest.raises(RuntimeError), desk.command(plugin="quote_approval", unit="energy", actor="li") as command:
        command.decide(decide, source="crm", kind="quote", record_id="Q-1")
        raise RuntimeError("it did not fit")
    with desk.command(plugin="quote_approval", unit="energy", actor="li"):
        pass  # nothing decided, nothing to record
    assert acts(world) == [("wang", "quote_approval.decided", "quote/Q-1", "energy")]
    assert trail(world)[0]["details"] == {
        "command": identity, "source": "crm", "decision": "approval", "outcome": "approved", "rule": "person_approve",
    }  # fmt: skip


ACTS: dict[str, Callable[[World], Any]] = {
    "a key": lambda world: ApiKeys(world.database, world.clock).create("k", role="admin", created_by="wang"),
    "a retry": lambda world: (
        world.app()
        .extensions["outrigger"]
        .interventions.retry_delivery(world.delivery(world.event("e"), status="discarded"), actor="wang")
    ),
}


@pytest.mark.parametrize("name", ACTS)
def test_an_act_whose_row_cannot_be_written_is_not_done(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> int:
        raise RuntimeError("no trail, no act")

    before = _everything(world)
    monkeypatch.setattr("core.store.audit.append", refuse)
    with pytest.raises(RuntimeError):
        ACTS[name](world)
    after = _everything(world)
    assert after["api_keys"] == before["api_keys"] and after["audit"] == 0
    assert after["retried"] == 0


def _everything(world: World) -> dict[str, int]:
    with world.database.read() as connection:
        return {
            **{
                table: int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())
                for table in ("api_keys", "audit")
            },
            "retried": int(
                connection.exec_driver_sql("SELECT count(*) FROM deliveries WHERE status = 'available'").scalar_one()
            ),
        }


def test_no_secret_and_no_token_ever_stands_in_the_trail(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", "the-secret-of-the-crm")
    with world.database.write() as connection:
        store_version(connection, version(world, 1, FIRST, {"energy": True}))
    keys = ApiKeys(world.database, world.clock)
    token, key = keys.create("console", role="admin", created_by="wang")
    keys.revoke(key["id"], by="wang")
    with world.database.read() as connection:
        told = str(connection.execute(sa.select(audit)).fetchall())
    for secret in ("the-secret-of-the-crm", "env:CANARY", "13800138000", token, token[3:]):
        assert secret not in told
    assert key["id"] in told


def test_a_crash_and_a_switch_that_lifts_do_not_wait_for_each_other(postgres_url: str) -> None:
    """Both need the quarantine's row and the trail's lock, and take them in one order."""
    database = Database(postgres_url)
    migrate(database, [])
    world = World(database)
    call = Call(event_seq=1, event_id="evt_1", plugin="lead_scoring", unit="energy", generation=0)
    faults: list[Exception] = []

    def crash() -> None:
        with database.write() as connection:
            record_crash(connection, call, "signal 9", world.clock.now(), limit=1)

    def switch() -> None:
        with database.write() as connection:
            number = connection.exec_driver_sql("SELECT coalesce(max(number), 0) + 1 FROM config_versions")
            try:
                store_version(connection, version(world, int(number.scalar_one()), FIRST, {"energy": True}))
            except ConfigurationConflict:
                return
            lift(connection, "energy", "lead_scoring", "wang", world.clock.now())

    def again(act: Callable[[], None]) -> None:
        try:
            for _ in range(15):
                act()
        except Exception as error:
            faults.append(error)

    crash()
    threads = [threading.Thread(target=again, args=(act,)) for act in (crash, switch, crash, switch)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert faults == []
    with database.read() as connection:
        assert verify(connection).ok
        assert connection.execute(sa.select(quarantines.c.unit)).scalar_one() == "energy"
    database.close()
