"""What the API and the commands show and refuse, on a whole server."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from core.api import OutriggerError
from core.testing import plugin_server
from plugins.sla_escalation.tests.conftest import FOLDER, PEOPLE, UNITS


@pytest.fixture(scope="module")
def busy():
    """A server with complaints of two units: answered, too late, paused, running and broken."""
    with plugin_server(FOLDER, PEOPLE + UNITS) as server:
        server.send("complaint.opened", {"id": "T-1", "industry": "ev"})
        server.send("complaint.opened", {"id": "T-2", "industry": "ev", "owner": "service.east"})
        server.send("complaint.opened", {"id": "T-3", "industry": "packaging"})
        server.later(hours=2)
        server.send("complaint.replied", {"id": "T-1", "waiting_for": "customer"})
        server.later(hours=28)
        server.send("complaint.replied", {"id": "T-2", "waiting_for": "service", "first_response_at": None})
        server.send("complaint.replied", {"id": "T-2", "waiting_for": "customer"})
        server.send("complaint.opened", {"id": "T-4", "industry": "ev"})
        yield server


def get(server, path, *, role="reader", units=("*",), status=200, **query):
    response = server.web(role=role, units=units)("GET", f"/api/v1/sla/{path}", query_string=query)
    assert response.status_code == status, response.json
    return response.json


def names(page):
    return sorted((item["record_id"], item["clock"], item["state"]) for item in page["items"])


def run(server, *words, language=None):
    result = CliRunner().invoke(server.commands(), list(words))
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def test_the_list_is_narrowed_by_state_unit_policy_kind_and_due_moment(busy):
    assert names(get(busy, "clocks", state="met")) == [("T-1", "complaint_first_response", "met")]
    assert names(get(busy, "clocks", state="missed")) == [("T-2", "complaint_first_response", "missed")]
    assert names(get(busy, "clocks", state="breached", unit="packaging")) == [
        ("T-3", "complaint_first_response", "breached")
    ]
    assert names(get(busy, "clocks", state="paused")) == [("T-1", "complaint_resolution", "paused")]
    assert names(get(busy, "clocks", state="running")) == [("T-4", "complaint_first_response", "running")]
    assert get(busy, "clocks", kind="lead")["items"] == []
    early = get(busy, "clocks", state="open", due_before="2026-11-24T09:40:00+08:00", policy="complaint_first_response")
    assert names(early) == [("T-3", "complaint_first_response", "breached")]


def test_pages_join_without_gaps_and_repeats(busy):
    seen, cursor = [], None
    while True:
        page = get(busy, "clocks", limit=2, **({"cursor": cursor} if cursor else {}))
        seen += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    whole = get(busy, "clocks")["items"]
    assert [item["id"] for item in seen] == [item["id"] for item in whole]
    dues = [item["due_at"] or "9999" for item in whole]
    assert dues == sorted(dues)


def test_a_clock_explains_itself_in_both_languages(busy):
    (item,) = get(busy, "clocks", state="breached", unit="packaging")["items"]
    shown = get(busy, f"clocks/{item['id']}")
    assert shown["explanation"][0] == {
        "about": "clock",
        "zh": "投诉首次响应，T-3 @ 包装事业部：已超时，仍未完成（时间均为 Asia/Shanghai）",
        "en": "First response to a complaint, T-3 @ 包装事业部: breached, still open (times of Asia/Shanghai)",
    }
    assert shown["elapsed_s"] == 30 * 3600
    assert shown["remaining_s"] == -6 * 3600
    assert [told["kind"] for told in shown["told"]] == ["warn", "warn", "breach", "level"]


def test_what_is_not_yours_is_not_there(busy):
    (item,) = get(busy, "clocks", state="breached", unit="packaging")["items"]
    other = {"units": ["new_energy"]}
    get(busy, f"clocks/{item['id']}", status=404, **other)
    get(busy, "clocks", status=404, unit="packaging", **other)
    assert {row["unit"] for row in get(busy, "clocks", **other)["items"]} == {"new_energy"}
    assert {row["unit"] for row in get(busy, "summary", **other)["items"]} == {"new_energy"}


@pytest.mark.parametrize(
    "query",
    [
        {"state": "late"},
        {"limit": "0"},
        {"cursor": "***"},
        {"cursor": "MToA"},
        {"due_before": "soon"},
        {"kind": "invoice"},
        {"what": "x"},
    ],
    ids=str,
)
def test_bad_queries_get_a_clear_answer(busy, query):
    assert get(busy, "clocks", status=422, **query)["code"]


def test_the_summary_says_how_many_were_in_time(busy):
    items = {(item["unit"], item["policy"]): item for item in get(busy, "summary", month="2026-11")["items"]}
    first = items["new_energy", "complaint_first_response"]
    assert (first["met"], first["missed"], first["breached"], first["open"]) == (1, 1, 0, 1)
    assert (first["in_time_percent"], first["goal_percent"], first["reached"]) == (50.0, 95, False)
    assert get(busy, "summary", month="2026-10")["items"] == []
    assert get(busy, "summary", status=422, month="November")["code"]


def test_recomputing_needs_an_operator_a_unit_and_a_reason(busy):
    call = busy.web(role="operator")
    body = {"unit": "packaging", "reason": "the calendar was corrected"}
    assert busy.web(role="reader")("POST", "/api/v1/sla/recompute", json=body).status_code == 403
    assert call("POST", "/api/v1/sla/recompute", json={"unit": "packaging"}).status_code == 422
    answer = call("POST", "/api/v1/sla/recompute", json=body)
    assert (answer.status_code, answer.json) == (202, {"records": 1, "unit": "packaging"})
    busy.work()
    assert busy.problems() == []
    assert "recomputed" not in [row.outcome for row in busy.decisions("T-3")]  # nothing was another


def test_the_commands_list_show_explain_and_sum_up(busy):
    listed = run(busy, "list", "--unit", "packaging")
    assert "2026-11-24 09:30+08:00" in listed
    assert "breached, still open" in listed
    identity = json.loads(run(busy, "list", "--unit", "packaging", "--json"))["items"][0]["id"]
    assert "remaining_s" in run(busy, "show", identity)
    assert json.loads(run(busy, "show", identity, "--json"))["explanation"]
    assert run(busy, "explain", identity).startswith("First response to a complaint, T-3 @ 包装事业部")
    assert run(busy, "explain", "T-3", "--language", "zh").startswith("投诉首次响应，T-3 @ 包装事业部")
    assert json.loads(run(busy, "explain", "T-3", "--json"))["items"][0]["id"] == identity
    assert "50.0 %, below the goal of 95 %" in run(busy, "summary", "--policy", "complaint_first_response")
    assert json.loads(run(busy, "summary", "--json"))["items"]
    assert "asked for 1 records" in run(busy, "recompute", "--unit", "packaging", "--reason", "why not", "--as", "li")
    assert json.loads(run(busy, "recompute", "--unit", "packaging", "--reason", "r", "--json"))["records"] == 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["show", "clk_nothing"], "There is no clock"),
        (["explain", "T-99"], "No clock ever ran"),
        (["recompute", "--unit", "packagin", "--reason", "x"], 'Did you mean "packaging"?'),
        (["list", "--due-before", "soon"], "no instant"),
        (["list", "--due-before", "2026-11-24T00:00:00"], "with its offset"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_commands_refuse_what_cannot_be_with_a_letter(busy, words, text):
    result = CliRunner().invoke(busy.commands(), words)
    assert result.exit_code != 0
    assert text in (result.exception.message if isinstance(result.exception, OutriggerError) else result.output)


def test_nobody_knows_a_unit_that_is_not_configured(busy):
    with pytest.raises(OutriggerError, match="There is no unit"):
        CliRunner().invoke(busy.commands(), ["recompute", "--unit", "nowhere", "--reason", "x"], catch_exceptions=False)


def test_an_explanation_says_that_a_message_reached_nobody(each):
    each.send("complaint.opened", {"id": "T-1", "industry": "ev", "owner": "service.east"})
    each.later(hours=13)
    (item,) = get(each, "clocks", clock="complaint_first_response")["items"]
    shown = get(each, f"clocks/{item['id']}")["explanation"]
    assert [line for line in shown if line["about"] == "message"] == [
        {
            "about": "message",
            "zh": "  李娜 (li_na)：未发送：没有可用的渠道",
            "en": "  李娜 (li_na): not sent (no channel can take it: plugins.toml has no [channels])",
        }
    ]
