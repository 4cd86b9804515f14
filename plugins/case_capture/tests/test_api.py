"""The case library over HTTP: who may do what, versions as ETags, and answers a program can read."""

from __future__ import annotations

import pytest

from plugins.case_capture import rules
from plugins.case_capture.tests.bench import data

COMPLAINT = rules.case_id("crm", "complaint", "C-1001", "complaint")
PATH = f"/cases/{COMPLAINT}"


@pytest.fixture
def call(bench):
    bench.send("complaint.resolved", data("complaint.resolved"))
    return bench.web()


def test_a_case_is_read_edited_reviewed_published_found_and_withdrawn(call):
    shown = call("GET", PATH)
    assert (shown.status_code, shown.headers["ETag"], shown.json["status"]) == (200, '"1"', "draft")
    assert shown.json["history"][0]["step"] == "draft"
    edited = call("PATCH", PATH, json={"fields": {"prevention": "每班点检"}}, headers={"If-Match": '"1"'})
    assert (edited.status_code, edited.headers["ETag"]) == (200, '"2"')
    assert call("POST", PATH + "/review", json={"version": 2}).json["status"] == "reviewed"
    published = call("POST", PATH + "/publish", json={}, headers={"If-Match": '"3"'})
    assert published.json["published_by"].startswith("test")
    (match,) = call("GET", "/cases/search", query_string={"q": "表面划痕 6063"}).json["items"]
    assert match["case"]["id"] == COMPLAINT
    assert match["score"] > 0
    assert {"表面划痕", "6063"} == set(match["matched"])
    assert {"field": "title", "start": 0, "end": 4} in match["highlights"]
    withdrawn = call("POST", PATH + "/withdraw", json={"version": 4, "reason": "Wrong"})
    assert withdrawn.json["status"] == "withdrawn"
    assert call("GET", "/cases/search", query_string={"q": "划痕"}).json == {"items": []}


def test_a_stale_version_is_answered_with_409(call):
    call("POST", PATH + "/review", json={"version": 1})
    late = call("POST", PATH + "/publish", json={"version": 1})
    assert (late.status_code, late.json["code"]) == (409, "conflict")
    assert call("PATCH", PATH, json={"title": "x"}, headers={"If-Match": '"1"'}).status_code == 409


@pytest.mark.parametrize("headers", [{}, {"If-Match": "*"}, {"If-Match": '"1", "2"'}, {"If-Match": '"x"'}])
def test_an_edit_must_say_which_version_it_read(call, headers):
    refused = call("PATCH", PATH, json={"title": "x"}, headers=headers)
    assert (refused.status_code, refused.json["errors"][0]["path"]) == (422, "If-Match")


def test_an_unchanged_case_is_not_sent_twice(call):
    assert call("GET", PATH, headers={"If-None-Match": '"1"'}).status_code == 304
    assert call("GET", PATH, headers={"If-None-Match": '"7"'}).status_code == 200


def test_a_list_is_paged_and_narrowed(bench, call):
    bench.send("lead.lost", data("lead.lost"))
    first = call("GET", "/cases", query_string={"limit": 1}).json
    second = call("GET", "/cases", query_string={"limit": 1, "cursor": first["next"]}).json
    assert [item["kind"] for item in first["items"] + second["items"]] == ["lost_deal", "complaint"]
    assert second["next"] is None
    assert len(call("GET", "/cases", query_string={"kind": "complaint", "alloy": "6063-T5"}).json["items"]) == 1
    assert call("GET", "/cases", query_string={"status": "published"}).json["items"] == []


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/cases/case_nothing", {}, 404),
        ("GET", "/cases/search", {}, 422),
        ("GET", "/cases/search", {"query_string": {"q": ""}}, 422),
        ("GET", "/cases", {"query_string": {"kind": "loss"}}, 422),
        ("GET", "/cases", {"query_string": {"limit": "0"}}, 422),
        ("GET", "/cases", {"query_string": {"cursor": "***"}}, 422),
        ("GET", "/cases", {"query_string": {"cursor": "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk6Yw"}}, 422),
        ("PATCH", PATH, {"json": {"version": 1, "fields": {"causes": "x"}}}, 422),
        ("PATCH", PATH, {"json": {"version": 1, "fields": "x"}}, 422),
        ("PATCH", PATH, {"json": {"version": 1, "titel": "x"}}, 422),
        ("POST", PATH + "/withdraw", {"json": {"version": 1}}, 422),
        ("POST", PATH + "/review", {"json": {"version": True}}, 422),
        ("POST", PATH + "/review", {"json": {"version": 10**18}}, 409),
    ],
)
def test_bad_input_gets_a_clear_answer(call, method, path, options, status):
    refused = call(method, path, **options)
    assert refused.status_code == status
    assert refused.mimetype == "application/problem+json"
    assert refused.json["code"]


def test_a_reader_may_look_but_not_decide(bench, call):
    reader = bench.web(role="reader")
    assert reader("GET", PATH).status_code == 200
    for step in ("review", "publish", "withdraw"):
        assert reader("POST", f"{PATH}/{step}", json={"version": 1, "reason": "x"}).status_code == 403
    assert reader("PATCH", PATH, json={"version": 1, "title": "x"}).status_code == 403


def test_a_key_of_another_unit_sees_nothing(bench, call):
    stranger = bench.web(units=["packaging"])
    assert stranger("GET", PATH).status_code == 404
    assert stranger("POST", PATH + "/review", json={"version": 1}).status_code == 404
    assert stranger("GET", "/cases").json["items"] == []
    assert stranger("GET", "/cases", query_string={"unit": "new_energy"}).status_code == 404
    assert stranger("GET", "/cases/search", query_string={"q": "划痕", "drafts": "true"}).json["items"] == []
