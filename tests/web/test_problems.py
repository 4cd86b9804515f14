"""Every error has one shape, tells what to do, and shows nothing of the server."""

from __future__ import annotations

from typing import Any

import flask
import flask_smorest
import marshmallow as ma
import pytest
import sqlalchemy as sa

from core.model.errors import StorageUnavailable
from core.web import problems
from tests.web.test_access import TABLE, concrete
from tests.web.world import World

MEMBERS = {"type", "title", "status", "detail", "instance", "code", "errors"}


def check(answer: Any) -> dict[str, Any]:
    """Check the shape of a problem and return it."""
    assert answer.content_type == problems.MEDIA_TYPE
    body: dict[str, Any] = answer.get_json()
    assert set(body) == MEMBERS
    assert body["status"] == answer.status_code
    assert body["instance"] == answer.headers["X-Request-Id"]
    assert body["type"] == f"urn:outrigger:problem:{body['code']}"
    assert len(answer.data) <= 4096
    assert "Traceback" not in answer.text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    return body


def test_every_route_refuses_in_the_same_shape(sqlite_world: World) -> None:
    client, key = sqlite_world.app().test_client(), sqlite_world.key("admin")
    for method, rule in sorted(TABLE):
        path = concrete(rule)
        assert check(client.open(path, method=method))["code"] == "auth.required"
        assert check(client.open(path, method="DELETE", headers=key))["code"] == "method_not_allowed"
        if method == "GET":
            assert client.get(f"{path}?no_such=1", headers=key).status_code in (200, 404, 422)
        else:
            check(client.open(path, method=method, headers=key, data="{", content_type="application/json"))


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b'{"outward": true, "outward": false}', "application/json", 400),
        (b'{"outward": NaN}', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"plugin": ' + b"9" * 5_000 + b"}", "application/json", 400),
        (b'{"plugin": "a\\u0000b"}', "application/json", 400),
        (b'{"plugin": "\\ud800"}', "application/json", 400),
        (b"\xff\xfe{\x00}\x00", "application/json", 400),
        (b"\xef\xbb\xbf{}", "application/json", 400),
        (b"[]", "application/json", 422),
        (b'"x"', "application/json", 422),
        (b"1e400", "application/json", 400),
        (b"null", "application/json", 422),
        (b"<a/>", "text/xml", 415),
        (b"a=b", "application/x-www-form-urlencoded", 415),
        (b'{"plugin": "%s"}' % (b"x" * 1_100_000), "application/json", 413),
        (b'{"plugin": ["a"], "outward": "yes", "more": 1}', "application/json", 422),
    ],
)
def test_a_malformed_body_gets_a_clear_answer(sqlite_world: World, body: bytes, content_type: str, status: int) -> None:
    _, identity = sqlite_world.event("first")
    answer = sqlite_world.app().test_client().post(
        f"/api/v1/events/{identity}/replay", headers=sqlite_world.key("operator"), data=body, content_type=content_type
    )  # fmt: skip
    assert check(answer)["status"] == status, answer.text


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=1e9", "cursor=x", "cursor=", "type=%00", "status=acepted",
     "record=lead", "since=yesterday", "since=2026-13-01T00:00:00Z", "typ=lead.created", "limit=1&limit=2", "kind=x"],
)  # fmt: skip
def test_a_query_that_does_not_fit_is_named(sqlite_world: World, query: str) -> None:
    answer = sqlite_world.app().test_client().get(f"/api/v1/events?{query}", headers=sqlite_world.key("reader"))
    body = check(answer)
    assert (body["status"], body["code"]) == (422, "invalid_request")
    assert body["errors"] or body["detail"]


def test_a_misspelt_parameter_gets_the_nearest_name(sqlite_world: World) -> None:
    answer = sqlite_world.app().test_client().get("/api/v1/events?sorce=x", headers=sqlite_world.key("reader"))
    assert 'Did you mean "source"?' in check(answer)["errors"][0]["message"]


def test_a_wrong_address_or_method_is_answered_in_our_own_words(sqlite_world: World) -> None:
    client, key = sqlite_world.app().test_client(), sqlite_world.key("reader")
    nowhere = check(client.get("/api/v1/evnts", headers=key))
    assert (nowhere["code"], nowhere["detail"]) == (
        "not_found", 'There is nothing at "/api/v1/evnts"; the addresses stand in /docs.',
    )  # fmt: skip
    method = check(client.put("/api/v1/events", headers=key))
    assert (method["code"], method["detail"]) == (
        "method_not_allowed", "PUT is not taken here. Use GET, HEAD, OPTIONS.",
    )  # fmt: skip


def test_an_unexpected_error_shows_nothing_and_is_logged(sqlite_world: World, lines: Any) -> None:
    def broken() -> Any:
        raise RuntimeError("secret detail /etc/passwd")

    app = sqlite_world.app(plugins=broken)
    key = sqlite_world.key("reader")
    answer = app.test_client().get("/api/v1/plugins", headers=key)
    body = check(answer)
    assert (body["status"], body["code"]) == (500, "outrigger.error")
    assert "secret detail" not in answer.text
    said = [line for line in lines() if line["event"] == "unexpected error"]
    assert said[0]["request_id"] == body["instance"]
    assert "secret detail" in said[0]["exception"]


def test_a_database_that_is_away_is_a_503_that_says_when_to_come_back(sqlite_world: World) -> None:
    client, key = sqlite_world.app().test_client(), sqlite_world.key("reader")
    with sqlite_world.database.write() as connection:
        connection.exec_driver_sql("DROP TABLE timers")
    answer = client.get("/api/v1/timers", headers=key)
    body = check(answer)
    assert (body["status"], body["code"]) == (503, StorageUnavailable.code)
    assert answer.headers["Retry-After"] == "5"
    assert "timers" not in body["detail"]


def test_an_error_answer_stays_short(sqlite_world: World) -> None:
    query = "&".join(f"{'x' * 150}{number}=1" for number in range(40))
    answer = sqlite_world.app().test_client().get(f"/api/v1/events?{query}", headers=sqlite_world.key("reader"))
    assert check(answer)["status"] == 422


@pytest.mark.parametrize(
    ("given", "kept"), [("abc-1.2_3", True), ("", False), ("a b", False), ("x" * 101, False), ("évé", False)]
)
def test_a_request_keeps_its_senders_id_when_that_is_a_plain_word(sqlite_world: World, given: str, kept: bool) -> None:
    answer = sqlite_world.app().test_client().get("/nowhere", headers={"X-Request-Id": given})
    assert (check(answer)["instance"] == given) is kept


def test_a_trace_is_kept_and_anything_else_is_not(sqlite_world: World) -> None:
    client, trace = sqlite_world.app().test_client(), f"00-{'a' * 32}-{'b' * 16}-01"
    assert client.get("/healthz", headers={"traceparent": trace}).headers["traceparent"] == trace
    assert "traceparent" not in client.get("/healthz", headers={"traceparent": "x"}).headers


def test_answers_carry_the_headers_that_keep_browsers_careful(sqlite_world: World) -> None:
    client = sqlite_world.app().test_client()
    page = client.get("/docs")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    nonce = policy.partition("'nonce-")[2].partition("'")[0]
    assert f'<style nonce="{nonce}">' in page.text
    assert nonce not in client.get("/docs").text
    answer = client.get("/api/v1/units", headers=sqlite_world.key("reader"))
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_docs_page_needs_nothing_from_elsewhere_and_names_every_call(sqlite_world: World) -> None:
    page = sqlite_world.app().test_client().get("/docs").text
    assert "<script" not in page
    assert "//" not in page.replace("kind/id", "")
    for method, rule in TABLE:
        path = rule.replace("<path:", "{").replace("<", "{").replace(">", "}")
        assert f"<b>{method}</b> <code>{path}</code>" in page


def test_a_plugins_blueprint_gets_strict_bodies_problems_and_its_callers_units(sqlite_world: World) -> None:
    from core.web.auth import allowed_units, require

    class Body(ma.Schema):
        size = ma.fields.Integer(required=True, strict=True)

    own = flask_smorest.Blueprint("sizes", __name__, url_prefix="/sizes")

    @own.route("", methods=["POST"])
    @require("operator")
    @own.arguments(Body)
    @own.response(200)
    def sizes(body: dict[str, int]) -> dict[str, Any]:
        return {**body, "units": sorted(allowed_units() or [])}

    broken = flask.Blueprint("events", __name__)
    client = sqlite_world.app(plugin_blueprints=[broken, own]).test_client()
    key = sqlite_world.key("operator", "energy")
    assert client.post("/api/v1/sizes", headers=key, json={"size": 3}).get_json() == {"size": 3, "units": ["energy"]}
    assert check(client.post("/api/v1/sizes", headers=key, json={"size": "x"}))["errors"] == [
        {"path": "size", "message": "Not a valid integer."}
    ]
    twice = client.post("/api/v1/sizes", headers=key, data=b'{"size":1,"size":2}', content_type="application/json")
    assert check(twice)["status"] == 400
    assert client.post("/api/v1/sizes", json={"size": 3}).status_code == 401
    assert client.post("/api/v1/sizes", headers=sqlite_world.key("reader"), json={"size": 3}).status_code == 403


def test_webhooks_take_the_short_way_and_their_errors_are_problems_too(sqlite_world: World) -> None:
    hooks = flask.Blueprint("webhooks", __name__, url_prefix="/webhooks")
    seen: list[bool] = []

    @hooks.post("/<source>")
    def receive(source: str) -> Any:
        seen.append("request_id" in flask.g)
        if source == "full":
            raise StorageUnavailable("/var/lib is full")
        return {"event_ids": []}, 202

    client = sqlite_world.app(webhook_blueprint=hooks).test_client()
    answer = client.post("/webhooks/crm", data=b"x")
    assert (answer.status_code, seen) == (202, [False])
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    refused = client.post("/webhooks/full")
    assert check(refused)["status"] == 503
    assert "/var/lib" not in refused.text
    assert check(client.get("/webhooks/crm"))["status"] == 405


def test_a_statement_error_is_not_shown(sqlite_world: World) -> None:
    def wrong() -> Any:
        with sqlite_world.database.read() as connection:
            connection.execute(sa.text("SELECT secret_column FROM nowhere"))

    answer = sqlite_world.app(plugins=wrong).test_client().get("/api/v1/plugins", headers=sqlite_world.key("reader"))
    assert "secret_column" not in answer.text
    assert check(answer)["status"] == 503
