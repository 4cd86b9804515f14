"""What the headers of a decision over HTTP mean: the version that was read, and a call that is made twice."""

from __future__ import annotations

import pytest

from plugins.quote_approval.tests.scene import CRITICAL


@pytest.fixture
def asked(stage):
    """A request, a client, and its ETag as it was read."""
    request = stage.hand_in(CRITICAL)
    call = stage.web(role="operator")
    return request, call, call("GET", f"/api/v1/approvals/{request.id}").headers["ETag"]


def decide(asked, tag=None, **body):
    request, call, _ = asked
    headers = {"If-Match": tag} if tag else {}
    body = {"decision": "approve", "by": "chen", **body}
    return call("POST", f"/api/v1/approvals/{request.id}/decisions", json=body, headers=headers)


def test_the_etag_says_which_version_was_read(asked):
    assert decide(asked, asked[2]).status_code == 201
    late = decide(asked, asked[2], by="sun")
    assert (late.status_code, late.json["code"]) == (409, "conflict")
    assert "You read version 1, it is now version 2" in late.json["detail"]


@pytest.mark.parametrize("tag", ['"stale"', '"1.x", "2.x"', "*"])
def test_a_tag_that_is_none_of_a_request_decides_nothing(asked, stage, tag):
    refused = decide(asked, tag, version=1)
    assert (refused.status_code, refused.json["errors"][0]["path"]) == (422, "If-Match")
    assert stage.outcomes() == ["requested"]


def test_a_tag_and_a_version_that_differ_decide_nothing(asked):
    assert decide(asked, asked[2], version=2).status_code == 422
    assert decide(asked, asked[2], version=1).status_code == 201


def test_a_decision_without_a_version_is_refused(asked):
    refused = decide(asked)
    assert (refused.status_code, refused.json["errors"][0]["path"]) == (422, "version")


def test_one_of_a_level_agrees_by_the_tag_that_was_read_before_another_did(asked, stage):
    decide(asked, version=1)
    request, call, _ = asked
    tag = call("GET", f"/api/v1/approvals/{request.id}").headers["ETag"]
    assert decide(asked, tag, by="zhao").status_code == 201
    assert decide(asked, tag, by="sun").json["status"] == "approved"
    assert stage.statuses() == ["approved"]


def test_a_decision_that_is_sent_twice_under_its_key_is_made_once(asked, both):
    request, call = both.hand_in(), both.web(role="operator")
    body = {"decision": "approve", "by": "chen", "version": 1}
    path, headers = f"/api/v1/approvals/{request.id}/decisions", {"Idempotency-Key": both.quote}
    first, second = (call("POST", path, json=body, headers=headers) for _ in range(2))
    assert (first.status_code, second.status_code, second.json) == (201, 201, first.json)
    assert second.headers["Idempotent-Replayed"] == "true"
    assert both.outcomes() == ["requested", "approved"]
    assert call("POST", path, json={**body, "comment": "x"}, headers=headers).status_code == 422
