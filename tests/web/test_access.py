"""Who may do what: every route, role and unit against one table."""

from __future__ import annotations

import random
import re

import pytest
from flask.testing import FlaskClient

from core.web.auth import ROLES
from tests.web.world import World

READER = {
    ("GET", "/api/v1/events"),
    ("GET", "/api/v1/events/<event_id>"),
    ("GET", "/api/v1/deliveries"),
    ("GET", "/api/v1/deliveries/<delivery_id>"),
    ("GET", "/api/v1/records/<kind>/<path:record_id>"),
    ("GET", "/api/v1/decisions"),
    ("GET", "/api/v1/leads"),
    ("GET", "/api/v1/outbox"),
    ("GET", "/api/v1/outbox/<message_id>"),
    ("GET", "/api/v1/timers"),
    ("GET", "/api/v1/units"),
    ("GET", "/api/v1/units/<unit>"),
    ("GET", "/api/v1/units/<unit>/plugins"),
    ("GET", "/api/v1/units/<unit>/plugins/<plugin>"),
    ("GET", "/api/v1/plugins"),
    ("GET", "/api/v1/config/versions"),
    ("GET", "/api/v1/config/versions/<number>"),
    ("GET", "/api/v1/config/versions/<number>/diff"),
    ("GET", "/api/v1/quarantines"),
    ("GET", "/api/v1/people"),
    ("GET", "/api/v1/people/resolve"),
    ("GET", "/api/v1/people/<who>"),
    ("GET", "/api/v1/roles"),
    ("GET", "/api/v1/audit"),
    ("GET", "/api/v1/audit/head"),
    ("GET", "/api/v1/audit/<seq>"),
}
OPERATOR = {
    ("POST", "/api/v1/events/<event_id>/replay"),
    ("POST", "/api/v1/replays"),
    ("POST", "/api/v1/deliveries/<delivery_id>/retry"),
    ("POST", "/api/v1/deliveries/<delivery_id>/discard"),
    ("POST", "/api/v1/outbox/<message_id>/retry"),
    ("POST", "/api/v1/outbox/<message_id>/discard"),
}
ADMIN = {
    ("PATCH", "/api/v1/units/<unit>/plugins/<plugin>"),
    ("PATCH", "/api/v1/plugins/<plugin>"),
    ("PATCH", "/api/v1/people/<who>"),
    ("POST", "/api/v1/config/versions/<number>/rollback"),
}
TABLE = dict.fromkeys(READER, "reader") | dict.fromkeys(OPERATOR, "operator") | dict.fromkeys(ADMIN, "admin")
OPEN = {("GET", path) for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs")}


def concrete(rule: str) -> str:
    return re.sub(r"<(?:\w+:)?(\w+)>", r"no-such-\1", rule)


def test_every_route_is_in_the_table_and_nothing_else_is(sqlite_world: World) -> None:
    app = sqlite_world.app()
    routes = {
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.endpoint != "static" and not rule.rule.startswith("/pages/")  # their visitors are known by a link
    }
    assert routes == set(TABLE) | OPEN


def test_every_route_asks_for_exactly_the_role_of_the_table(sqlite_world: World) -> None:
    client = sqlite_world.app().test_client()
    keys = {role: sqlite_world.key(role) for role in ROLES}
    for (method, rule), least in sorted(TABLE.items()):
        path = concrete(rule)
        assert client.open(path, method=method).status_code == 401, (method, rule)
        for role in ROLES:
            answer = client.open(path, method=method, headers=keys[role], json={} if method != "GET" else None)
            is_allowed = ROLES.index(role) >= ROLES.index(least)
            assert (answer.status_code == 403) is not is_allowed, (method, rule, role, answer.status_code)
            assert answer.status_code < 500


def test_open_routes_need_no_key_and_show_no_record(world: World, client: FlaskClient) -> None:
    world.history()
    for _, path in sorted(OPEN):
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert "远航" not in answer.text


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer x", "Basic b2s6b2s=", "Bearer ok_" + "A" * 43, "bearer " + "ok_é" + "A" * 42]
)
def test_a_key_that_is_none_opens_nothing(sqlite_world: World, header: str) -> None:
    answer = sqlite_world.app().test_client().get("/api/v1/events", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.get_json()["code"] == "auth.required"


def test_a_revoked_key_opens_nothing_from_the_next_request_on(world: World) -> None:
    app = world.app()
    keys = app.extensions["outrigger"].keys
    token, key = keys.create("console", role="reader", created_by="tests")
    header = {"Authorization": f"Bearer {token}"}
    assert app.test_client().get("/api/v1/events", headers=header).status_code == 200
    keys.revoke(key["id"], by="tests")
    assert app.test_client().get("/api/v1/events", headers=header).status_code == 401
    assert token not in str(keys.list())


def test_a_key_of_one_unit_sees_nothing_of_another(world: World, client: FlaskClient) -> None:
    world.version()
    world.history()
    world.other_unit()
    mine, admin = world.key("admin", "energy"), world.key("admin")
    assert client.get("/api/v1/records/lead/L-9", headers=admin).status_code == 200
    theirs = client.get("/api/v1/events?unit=building", headers=admin).get_json()["items"][0]["id"]
    delivery = client.get("/api/v1/deliveries?unit=building", headers=admin).get_json()["items"][0]["id"]
    for path in ("events", "deliveries", "decisions", "leads", "outbox", "timers", "quarantines"):
        items = client.get(f"/api/v1/{path}", headers=mine).get_json()["items"]
        assert {item["unit"] for item in items} <= {"energy"}, path
        assert bool(items) or path == "quarantines"
    assert [unit["slug"] for unit in client.get("/api/v1/units", headers=mine).get_json()["items"]] == ["energy"]
    hidden = [
        ("GET", "/api/v1/records/lead/L-9"),
        ("GET", f"/api/v1/events/{theirs}"),
        ("POST", f"/api/v1/events/{theirs}/replay"),
        ("GET", f"/api/v1/deliveries/{delivery}"),
        ("POST", f"/api/v1/deliveries/{delivery}/retry"),
        ("GET", "/api/v1/outbox/msg_9"),
        ("POST", "/api/v1/outbox/msg_9/retry"),
        ("GET", "/api/v1/units/building"),
        ("GET", "/api/v1/units/building/plugins"),
        ("GET", "/api/v1/units/building/plugins/lead-scoring"),
    ]
    for method, path in hidden:
        body: dict[str, str] | None = {} if path.endswith("replay") else None
        answer = client.open(path, method=method, headers=mine, json=body)
        assert answer.status_code == 404, (method, path, answer.text)
        assert "building" not in answer.text or "units/building" in path
    switch = client.patch(
        "/api/v1/units/building/plugins/lead-scoring", headers=mine, json={"enabled": False, "reason": "x"}
    )
    assert switch.status_code == 404
    assert world.changed == []
    assert client.get("/api/v1/config/versions", headers=mine).status_code == 403


def test_random_ids_never_answer_with_something_of_another_unit(sqlite_world: World) -> None:
    sqlite_world.other_unit()
    client, mine = sqlite_world.app().test_client(), sqlite_world.key("reader", "energy")
    chance = random.Random(7)
    paths = ["events/evt_{}", "deliveries/dlv_{}", "outbox/msg_{}", "records/lead/L-{}"]
    for number in range(400):
        path = chance.choice(paths).format(chance.choice([number % 12, f"{chance.getrandbits(128):032x}"]))
        assert client.get(f"/api/v1/{path}", headers=mine).status_code == 404, path


def test_an_event_whose_unit_is_only_claimed_is_not_shown_to_a_key_of_one_unit(
    world: World, client: FlaskClient
) -> None:
    _, claimed = world.event("claimed", status="accepted", unit="energy")
    rejected = world.rejected("bad", "{}")
    for identity in (claimed, rejected):
        assert client.get(f"/api/v1/events/{identity}", headers=world.key("reader", "energy")).status_code == 404
        assert client.get(f"/api/v1/events/{identity}", headers=world.key("reader")).status_code == 200
