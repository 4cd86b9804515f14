"""The demo's 企业微信 robots: they judge as the real ones do, and the real sender understands their answers."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime

import pytest

from core.egress import wecom
from core.egress.sent import Outgoing
from core.model.schemas import canonical_json
from deploy.demo.receiver import serve
from deploy.demo.robot import PATH, PER_MINUTE, Robots, read_robots

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
ADDRESS = f"{PATH}?key=good"


def text(content):
    return json.dumps({"msgtype": "text", "text": {"content": content}}).encode()


def test_a_message_is_taken_under_a_known_key_only(tmp_path):
    robots = Robots(tmp_path / "robots.jsonl", {"good": "wecom_service"})
    assert robots.take(ADDRESS, text("你好")) == {"errcode": 0, "errmsg": "ok"}
    assert robots.take(f"{PATH}?key=bad", text("你好"))["errcode"] == 93000
    assert robots.take(PATH, text("你好"))["errcode"] == 93000
    assert read_robots(tmp_path) == [{"robot": "wecom_service", "content": "你好"}]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"msgtype":"text"}', b'{"msgtype":"card","card":{"content":"x"}}']
)
def test_what_is_no_message_is_refused(tmp_path, body):
    assert Robots(tmp_path / "robots.jsonl", {"good": "a"}).take(ADDRESS, body)["errcode"] == 40008
    assert read_robots(tmp_path) == []


def test_more_than_twenty_a_minute_are_refused_for_each_robot_by_itself(tmp_path):
    now = 0.0
    robots = Robots(tmp_path / "robots.jsonl", {"good": "a", "other": "b"}, clock=lambda: now)
    answers = [robots.take(ADDRESS, text(str(number)))["errcode"] for number in range(PER_MINUTE + 1)]
    assert answers == [0] * PER_MINUTE + [45009]
    assert robots.take(f"{PATH}?key=other", text("x"))["errcode"] == 0
    now = 60.0
    assert robots.take(ADDRESS, text("later"))["errcode"] == 0


@pytest.mark.parametrize(("key", "ok", "final"), [("good", True, True), ("bad", False, True)])
def test_the_real_sender_understands_its_answer(tmp_path, monkeypatch, key, ok, final):
    server = serve(tmp_path, "whsec_c2VjcmV0", {"good": "wecom_sales"})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        port = server.server_address[1]
        monkeypatch.setenv("DEMO_ROBOT_URL", f"http://127.0.0.1:{port}{PATH}?key={key}")
        body = canonical_json(wecom.body_of("**线索**", "markdown", {}))
        message = Outgoing(id="msg_1", body=body, address={}, created_at=NOW)
        sent = wecom.send(message, {"url": "env:DEMO_ROBOT_URL"}, now=NOW, allow=("127.0.0.1/32",))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert (sent.is_ok, sent.is_final) == (ok, final)
    assert [line["content"] for line in read_robots(tmp_path)] == (["**线索**"] if ok else [])
