"""The data commands: lists, timelines, replays and keys, for people and as JSON."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from core.cli.data import GROUPS
from core.cli.printing import cut, safe, width
from core.egress.http import signature
from core.store.tables import api_keys, deliveries
from tests.data_cli.conftest import Run, answer
from tests.web.world import World


def test_every_command_takes_json_and_explains_itself(run: Run) -> None:
    for group in GROUPS:
        assert group.help
        for name, command in group.commands.items():
            help_text = run(group.name or "", name, "--help").output
            assert "--json" in help_text, (group.name, name)
            assert command.help


def test_a_record_is_shown_as_a_timeline(run: Run, world: World) -> None:
    world.history()
    result = run("records", "show", "lead", "L-1")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert "lead L-1 of crm" in lines[0]
    assert any("company" in line and "远航铝业" in line and "crm" in line for line in lines)
    assert any("◆ lead_scoring decided lead_grade: A 级" in line for line in lines)
    assert any("+30 行业匹配 industry fits" in line for line in lines)
    assert any("waiting for lead.updated" in line for line in lines)
    shown = answer(run("records", "show", "lead", "L-1", "--json"))
    assert shown["journey"][0]["step"] == "event"


def test_what_a_crm_sent_cannot_drive_the_terminal(run: Run, world: World) -> None:
    world.record(company="\x1b[2J\u202eevil\r\nroot:")
    for words in (("records", "show", "lead", "L-1"), ("records", "show", "lead", "L-1", "--json"), ("leads", "list")):
        output = run(*words).output
        assert not any(char in output for char in "\x1b\u202e\r"), words


@pytest.mark.parametrize("group", ["events", "deliveries", "decisions", "leads", "outbox"])
def test_lists_are_printed_for_people_and_as_json(run: Run, world: World, group: str) -> None:
    assert run(group, "list").exit_code == 0
    world.history()
    page = answer(run(group, "list", "--limit", "1", "--json"))
    assert len(page["items"]) == 1
    printed = run(group, "list", "--limit", "1")
    assert printed.exit_code == 0
    assert ("--cursor" in printed.output) is (page["next"] is not None)
    if page["next"]:
        following = answer(run(group, "list", "--limit", "1", "--cursor", page["next"], "--json"))
        assert following["items"][0]["id"] != page["items"][0]["id"]


def test_what_is_not_there_or_not_right_ends_with_one_or_two(run: Run, world: World) -> None:
    assert run("events", "show", "evt_none").exit_code == 1
    assert run("records", "show", "lead", "L-404").exit_code == 1
    assert run("records", "show", "led", "L-1").exit_code == 2
    assert run("events", "list", "--cursor", "x").exit_code == 1
    assert run("events", "list", "--since", "yesterday").exit_code == 2
    assert run("events", "replay").exit_code == 2
    assert run("deliveries", "discard", "1").exit_code == 2
    refused = run("deliveries", "retry", "dlv_77", "--json")
    assert (refused.exit_code, answer(refused)["code"]) == (1, "not_found")


def test_an_event_is_shown_with_everything_that_came_of_it(run: Run, world: World) -> None:
    first = world.history()
    output = run("events", "show", first[1]).output
    for heading in ("Deliveries", "Decisions", "Messages"):
        assert heading in output
    assert answer(run("events", "show", first[1], "--json"))["id"] == first[1]


def test_an_event_and_a_record_name_the_plugin_that_was_off(run: Run, world: World) -> None:
    world.version(1, off=frozenset({("energy", "audit_copy")}))
    first = world.history()
    output = run("events", "show", first[1]).output
    assert "Not delivered" in output
    assert "switched off in energy (switched by li), configuration" in output
    assert answer(run("events", "show", first[1], "--json"))["not_delivered"][0]["plugin"] == "audit_copy"
    assert (
        "; not given to audit_copy (switched off in energy (switched by li)"
        in run("records", "show", "lead", "L-1").output
    )


def test_one_event_is_replayed_for_one_plugin(run: Run, world: World) -> None:
    _, identity = world.event("first")
    done = answer(run("events", "replay", identity, "--plugin", "lead_scoring", "--json"))
    assert len(done["deliveries"]) == 1
    assert [row.outward for row in world.rows(deliveries)] == [False]


def test_a_set_is_replayed_after_its_estimate_was_confirmed(run: Run, world: World) -> None:
    for number in range(3):
        world.event(f"e{number}", record_id=f"L-{number}")
    asked = run("events", "replay", "--type", "lead.created", input="n\n")
    assert asked.exit_code == 1
    assert world.rows(deliveries) == []
    estimate = answer(run("events", "replay", "--type", "lead.created", "--json"))
    assert estimate["estimate"]["by_plugin"] == {"audit_copy": 3, "lead_scoring": 3}
    assert world.rows(deliveries) == []
    done = run("events", "replay", "--type", "lead.created", "--outward", "--yes", "--json")
    assert len(answer(done)["deliveries"]) == 6
    assert all(row.outward for row in world.rows(deliveries))
    assert "nothing to replay" in run("events", "replay", "--type", "order.placed", "--yes").output


def test_a_set_of_rejected_events_is_mapped_again_and_says_what_is_left(run: Run, world: World) -> None:
    assert "nothing to replay" in run("events", "replay", "--status", "rejected").output
    for number in range(2):
        world.rejected(f"mended{number}", f'{{"type": "lead.created", "data": {{"id": "L-{number}"}}}}')
    world.rejected("broken", '{"type": "lead.opend"}')
    listed = answer(run("events", "list", "--status", "rejected", "--source", "crm", "--json"))["items"]
    assert [item["status_reason"] for item in listed] == ["it does not map"] * 3
    asked = run("events", "replay", "--status", "rejected", "--source", "crm", input="n\n")
    assert (asked.exit_code, "Map 3 events again now?" in asked.output) == (1, True)
    done = run("events", "replay", "--status", "rejected", "--since", "2026-01-01T00:00:00Z", "--yes")
    assert "2 map now and were accepted; 1 are still rejected." in done.output
    assert "1  It still does not map: " in done.output
    left = answer(run("events", "replay", "--status", "rejected", "--yes", "--json"))
    assert (left["accepted"], left["still_rejected"], list(left["reasons"].values())) == ([], 1, [1])


def test_stuck_things_are_retried_and_discarded_with_who_and_why(
    run: Run, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_USER", "li")
    world.history()
    stuck = world.rows(deliveries, deliveries.c.status == "retryable")[0].id
    assert f"dlv_{stuck}" in run("deliveries", "show", f"dlv_{stuck}").output
    assert "will run again" in run("deliveries", "retry", f"dlv_{stuck}").output
    shown = answer(run("deliveries", "discard", f"dlv_{stuck}", "--reason", "坏数据", "--json"))
    assert shown["reason"] == "discarded by li (command line): 坏数据"
    world.message(world.event("out"), "msg_7")
    assert answer(run("outbox", "discard", "msg_7", "--reason", "x", "--json"))["status"] == "discarded"
    assert "will be sent again" in run("outbox", "retry", "msg_7").output
    assert run("outbox", "retry", "msg_1").exit_code == 1


def test_a_key_is_shown_once_listed_without_its_token_and_revoked(run: Run, world: World) -> None:
    made = run("keys", "create", "console", "--role", "operator", "--unit", "energy")
    token = made.stdout.strip()
    assert token.startswith("ok_")
    (row,) = world.rows(api_keys)
    assert (row.role, row.units) == ("operator", ["energy"])
    assert token not in row.hash
    listed = run("keys", "list")
    assert "console" in listed.output
    assert token not in listed.output
    client = world.app().test_client()
    header = {"Authorization": f"Bearer {token}"}
    assert client.get("/api/v1/events", headers=header).status_code == 200
    assert run("keys", "revoke", row.id).exit_code == 0
    assert client.get("/api/v1/events", headers=header).status_code == 401
    assert run("keys", "revoke", "key_none").exit_code == 1
    unknown = run("keys", "create", "x", "--unit", "enery")
    assert (unknown.exit_code, 'Did you mean "energy"?' in unknown.stderr) == (1, True)


class Receiver(BaseHTTPRequestHandler):
    """Answers like the server and keeps what came."""

    came: list[tuple[Any, bytes]] = []  # noqa: RUF012
    status = 202

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.came.append((dict(self.headers), body))
        answer = json.dumps({"event_ids": ["evt_1"]} if self.status < 300 else {"detail": "no\x1b[31m"}).encode()
        self.send_response(self.status)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def test_an_event_is_sent_signed_like_a_crms_webhook(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_TEST_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        words = ("events", "send", "crm", "lead.created", "--data", '{"id": "L-1", "company": "远航"}', "--url", url)
        sent = run(*words)
        assert (sent.exit_code, sent.stdout.strip()) == (0, "evt_1  accepted")
        headers, body = Receiver.came[-1]
        assert json.loads(body)["data"] == {"id": "L-1", "company": "远航"}
        import base64

        secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        expected = signature(secret, headers["webhook-id"], int(headers["webhook-timestamp"]), body)
        assert headers["webhook-signature"] == expected
        assert run(*words, "--at", "2026-03-01T08:30:00+08:00").exit_code == 0
        assert json.loads(Receiver.came[-1][1])["timestamp"] == "2026-03-01T00:30:00Z"
        monkeypatch.setattr(Receiver, "status", 401)
        refused = run(*words)
        assert (refused.exit_code, "\x1b" in refused.output) == (1, False)
    finally:
        server.shutdown()
        server.server_close()


def test_a_send_that_cannot_go_out_says_what_to_do(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_TEST_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    data = ("--data", '{"id": "L-1"}')
    away = run("events", "send", "crm", "lead.created", *data, "--url", "http://127.0.0.1:9")
    assert (away.exit_code, "outrigger serve" in away.stderr) == (1, True)
    unknown = run("events", "send", "crmm", "lead.created", *data)
    assert (unknown.exit_code, 'Did you mean "crm"?' in unknown.stderr) == (1, True)
    assert run("events", "send", "crm", "lead.created", *data, "--at", "yesterday").exit_code == 2
    assert run("events", "send", "crm", "lead.created").exit_code == 2
    assert run("events", "send", "crm", "lead.created", "--data", "[1]").exit_code == 2
    assert run("events", "send", "crm", "lead.created", "--data", "{").exit_code == 2


def test_chinese_text_lines_up_and_is_cut_by_columns() -> None:
    assert width("远航ab") == 6
    assert width(cut("远航铝业有限公司", 7)) <= 7
    assert safe("a\r\n\x1b[0m\u202e") == "a\\u000d\\u000a\\u001b[0m\\u202e"
