"""What operators and admins do by the API: replay, retry, discard, switch; each safe to repeat."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from core import signals
from core.model.errors import CommitUncertain, StorageUnavailable
from core.model.events import event_id
from core.pipeline import replay
from core.store.tables import deliveries, events, idempotency_keys, outbox
from tests.web.world import World


def test_a_replayed_event_gets_new_deliveries_whose_messages_stay_inside(world: World, client: FlaskClient) -> None:
    first = world.event("first")
    world.delivery(first)
    key = world.key("operator")
    answer = client.post(f"/api/v1/events/{first[1]}/replay", headers=key, json={})
    assert answer.status_code == 202
    assert answer.get_json()["deliveries_count"] == 2
    client.post(f"/api/v1/events/{first[1]}/replay", headers=key, json={"plugin": "lead_scoring", "outward": True})
    found = [(row.plugin, row.generation, row.outward, row.status) for row in world.rows(deliveries)]
    assert found == [
        ("lead_scoring", 0, True, "completed"),
        ("audit_copy", 1, False, "available"),
        ("lead_scoring", 1, False, "available"),
        ("lead_scoring", 2, True, "available"),
    ]
    assert world.woken == 2


@pytest.mark.parametrize(
    ("status", "more", "code"),
    [("accepted", {}, 409), ("skipped", {"status_reason": "superseded"}, 409)],
)
def test_an_event_that_started_nothing_is_not_replayed(
    world: World, client: FlaskClient, status: str, more: dict[str, Any], code: int
) -> None:
    _, identity = world.event("quiet", status=status, **more)
    answer = client.post(f"/api/v1/events/{identity}/replay", headers=world.key("operator"), json={})
    assert answer.status_code == code
    assert world.rows(deliveries) == []


def test_a_replay_for_a_plugin_that_is_off_or_unknown_says_so(world: World, client: FlaskClient) -> None:
    _, identity = world.event("first")
    world.enabled[("energy", "lead_scoring")] = False
    key, path = world.key("operator"), f"/api/v1/events/{identity}/replay"
    off = client.post(path, headers=key, json={"plugin": "lead_scoring"})
    assert (off.status_code, off.get_json()["code"]) == (409, "conflict")
    unknown = client.post(path, headers=key, json={"plugin": "lead_scorin"})
    assert 'Did you mean "lead_scoring"?' in unknown.get_json()["detail"]


def test_a_rejected_event_is_accepted_anew_once_it_maps(world: World, client: FlaskClient) -> None:
    raw = json.dumps({"type": "lead.created", "data": {"id": "L-7"}})
    identity = world.rejected("mended", raw)
    assert identity == event_id("crm", "mended")
    later = world.event("later")
    answer = client.post(f"/api/v1/events/{identity}/replay", headers=world.key("operator"), json={})
    assert answer.get_json()["accepted"] == [identity]
    (row,) = world.rows(events, events.c.id == identity)
    assert (row.status, row.record_id) == ("accepted", "L-7")
    assert row.seq > later[0], "it is accepted now, so it stands behind what was accepted before"


def test_a_rejected_event_that_still_does_not_map_stays_as_it_was(world: World, client: FlaskClient) -> None:
    identity = world.rejected("broken", '{"type": "lead.opend"}')
    answer = client.post(f"/api/v1/events/{identity}/replay", headers=world.key("operator"), json={})
    assert (answer.status_code, answer.get_json()["code"]) == (422, "event.rejected")
    assert [row.status for row in world.rows(events)] == ["rejected"]


def test_a_set_is_estimated_first_and_only_that_set_is_run(world: World, client: FlaskClient) -> None:
    for number in range(4):
        world.event(f"e{number}", record_id=f"L-{number}")
    world.event("other", "lead.updated")
    world.event("skipped", status="skipped")
    key = world.key("operator")
    asked = {"filter": {"type": "lead.created"}, "plugin": "lead_scoring", "estimate": True}
    estimate = client.post("/api/v1/replays", headers=key, json=asked)
    assert estimate.status_code == 200
    found = estimate.get_json()
    assert (found["events"], found["by_type"]) == (4, {"lead.created": 4})
    assert (found["deliveries_count"], found["by_plugin"]) == (4, {"lead_scoring": 4})
    assert world.rows(deliveries) == []
    world.event("too_late", record_id="L-99")
    done = client.post("/api/v1/replays", headers=key, json={"plan": found["plan"]})
    assert (done.status_code, done.get_json()["deliveries_count"]) == (202, 4)
    assert [row.record_id for row in world.rows(deliveries)] == ["L-0", "L-1", "L-2", "L-3"]


def test_a_set_of_rejected_events_is_mapped_again_after_its_estimate(world: World, client: FlaskClient) -> None:
    for number in range(3):
        world.rejected(f"mended{number}", f'{{"type": "lead.created", "data": {{"id": "L-{number}"}}}}')
    world.rejected("broken", '{"type": "lead.opend"}')
    world.rejected("elsewhere", '{"type": "lead.created", "data": {"id": "L-9"}}')
    with world.database.write() as connection:
        connection.execute(sa.update(events).where(events.c.body_hash == "elsewhere").values(source="other"))
    world.event("dispatched")
    key = world.key("operator")
    asked = {"estimate": True, "filter": {"status": "rejected", "source": "crm"}}
    found = client.post("/api/v1/replays", headers=key, json=asked).get_json()
    assert (found["events"], found["deliveries_count"], found["by_type"]) == (4, 0, {"lead.created": 4})
    assert len(world.rows(events, events.c.status == "rejected")) == 5
    done = client.post("/api/v1/replays", headers=key, json={"plan": found["plan"]})
    body = done.get_json()
    assert (done.status_code, body["events"], body["accepted_count"], body["still_rejected"]) == (202, 4, 3, 1)
    ((reason, count),) = body["reasons"].items()
    assert (reason.startswith("It still does not map: "), count) == (True, 1)
    accepted = world.rows(events, events.c.status == "accepted")
    assert [row.record_id for row in accepted] == ["L-0", "L-1", "L-2"]
    assert [row.id for row in accepted] == body["accepted"]
    assert len(world.rows(events, events.c.status == "rejected")) == 2
    assert world.rows(deliveries) == []


def test_a_key_of_one_unit_maps_no_rejected_event_again(world: World, client: FlaskClient) -> None:
    world.rejected("mended", '{"type": "lead.created", "data": {"id": "L-1"}}')
    asked = {"estimate": True, "filter": {"status": "rejected"}}
    found = client.post("/api/v1/replays", headers=world.key("operator", "energy"), json=asked).get_json()
    assert found["events"] == 0
    named = client.post("/api/v1/replays", headers=world.key("operator"), json={**asked, "plugin": "lead_scoring"})
    assert (named.status_code, "goes to every plugin" in named.get_json()["detail"]) == (422, True)


def test_a_plan_that_no_longer_fits_is_refused_before_anything_is_written(world: World, client: FlaskClient) -> None:
    world.event("first")
    key = world.key("operator")
    found = client.post("/api/v1/replays", headers=key, json={"estimate": True}).get_json()
    world.enabled[("energy", "audit_copy")] = False
    answer = client.post("/api/v1/replays", headers=key, json={"plan": found["plan"]})
    assert answer.status_code == 409
    assert world.rows(deliveries) == []


def test_a_plan_gives_a_key_of_one_unit_nothing_of_another(world: World, client: FlaskClient) -> None:
    world.event("mine")
    world.event("theirs", unit="building")
    plan = client.post("/api/v1/replays", headers=world.key("operator"), json={"estimate": True}).get_json()["plan"]
    answer = client.post("/api/v1/replays", headers=world.key("operator", "energy"), json={"plan": plan})
    assert answer.status_code == 409
    assert world.rows(deliveries) == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"plan": "x"},
        {"plan": "e30="},
        {"plan": "eA==", "estimate": True},
        {"estimate": True, "filter": {"kind": "led"}},
        {"plan": "e30=", "filter": {}},
        {"estimate": True, "filter": {"status": "skipped"}},
    ],
)
def test_a_replay_that_says_too_little_or_too_much_is_refused(sqlite_world: World, body: dict[str, Any]) -> None:
    answer = sqlite_world.app().test_client().post("/api/v1/replays", headers=sqlite_world.key("operator"), json=body)
    assert (answer.status_code, answer.get_json()["code"]) == (422, "invalid_request")


def test_a_discarded_delivery_runs_again_with_all_its_attempts(world: World, client: FlaskClient) -> None:
    number = world.delivery(world.event("first"), status="discarded", attempts=12)
    world.delivery(world.event("second", "lead.updated"))
    world.clock.move(timedelta(hours=1))
    answer = client.post(f"/api/v1/deliveries/dlv_{number}/retry", headers=world.key("operator"))
    shown = answer.get_json()
    assert (answer.status_code, shown["status"], shown["attempts"]) == (202, "available", 0)
    assert shown["out_of_order"] is True, "a later event of the record was handled meanwhile"
    assert shown["reason"].startswith("retried by operator (key_")


@pytest.mark.parametrize("status", ["completed", "skipped", "waiting", "available"])
def test_only_what_failed_or_sleeps_can_be_retried(world: World, client: FlaskClient, status: str) -> None:
    number = world.delivery(world.event("first"), status=status)
    answer = client.post(f"/api/v1/deliveries/{number}/retry", headers=world.key("operator"))
    assert answer.status_code == 409, answer.text


def test_a_quarantined_delivery_waits_for_its_plugin_to_be_switched_on(world: World, client: FlaskClient) -> None:
    world.other_unit()
    event = world.event("first", unit="building")
    number = world.delivery(event, unit="building", status="quarantined")
    answer = client.post(f"/api/v1/deliveries/{number}/retry", headers=world.key("operator"))
    assert answer.status_code == 409
    assert "quarantine" in answer.get_json()["detail"]


def test_discarding_lets_go_what_waited_and_tells_observers(world: World, client: FlaskClient) -> None:
    told: list[dict[str, Any]] = []

    def observer(sender: str, **values: Any) -> None:
        told.append({"unit": sender, **values})

    world.history()
    stuck = world.rows(deliveries, deliveries.c.status == "retryable")[0]
    with signals.delivery_discarded.connected_to(observer):
        answer = client.post(
            f"/api/v1/deliveries/{stuck.id}/discard", headers=world.key("operator"), json={"reason": "坏数据"}
        )
    assert answer.get_json()["status"] == "discarded"
    assert answer.get_json()["reason"].endswith(": 坏数据")
    assert [row.status for row in world.rows(deliveries)] == ["completed", "discarded", "available"]
    assert told[0]["plugin"] == "lead_scoring"
    again = client.post(f"/api/v1/deliveries/{stuck.id}/discard", headers=world.key("operator"), json={"reason": "x"})
    assert again.status_code == 409


def test_a_message_is_sent_again_or_given_up(world: World, client: FlaskClient) -> None:
    event = world.event("first")
    world.message(event, "msg_dead", status="discarded")
    world.message(event, "msg_new")
    world.message(event, "msg_sent", status="sent")
    key = world.key("operator")
    assert client.post("/api/v1/outbox/msg_dead/retry", headers=key).get_json()["status"] == "available"
    gone = client.post("/api/v1/outbox/msg_new/discard", headers=key, json={"reason": "wrong"})
    assert gone.get_json()["status"] == "discarded"
    assert client.post("/api/v1/outbox/msg_sent/retry", headers=key).status_code == 409
    assert client.post("/api/v1/outbox/msg_sent/discard", headers=key, json={"reason": "x"}).status_code == 409
    assert [row.attempts for row in world.rows(outbox)] == [0, 3, 3]


def test_an_admin_switches_a_plugin_with_a_reason(world: World, client: FlaskClient) -> None:
    answer = client.patch(
        "/api/v1/units/energy/plugins/lead-scoring", headers=world.key("admin", "energy"),
        json={"enabled": False, "reason": "试点 pilot"},
    )  # fmt: skip
    assert (answer.status_code, answer.get_json()["enabled"], answer.get_json()["config_version"]) == (200, False, 2)
    (change,) = world.changed
    assert change["changes"] == {("units", "energy", "plugins", "lead_scoring", "enabled"): False}
    assert change["reason"] == "试点 pilot"
    assert change["actor"].startswith("admin (key_")
    near = client.get("/api/v1/units/energy/plugins/lead-scorin", headers=world.key("reader"))
    assert 'Did you mean "lead_scoring"?' in near.get_json()["detail"]


def test_the_same_idempotency_key_acts_once_and_answers_the_same(world: World, client: FlaskClient) -> None:
    _, identity = world.event("first")
    key = {**world.key("operator"), "Idempotency-Key": "one"}
    path = f"/api/v1/events/{identity}/replay"
    first = client.post(path, headers=key, json={})
    second = client.post(path, headers=key, json={})
    assert (second.status_code, second.get_json()) == (202, first.get_json())
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(world.rows(deliveries)) == 2
    other = client.post(path, headers=key, json={"outward": True})
    assert other.status_code == 422
    somebody = {**world.key("operator"), "Idempotency-Key": "one"}
    assert client.post(path, headers=somebody, json={}).get_json() != first.get_json()


def test_a_failed_call_may_be_made_again_under_its_key_and_old_keys_are_forgotten(
    world: World, client: FlaskClient
) -> None:
    key = {**world.key("operator"), "Idempotency-Key": "two"}
    assert client.post("/api/v1/outbox/msg_x/retry", headers=key).status_code == 404
    world.message(world.event("first"), "msg_x", status="discarded")
    assert client.post("/api/v1/outbox/msg_x/retry", headers=key).status_code == 202
    world.clock.move(timedelta(hours=25))
    assert client.post("/api/v1/outbox/msg_x/retry", headers={**key, "Idempotency-Key": "3"}).status_code == 409
    assert world.rows(idempotency_keys) == []


@pytest.mark.parametrize(("failure", "doubtful"), [(StorageUnavailable, False), (CommitUncertain, True)])
def test_a_replay_that_ended_half_way_says_how_far_it_came_and_is_not_begun_again_under_its_key(
    world: World,
    client: FlaskClient,
    monkeypatch: pytest.MonkeyPatch,
    failure: type[StorageUnavailable],
    doubtful: bool,
) -> None:
    monkeypatch.setattr(replay, "BATCH", 2)
    identities = [world.event(f"e{number}", record_id=f"L-{number}")[1] for number in range(5)]
    key = world.key("operator")
    asked = {"filter": {"type": "lead.created"}, "plugin": "lead_scoring", "estimate": True}
    plan = client.post("/api/v1/replays", headers=key, json=asked).get_json()["plan"]
    notify, batches = replay.notify, []

    def notify_or_fail(connection: Any) -> None:
        batches.append(connection)
        if len(batches) == 2:
            raise failure
        notify(connection)

    monkeypatch.setattr(replay, "notify", notify_or_fail)
    once = {**key, "Idempotency-Key": "half"}
    ended = client.post("/api/v1/replays", headers=once, json={"plan": plan})
    assert (ended.status_code, ended.get_json()["code"]) == (500, "replay.cut_off")
    assert "after 2 of 5 events" in ended.get_json()["detail"] and identities[1] in ended.get_json()["detail"]
    assert ("Whether the next 2 are replayed too is not known" in ended.get_json()["detail"]) == doubtful
    again = client.post("/api/v1/replays", headers=once, json={"plan": plan})
    assert (again.status_code, "look before you repeat it" in again.get_json()["detail"]) == (409, True)
    assert [row.record_id for row in world.rows(deliveries)] == ["L-0", "L-1"]


def test_a_call_whose_end_nobody_knows_keeps_its_key(
    world: World, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, identity = world.event("first")
    replay_event = replay.Replayer.replay_event

    def commit_without_an_answer(*arguments: Any, **named: Any) -> Any:
        replay_event(*arguments, **named)
        raise StorageUnavailable("the server closed the connection unexpectedly")

    monkeypatch.setattr(replay.Replayer, "replay_event", commit_without_an_answer)
    key, path = {**world.key("operator"), "Idempotency-Key": "lost"}, f"/api/v1/events/{identity}/replay"
    assert client.post(path, headers=key, json={}).status_code == 503
    assert client.post(path, headers=key, json={}).status_code == 409
    assert len(world.rows(deliveries)) == 2


def test_of_many_at_once_under_one_key_one_acts(world: World) -> None:
    _, identity = world.event("first")
    app, key = world.app(), {**world.key("operator"), "Idempotency-Key": "race"}
    answers: list[int] = []

    def call() -> None:
        answers.append(app.test_client().post(f"/api/v1/events/{identity}/replay", headers=key, json={}).status_code)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers) <= {202, 409}
    assert len(world.rows(deliveries)) == 2


def test_without_the_parts_of_the_composition_root_the_calls_say_so(world: World) -> None:
    world.version()
    client = world.app(change=None, roll_back=None, remap=None).test_client()
    identity = world.rejected("bad", "{}")
    key = world.key("admin")
    assert client.post(f"/api/v1/events/{identity}/replay", headers=key, json={}).status_code == 409
    off = {"enabled": False, "reason": "x"}
    assert client.patch("/api/v1/units/energy/plugins/lead_scoring", headers=key, json=off).status_code == 409
    assert client.patch("/api/v1/plugins/lead_scoring", headers=key, json=off).status_code == 409
    assert client.post("/api/v1/config/versions/1/rollback", headers=key, json={"reason": "x"}).status_code == 409
