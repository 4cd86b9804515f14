"""What the API shows: lists, single things, journeys and cursors."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.model.errors import InvalidRequest
from core.store.reading.pages import decode_cursor, encode_cursor
from tests.web.world import World

LISTS = ("events", "deliveries", "decisions", "leads", "outbox", "timers")


def test_a_journey_tells_everything_that_happened_and_why(world: World, client: FlaskClient) -> None:
    world.history()
    answer = client.get("/api/v1/records/lead/L-1", headers=world.key("reader"))
    record = answer.get_json()
    assert record["snapshot"]["company"] == "远航铝业"
    steps = record["journey"]
    assert [step["at"] for step in steps] == sorted(step["at"] for step in steps)
    told = [step["text"] for step in steps]
    assert told[0] == "lead.created from crm: changed company"
    assert "lead_scoring: completed" in told
    assert "lead_scoring decided lead_grade: A 级" in told
    assert "lead_scoring set grade = A" in told
    assert "update_record to crm: sent" in told
    assert "timer remind of lead_scoring will fire" in told
    assert "lead_scoring: retryable (ValueError: no table), attempt 1" in told
    assert any(text.startswith("lead_scoring: waiting for lead.updated evt_") for text in told)
    reasons = next(step for step in steps if step["step"] == "decision")["details"]["reasons"]
    assert reasons[0]["text"] == "行业匹配 industry fits"
    assert record["hidden"] == 0


def test_a_record_says_for_each_field_its_version_and_origin(world: World, client: FlaskClient) -> None:
    world.history()
    record = client.get("/api/v1/records/lead/L-1", headers=world.key("reader")).get_json()
    fields = {field["path"]: field for field in record["fields"]}
    assert fields["company"] | {"set_at": None} == {
        "path": "company", "version": "7", "origin": "crm", "plugin": None, "set_at": None,
    }  # fmt: skip
    assert fields["contact.name"]["version"] == "2023-11-14T22:13:20Z"
    assert (fields["grade"]["origin"], fields["grade"]["plugin"]) == ("outrigger", "lead_scoring")


def test_a_long_journey_keeps_its_latest_steps(world: World, client: FlaskClient) -> None:
    world.record()
    for number in range(30):
        world.event(f"e{number}")
        world.clock.move(timedelta(seconds=1))
    record = client.get("/api/v1/records/lead/L-1?limit=5", headers=world.key("reader")).get_json()
    assert len(record["journey"]) == 5
    assert record["more"] is True
    assert record["journey"][-1]["at"] == "2026-03-02T08:00:29Z"


def test_a_record_of_several_sources_asks_which(world: World, client: FlaskClient) -> None:
    world.record()
    world.record(source="erp")
    key = world.key("reader")
    answer = client.get("/api/v1/records/lead/L-1", headers=key)
    assert answer.status_code == 422
    assert answer.get_json()["errors"] == [{"path": "source", "message": "One of: crm, erp"}]
    assert client.get("/api/v1/records/lead/L-1?source=erp", headers=key).get_json()["source"] == "erp"


def test_a_record_that_changed_units_hides_the_steps_of_the_old_one(world: World, client: FlaskClient) -> None:
    world.record(unit="building")
    world.event("before", unit="energy")
    world.event("after", "lead.updated", unit="building")
    record = client.get("/api/v1/records/lead/L-1", headers=world.key("reader", "building")).get_json()
    assert [step["unit"] for step in record["journey"]] == ["building"]
    assert record["hidden"] == 1


def test_record_ids_may_hold_slashes_and_chinese(world: World, client: FlaskClient) -> None:
    world.record(record_id="客户/2026//7")
    answer = client.get("/api/v1/records/lead/客户%2F2026%2F%2F7", headers=world.key("reader"))
    assert answer.get_json()["id"] == "客户/2026//7"


def test_an_event_shows_what_came_of_it(world: World, client: FlaskClient) -> None:
    first = world.history()
    world.event("follow", "lead.updated", caused_by=first[1], origin="plugin")
    event = client.get(f"/api/v1/events/{first[1]}", headers=world.key("reader")).get_json()
    assert [item["standing"] for item in event["deliveries"]] == ["completed"]
    assert event["decisions"][0]["outcome"] == "A"
    assert event["messages"][0]["id"] == "msg_1"
    assert [item["type"] for item in event["follow_ups"]] == ["lead.updated"]
    assert event["data"]["company"] == "远航铝业"


def test_a_rejected_event_shows_its_faults_and_what_it_looked_like(world: World, client: FlaskClient) -> None:
    identity = world.rejected("bad", '{"type": "lead.created"}')
    event = client.get(f"/api/v1/events/{identity}", headers=world.key("reader")).get_json()
    assert event["errors"] == [{"path": "lead.id", "message": "Missing"}]
    assert event["raw"] == '{"type": "lead.created"}'


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("type=lead.updated", 2), ("source=crm", 3), ("source=erp", 0), ("unit=energy", 3), ("status=dispatched", 3),
        ("status=rejected", 0), ("record=lead/L-1", 3), ("record=lead/L-2", 0), ("since=2026-03-02T08:05:00Z", 2),
        ("until=2026-03-02T16:05:00%2B08:00", 1), ("kind=lead&record_id=L-1", 3),
    ],
)  # fmt: skip
def test_events_are_filtered(world: World, client: FlaskClient, query: str, number: int) -> None:
    world.history()
    answer = client.get(f"/api/v1/events?{query}", headers=world.key("reader"))
    assert len(answer.get_json()["items"]) == number, answer.text


def test_leads_show_grade_owner_and_the_reasons_of_the_latest_grade(world: World, client: FlaskClient) -> None:
    first = world.history()
    world.decision(first, outcome="B", summary="B 级", reasons=[{"text": "later"}])
    world.decision(first, decision="lead_assignment", outcome="李")
    key = world.key("reader")
    (lead,) = client.get("/api/v1/leads?grade=A", headers=key).get_json()["items"]
    assert lead["decision"]["reasons"] == [{"text": "later"}]
    assert client.get("/api/v1/leads?grade=F", headers=key).get_json()["items"] == []


@pytest.mark.parametrize("listing", ["events", "leads", "timers"])
def test_cursors_stay_right_while_rows_arrive(world: World, client: FlaskClient, listing: str) -> None:
    key = world.key("reader")
    for number in range(7):
        event = world.event(f"e{number}", record_id=f"L-{number}")
        world.record(record_id=f"L-{number}")
        world.timer(event, f"tmr_{number}")
        world.clock.move(timedelta(seconds=number % 2))
    seen: list[str] = []
    cursor, turn = None, 0
    while cursor or not seen:
        query = f"?limit=2&cursor={cursor}" if cursor else "?limit=2"
        page = client.get(f"/api/v1/{listing}{query}", headers=key).get_json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
        turn += 1
        world.clock.move(timedelta(seconds=1))
        if listing != "timers":  # a timer that falls due later belongs behind, the others in front
            world.event(f"new{turn}", record_id=f"N-{turn}")
            world.record(record_id=f"N-{turn}")
    assert len(seen) == len(set(seen)) == 7
    assert turn == 4


@given(text=st.text(max_size=60))
def test_any_other_text_is_no_cursor(text: str) -> None:
    with pytest.raises(InvalidRequest):
        decode_cursor("events", text, int)


@given(number=st.integers(0, 2**63 - 1), name=st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00")))
def test_a_cursor_names_the_place_it_was_made_for(number: int, name: str) -> None:
    cursor = encode_cursor("timers", number, name)
    assert decode_cursor("timers", cursor, int, str) == [number, name]
    with pytest.raises(InvalidRequest):
        decode_cursor("leads", cursor, int, str)


@pytest.mark.parametrize("listing", LISTS)
def test_every_list_has_the_same_shape_and_its_items_can_be_looked_at(
    world: World, client: FlaskClient, listing: str
) -> None:
    world.history()
    key = world.key("reader")
    page = client.get(f"/api/v1/{listing}", headers=key).get_json()
    assert set(page) == {"items", "next"}
    assert page["items"]
    if listing in ("events", "deliveries", "outbox"):
        one = client.get(f"/api/v1/{listing}/{page['items'][0]['id']}", headers=key).get_json()
        assert page["items"][0].items() <= one.items()


def test_an_unchanged_thing_is_not_sent_twice(world: World, client: FlaskClient) -> None:
    first = world.history()
    key = world.key("reader")
    for path in (f"events/{first[1]}", "records/lead/L-1", "units/energy/plugins/lead-scoring", "outbox/msg_1"):
        tag = client.get(f"/api/v1/{path}", headers=key).headers["ETag"]
        again = client.get(f"/api/v1/{path}", headers={**key, "If-None-Match": tag})
        assert (again.status_code, again.data) == (304, b"")
    before = client.get("/api/v1/records/lead/L-1", headers=key).headers["ETag"]
    world.event("newer", "lead.updated")
    assert client.get("/api/v1/records/lead/L-1", headers={**key, "If-None-Match": before}).status_code == 200


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=20)
@given(name=st.text(min_size=1, max_size=20))
def test_no_id_brings_the_server_down(sqlite_world: World, name: str) -> None:
    from urllib.parse import quote

    client, key = sqlite_world.app().test_client(), sqlite_world.key("reader")
    safe = quote(name, safe="", errors="surrogatepass")
    for path in ("events/", "deliveries/", "records/lead/", "records/", "units/", "config/versions/"):
        assert client.get(f"/api/v1/{path}{safe}", headers=key).status_code in (404, 200), path
