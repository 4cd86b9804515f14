"""Who may decide what: over the API and from the command line."""

from __future__ import annotations

import json

import pytest

from core.api import Conflict, InvalidRequest, NotAllowed, NotFound
from plugins.quote_approval.deciding import Said, decide
from plugins.quote_approval.models import Asked
from plugins.quote_approval.tests.scene import CRITICAL, SAFE, SETTINGS, scene

# ------------------------------------------------------------------------------------------------------ who may what


@pytest.mark.parametrize(
    ("by", "error", "words"),
    [
        ("li_na", NotAllowed, "nobody approves their own"),
        ("li.na", NotAllowed, "nobody approves their own"),
        ("sun", NotAllowed, "was not asked"),
        ("nobody", InvalidRequest, "in the directory"),
    ],
)
def test_only_those_asked_decide(stage, by, error, words):
    stage.hand_in()
    with pytest.raises(error, match=words):
        stage.decide(by)
    assert stage.statuses() == ["pending"]


def test_a_deputy_decides_only_while_the_approver_is_away():
    away = 'deputy = "he"\nabsences = [{ from = 2026-11-20, until = 2026-11-30 }]'
    with scene() as stage:
        request = stage.hand_in()
        with pytest.raises(NotAllowed, match="stands in for nobody"):
            stage.decide("he")
        stage.server.configure(SETTINGS.replace('deputy = "he"', away))
        assert stage.decide("he").decided_by == "何副经理"
        rows = {row.person: row for row in stage.server.rows(Asked, Asked.request_id == request.id)}
        assert (rows["he"].via, rows["he"].state, rows["chen"].state) == ("stand_in", "approved", "passed")


def test_whoever_has_left_decides_nothing_and_whoever_is_only_away_does():
    with scene() as stage:
        stage.hand_in()
        link, web = stage.link("chen"), stage.web()
        chen = "[people.chen]\n"
        stage.server.configure(SETTINGS.replace(chen, chen + "left = 2026-11-01\n"))
        assert web("POST", link, data={"decision": "approve"}, anonymous=True).status_code == 403
        assert stage.statuses() == ["pending"]
        away = "absences = [{ from = 2026-11-20, until = 2026-11-30 }]\n"
        stage.server.configure(SETTINGS.replace(chen, chen + away))
        assert web("POST", link, data={"decision": "approve"}, anonymous=True).status_code == 200
        assert stage.statuses() == ["approved"]


def test_nobody_decides_twice(stage):
    stage.hand_in(CRITICAL)
    stage.decide("chen")
    with pytest.raises(Conflict, match="another pair of eyes"):
        stage.decide("chen")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"decision": "aprove"}, 'Did you mean "approve"'),
        ({"decision": "reject"}, "the reason"),
        ({"decision": "ask", "comment": "  "}, "the question"),
        ({"decision": "approve", "by": None}, "why you decide"),
        ({"decision": "reject", "comment": "x" * 3000}, "comment|fit"),
    ],
)
def test_what_is_not_said_properly_is_refused(stage, said, words):
    stage.hand_in()
    with pytest.raises(InvalidRequest, match=words):
        stage.decide(**{"by": "chen", **said})


def test_a_decision_names_the_version_that_was_read(stage):
    stage.hand_in()
    with pytest.raises(Conflict, match="You read version 7, it is now version 1"):
        stage.decide("chen", version=7)


def test_what_is_decided_returned_or_void_takes_no_decision(stage):
    stage.hand_in(SAFE)
    with pytest.raises(Conflict, match="nothing is left to decide"):
        stage.decide("chen")
    stage.tell("quote.updated", payment_terms="")
    with pytest.raises(Conflict):
        stage.decide("chen")


def test_only_the_owner_answers(stage):
    stage.hand_in()
    stage.decide("chen", "ask", "Sure?")
    with pytest.raises(NotAllowed, match="does not own"):
        stage.decide("wang", "answer", "Yes")
    with pytest.raises(Conflict, match="possible: answer"):
        stage.decide("chen")
    assert stage.decide("li.na", "answer", "Yes").status == "pending"


def test_whoever_got_the_question_about_a_quote_without_a_known_owner_answers_it(stage):
    stage.hand_in(owner="left.long.ago")
    stage.decide("chen", "ask", "Sure?")
    assert stage.notices()[-1] == ("zhao", "关于报价 Q 的问题")
    with pytest.raises(NotAllowed, match="does not own"):
        stage.decide("wang", "answer", "Yes")
    assert stage.decide("zhao", "answer", "Yes").status == "pending"


def test_an_owner_whom_the_crm_names_by_e_mail_does_not_approve_the_own_quote(stage):
    stage.hand_in(owner="Chen@example.com")
    assert stage.asked() == ["wang"]
    with pytest.raises(NotAllowed, match="nobody approves their own"):
        stage.decide("chen")


def test_an_administrator_who_asked_may_decide_after_the_answer(both):
    both.hand_in()
    both.decide(None, "ask", "Sure?")
    both.decide("li_na", "answer", "Yes")
    assert [person for person, _ in both.notices()] == ["chen", "li_na", "chen"]
    assert both.decide(None, comment="Go on").status == "approved"


def test_an_administrator_decides_a_whole_level_with_a_reason(stage):
    stage.hand_in(CRITICAL)
    assert stage.decide(None, comment="All on holiday").level == 2
    request = stage.decide(None, comment="All on holiday")
    assert request.status == "approved"
    assert [row.via for row in stage.server.rows(Asked, Asked.request_id == request.id) if row.state != "open"] == [
        "admin", "admin",
    ]  # fmt: skip


def test_nothing_is_decided_where_the_plugin_is_switched_off():
    with scene() as stage:
        stage.hand_in()
        stage.server.configure(SETTINGS.replace("enabled = true", "enabled = false"))
        with pytest.raises(Conflict, match="switched off in default"):
            stage.decide("chen")
        stage.server.configure(SETTINGS)
        assert stage.decide("chen").status == "approved"
        assert stage.written()["status"] == "approved"


def test_a_decision_is_kept_with_who_made_it_and_how(stage):
    request = stage.hand_in()
    stage.decide("chen", comment="Good")
    (row,) = stage.server.rows(Asked, Asked.request_id == request.id)
    assert (row.state, row.comment, row.how) == ("approved", "Good", "api")
    made = stage.decisions()[-1]
    assert (made.outcome, made.decided_by, made.rule, made.inputs["by"]) == ("approved", "test:chen", "person", "chen")


# ---------------------------------------------------------------------------------------------------------------- API


def test_approvals_are_listed_shown_and_decided(both):
    call = both.web(role="operator")
    request = both.hand_in(CRITICAL)
    mine = call("GET", "/api/v1/approvals", query_string={"person": "chen", "quote": both.quote}).json["items"]
    assert [item["id"] for item in mine] == [request.id]
    shown = call("GET", f"/api/v1/approvals/{request.id}")
    assert (shown.status_code, shown.json["asked"][0]["person"], shown.json["facts"]["tier"]) == (200, "chen", "B")
    assert shown.json["asked"][0]["path"]
    tag = shown.headers["ETag"]
    assert call("GET", f"/api/v1/approvals/{request.id}", headers={"If-None-Match": tag}).status_code == 304
    path = f"/api/v1/approvals/{request.id}/decisions"
    made = call("POST", path, json={"decision": "approve", "version": 1, "by": "chen"})
    assert (made.status_code, made.json["level"], made.json["version"]) == (201, 2, 2)
    assert call("GET", f"/api/v1/approvals/{request.id}", headers={"If-None-Match": tag}).status_code == 200
    stale = call("POST", path, json={"decision": "approve", "version": 1, "by": "sun"})
    assert (stale.status_code, stale.json["code"]) == (409, "conflict")
    query = {"person": "chen", "quote": both.quote}
    assert call("GET", "/api/v1/approvals", query_string=query).json["items"] == []


def test_a_list_is_paged_without_gap_or_overlap(stage):
    call = stage.web(role="reader")
    stage.hand_in()
    for discount in ("0.01", "0.02", "0.025"):
        stage.tell("quote.updated", discount=discount)
    seen, cursor = [], None
    while True:
        query = {"quote": stage.quote, "limit": 3, **({"cursor": cursor} if cursor else {})}
        page = call("GET", "/api/v1/approvals", query_string=query).json
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 4
    void = call("GET", "/api/v1/approvals", query_string={"quote": stage.quote, "status": "void"})
    assert len(void.json["items"]) == 3


@pytest.mark.parametrize(
    ("role", "body", "status"),
    [
        ("reader", {"decision": "approve", "version": 1, "by": "chen"}, 403),
        ("operator", {"decision": "approve", "version": 1, "comment": "I say so"}, 403),
        ("admin", {"decision": "approve", "version": 1}, 422),
        ("admin", {"decision": "approve", "version": 1, "comment": "I say so"}, 201),
        ("operator", {"decision": "approve", "by": "chen"}, 422),
        ("operator", {"decision": "approve", "version": "1", "by": "chen"}, 422),
        ("operator", {"decision": "maybe", "version": 1, "by": "chen"}, 422),
        ("operator", {"decision": "approve", "version": 1, "by": "sun"}, 403),
        ("operator", {"decision": "approve", "version": 1, "by": "chen", "also": 1}, 422),
    ],
)
def test_the_api_checks_who_decides_what(stage, role, body, status):
    call, request = stage.web(role=role), stage.hand_in()
    answer = call("POST", f"/api/v1/approvals/{request.id}/decisions", json=body)
    assert answer.status_code == status
    if status >= 400:
        assert answer.json["code"]


def test_a_key_of_another_unit_sees_nothing(stage):
    call, request = stage.web(units=("packaging",)), stage.hand_in()
    assert call("GET", f"/api/v1/approvals/{request.id}").status_code == 404
    body = {"decision": "approve", "version": 1, "by": "chen"}
    assert call("POST", f"/api/v1/approvals/{request.id}/decisions", json=body).status_code == 404
    assert call("GET", "/api/v1/approvals").json["items"] == []
    assert call("GET", "/api/v1/approvals", query_string={"unit": "default"}).status_code == 404


@pytest.mark.parametrize(
    "query", [{"status": "open"}, {"limit": 0}, {"cursor": "***"}, {"cursor": "MS8A"}, {"persn": "chen"}]
)
def test_a_list_refuses_what_it_does_not_know(stage, query):
    assert stage.web()("GET", "/api/v1/approvals", query_string=query).status_code == 422


def test_a_request_that_is_not_there_is_not_found(stage):
    with pytest.raises(NotFound):
        decide("apr_nothing", Said(decision="approve", version=1, by="chen"))
    assert stage.web()("GET", "/api/v1/approvals/apr_nothing").status_code == 404


# -------------------------------------------------------------------------------------------------------- command line


def run(stage, *arguments, code=0):
    result = stage.server.run(*arguments)
    assert result.exit_code == code, result.output
    return result.output


def test_the_command_line_lists_shows_and_decides(stage):
    request = stage.hand_in()
    head, line = run(stage, "list", "--person", "chen", "--quote", stage.quote).splitlines()[:2]
    assert head.split()[:5] == ["id", "status", "quote", "customer", "amount"] and "waits for" in head
    assert request.id in line and line.count("陈") + line.count("Chen") == 1
    shown = run(stage, "show", request.id)
    assert "tier: B (customer field tier)" in shown
    assert "nearly: low_risk: margin is 0.07, not at least 0.1" in shown
    assert "陈经理 (chen) holds bu_manager@default" in shown
    assert json.loads(run(stage, "show", request.id, "--json"))["asked"][0]["person"] == "chen"
    assert "now approved" in run(stage, "decide", request.id, "approve", "--by", "chen", "--version", "1")
    stage.server.work()
    items = json.loads(run(stage, "list", "--quote", stage.quote, "--json"))["items"]
    assert [item["status"] for item in items] == ["approved"]


def test_the_command_line_answers_with_a_letter_and_exit_code_1(stage):
    request = stage.hand_in()
    assert "was not asked" in run(stage, "decide", request.id, "approve", "--by", "sun", code=1)
    assert "why you decide" in run(stage, "decide", request.id, "approve", code=1)
    told = run(stage, "show", "apr_x", code=1)
    assert "There is no request" in told and "(not_found)" in told
    assert "Invalid value" in run(stage, "decide", request.id, "agree", code=2)
    made = run(stage, "decide", request.id, "reject", "--comment", "Too thin", "--json")
    assert json.loads(made)["status"] == "rejected"


def test_what_is_returned_shows_its_faults_on_the_command_line(stage):
    request = stage.hand_in(payment_terms=None)
    assert "fault: 缺少付款条件 missing: payment terms" in run(stage, "show", request.id)
