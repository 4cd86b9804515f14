"""The CRM that receives write-backs: it takes what is genuine, refuses what is not, and refuses some once."""

from __future__ import annotations

import base64
import threading
from datetime import UTC, datetime

import pytest

from core.egress import http
from deploy.demo.receiver import REFUSE_EVERY, read_ledger, serve

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = "whsec_" + base64.b64encode(KEY).decode()


@pytest.fixture
def url(tmp_path):
    server = serve(tmp_path, SECRET)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/crm"
    server.shutdown()
    thread.join()
    server.server_close()


def write_back(url, name, key=KEY, at=None):
    return http.send(
        url,
        b'{"type":"record.update","data":{}}',
        message_id=name,
        secrets=(key,),
        now=at or datetime.now(UTC),
        allow=("127.0.0.1/32",),
    )


def test_a_genuine_message_is_taken_and_written_down(url, tmp_path):
    assert write_back(url, "msg_1").status == 204
    (line,) = read_ledger(tmp_path)
    assert (line["path"], line["id"], line["verified"], line["attempt"]) == ("/crm", "msg_1", True, 1)
    assert line["body"]["type"] == "record.update"


def test_a_forged_and_a_stale_message_are_refused(url, tmp_path):
    assert write_back(url, "msg_1", key=b"x" * 32).status == 401
    assert write_back(url, "msg_2", at=datetime(2026, 1, 1, tzinfo=UTC)).status == 401
    assert [line["verified"] for line in read_ledger(tmp_path)] == [False, False]


def test_some_messages_are_refused_once_and_taken_on_the_next_attempt(url):
    first = {f"msg_{n}": write_back(url, f"msg_{n}").status for n in range(REFUSE_EVERY)}
    refused = [name for name, status in first.items() if status == 500]
    assert len(refused) == 1
    assert write_back(url, refused[0]).status == 204
