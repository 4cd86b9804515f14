"""The 企业微信 group robot: what it is sent, what its answers mean, and that its key is repeated nowhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from core.egress import http, wecom, whole_attempt
from core.egress.channels import KINDS, Letter
from core.egress.sent import Outgoing, Sent
from core.host.channel_sections import WecomBotSchema
from core.model.people import Person
from tests.egress.receivers import Dripping, Robot, raw_server, robot
from tests.pipeline.kit import START

LOOPBACK = ("127.0.0.0/8",)
CALLED = Person("zhang_wei", "张伟", wecom="ZhangWei", phone="138 0000-1111")
BY_PHONE = Person("li_na", "李娜", phone="13800002222")


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Iterator[Robot]:
    with robot() as running:
        monkeypatch.setenv("ROBOT_URL", running.url)
        yield running


def options(**changes: Any) -> dict[str, Any]:
    return dict(WecomBotSchema().load({"kind": "wecom_bot", "url": "env:ROBOT_URL", **changes}))


def body(person: Person | None, text: str = "客户：远航铝业", link: str = "", **changes: Any) -> dict[str, Any]:
    kind, chosen = KINDS["wecom_bot"], options(**changes)
    reached = kind.reach(person, chosen)
    assert reached is not None
    return kind.write(Letter("热门线索", text, link), reached, chosen)


def send(allow: tuple[str, ...] = LOOPBACK) -> Sent:
    message = Outgoing("msg_1", json.dumps(body(CALLED), ensure_ascii=False), START)
    return wecom.send(message, options(), now=START, allow=allow)


def test_markdown_calls_its_person_and_goes_out_in_utf_8(group: Robot) -> None:
    assert send() == Sent(True, True, 200, "accepted")
    assert group.got == [{"msgtype": "markdown", "markdown": {"content": "<@ZhangWei>\n**热门线索**\n客户：远航铝业"}}]
    assert "热门线索".encode() in group.raw[0] and b"\\u" not in group.raw[0]


@pytest.mark.parametrize(
    ("person", "called"),
    [(CALLED, {"mentioned_list": ["ZhangWei"]}), (BY_PHONE, {"mentioned_mobile_list": ["13800002222"]}), (None, {}),
     (Person("x", "X", wecom="@all"), {}), (Person("x", "X", wecom="a>b"), {}), (Person("x", "X", phone="@all"), {})],
)  # fmt: skip
def test_text_calls_by_user_id_else_by_phone_and_never_everybody(
    person: Person | None, called: dict[str, list[str]]
) -> None:
    assert body(person, format="text") == {
        "msgtype": "text",
        "text": {"content": "热门线索\n客户：远航铝业", **called},
    }


def test_nobody_is_called_where_that_is_switched_off() -> None:
    assert body(CALLED, format="text", mention=False)["text"] == {"content": "热门线索\n客户：远航铝业"}


@pytest.mark.parametrize(("format", "longest"), [("markdown", 4096), ("text", 2048)])
def test_a_long_message_is_cut_to_what_the_robot_takes_and_keeps_its_link(format: str, longest: int) -> None:
    link = "https://crm.example.com/pages/quote-approval/decide/" + "x" * 43
    content = body(CALLED, text="长" * 5000 + link + "尾", link=link, format=format)[format]["content"]
    assert longest - 4 < len(content.encode()) <= longest and content.endswith("…\n" + link)
    assert content.count(link) == 1


@pytest.mark.parametrize(
    ("answer", "is_final", "wait_s"),
    [({"errcode": 45009, "errmsg": "api freq out of limit"}, False, 60.0), ({"errcode": 130101}, False, 60.0),
     ({"errcode": -1, "errmsg": "system busy"}, False, None), ({"errcode": 93000, "errmsg": "invalid key"}, True, None),
     ({"errcode": 40008}, True, None), ({"nothing": 1}, False, None), (b"<html>", False, None), ([], False, None)],
)  # fmt: skip
def test_an_answer_of_200_is_judged_by_its_errcode(
    group: Robot, answer: Any, is_final: bool, wait_s: float | None
) -> None:
    group.answers = [(200, answer)]
    sent = send()
    assert (sent.is_ok, sent.is_final, sent.retry_after_s) == (False, is_final, wait_s)
    assert send().is_ok


def test_another_status_is_tried_again(group: Robot) -> None:
    group.answers = [(502, b"bad gateway")]
    sent = send()
    assert (sent.is_ok, sent.is_final, sent.status) == (False, False, 502)


@pytest.mark.parametrize(
    "wrong",
    ["http://127.0.0.1:9/cgi-bin/webhook/send?key={key}", "http://127.0.0.1:9999999/send?key={key}",
     "http://[::1/send?key={key}", "gopher://127.0.0.1/send?key={key}", "{key}", "http://u:p@127.0.0.1/?key={key}",
     "{own}&key={key}&x"],
)  # fmt: skip
def test_the_key_is_in_no_reason_whatever_goes_wrong(group: Robot, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    key = "canary-9b2d-robot"
    own = group.url.partition("?")[0] + "?a=1"
    monkeypatch.setenv("ROBOT_URL", wrong.format(key=key, own=own))
    sent = send()  # the robot repeats the path of a key it does not know
    assert not sent.is_ok and sent.reason and key not in sent.reason and "u:p" not in sent.reason


def test_a_robot_inside_the_network_is_refused_unless_it_is_allowed(group: Robot) -> None:
    sent = send(allow=())
    assert sent.is_final and "egress_allow" in sent.reason and group.got == []


def test_a_secret_nobody_set_holds_the_message_back_with_the_name_of_its_reference() -> None:
    sent = send()
    assert not sent.is_ok and not sent.is_final and "ROBOT_URL" in sent.reason


@pytest.mark.parametrize("limit_s", [1.0, 30.0], ids=["by the whole attempt", "by the answer's own time"])
def test_an_answer_that_comes_letter_by_letter_is_cut_off(monkeypatch: pytest.MonkeyPatch, limit_s: float) -> None:
    monkeypatch.setattr(whole_attempt, "WHOLE_ATTEMPT_S", limit_s)
    if limit_s > 1:
        monkeypatch.setattr(http.post, "__kwdefaults__", {**http.post.__kwdefaults__, "timeout_s": 0.3})
    dripping = Dripping(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n{")
    port, thread = raw_server(dripping)
    monkeypatch.setenv("ROBOT_URL", f"http://127.0.0.1:{port}/cgi-bin/webhook/send?key=secret-key")
    sent = send()
    thread.join()
    assert sent == Sent(False, False, 200, "200, but the rest of the answer did not come in time")
    assert dripping.is_client_gone
