"""The pages behind links: looking changes nothing, one link decides once, and only what it was signed for."""

from __future__ import annotations

import threading

import pytest

from plugins.quote_approval.models import Asked
from plugins.quote_approval.tests.scene import CRITICAL, LINE


def test_an_approver_sees_the_quote_and_decides_from_the_link(both):
    call, request = both.web(), both.hand_in()
    path = both.link("chen")
    shown = call("GET", path, anonymous=True)
    text = shown.get_data(as_text=True)
    assert shown.status_code == 200
    for word in ("华星电子", "194,000", "7 %", "月结30天", "6005A-T6", "陈经理 (chen) 担任", "按客户等级审核", "同意"):
        assert word in text
    done = call("POST", path, anonymous=True, data={"decision": "approve", "comment": "好"})
    assert "报价已批准" in done.get_data(as_text=True)
    assert both.statuses() == ["approved"]
    (row,) = both.server.rows(Asked, Asked.request_id == request.id)
    assert (row.how, row.comment, row.person) == ("link", "好", "chen")
    assert both.written()["status"] == "approved"


def test_a_page_speaks_english_to_whoever_asks_for_it(stage):
    call = stage.web()
    stage.hand_in()
    text = call("GET", stage.link("chen") + "?lang=en", anonymous=True).get_data(as_text=True)
    assert "Why this came to you" in text
    assert "为什么" not in text
    text = call("GET", stage.link("chen"), anonymous=True, headers={"Accept-Language": "en-GB"}).get_data(as_text=True)
    assert "Payment terms" in text


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_looking_changes_nothing_however_often(stage, method):
    call = stage.web()
    stage.hand_in()
    for _ in range(3):
        assert call(method, stage.link("chen"), anonymous=True).status_code == 200
    assert (stage.statuses(), stage.outcomes()) == (["pending"], ["requested"])


def test_a_link_decides_once(stage):
    call = stage.web()
    stage.hand_in()
    path = stage.link("chen")
    assert call("POST", path, anonymous=True, data={"decision": "approve"}).status_code == 200
    assert call("POST", path, anonymous=True, data={"decision": "reject", "comment": "x"}).status_code == 410
    assert call("GET", path, anonymous=True).status_code == 410
    assert stage.statuses() == ["approved"]


def test_of_fifty_posts_at_once_one_decides(both):
    call = both.web()
    both.hand_in()
    path, heard, gate = both.link("chen"), [], threading.Barrier(50)

    def act():
        gate.wait()
        heard.append(call("POST", path, anonymous=True, data={"decision": "approve"}).status_code)

    work, both.server.work = both.server.work, lambda: None
    try:
        threads = [threading.Thread(target=act) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        both.server.work = work
    both.server.work()
    assert heard.count(200) == 1
    assert set(heard) <= {200, 409, 410}
    assert [row.outcome for row in both.decisions() if row.rule == "person"] == ["approved"]


def test_a_link_dies_with_the_content_it_was_signed_for(stage):
    call = stage.web()
    stage.hand_in()
    path = stage.link("chen")
    stage.tell("quote.updated", discount="0.04")
    shown = call("GET", path, anonymous=True)
    assert "已作废" in shown.get_data(as_text=True)
    assert "<form" not in shown.get_data(as_text=True)
    assert call("POST", path, anonymous=True, data={"decision": "approve"}).status_code == 409
    assert stage.statuses() == ["void", "pending"]


def test_a_link_expires(stage):
    call = stage.web()
    stage.hand_in()
    path = stage.link("chen")
    stage.server.later(hours=73)
    assert call("GET", path, anonymous=True).status_code == 410
    assert call("POST", path, anonymous=True, data={"decision": "approve"}).status_code == 410
    assert stage.statuses() == ["pending"]


def test_a_link_for_a_level_goes_on_while_others_of_it_decide(stage):
    call = stage.web()
    stage.hand_in(CRITICAL)
    stage.decide("chen")
    path = stage.link("sun")
    stage.decide("zhao")
    assert call("POST", path, anonymous=True, data={"decision": "approve"}).status_code == 200
    assert stage.statuses() == ["approved"]


@pytest.mark.parametrize("decision", ["reject", "ask"])
def test_what_needs_a_word_asks_for_it_and_leaves_the_link_as_it_was(stage, decision):
    call = stage.web()
    stage.hand_in()
    path = stage.link("chen")
    refused = call("POST", path, anonymous=True, data={"decision": decision, "comment": " "})
    assert refused.status_code == 422
    assert "请填写说明" in refused.get_data(as_text=True)
    assert call("POST", path, anonymous=True, data={"decision": decision, "comment": "因为"}).status_code == 200
    assert stage.statuses() == [{"reject": "rejected", "ask": "asked"}[decision]]


def test_the_owner_answers_a_question_from_the_link(stage):
    call = stage.web()
    stage.hand_in()
    stage.decide("chen", "ask", "为什么毛利这么低？")
    path = stage.link("li_na")
    assert "/answer/" in path
    assert "为什么毛利这么低" in call("GET", path, anonymous=True).get_data(as_text=True)
    assert call("POST", path, anonymous=True, data={"comment": "首单"}).status_code == 200
    assert stage.request().answer == "首单"
    assert "首单" in call("GET", stage.link("chen"), anonymous=True).get_data(as_text=True)


def test_a_link_of_one_page_opens_no_other(stage):
    call = stage.web()
    stage.hand_in()
    path = stage.link("chen").replace("/decide/", "/answer/")
    assert call("GET", path, anonymous=True).status_code == 404
    assert call("POST", path, anonymous=True, data={"comment": "x"}).status_code == 404
    assert call("GET", "/pages/quote-approval/decide/" + "A" * 43, anonymous=True).status_code == 404


def test_another_sites_form_cannot_decide(stage):
    call = stage.web()
    stage.hand_in()
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    answer = call("POST", stage.link("chen"), anonymous=True, data={"decision": "approve"}, headers=headers)
    assert answer.status_code == 403
    assert stage.statuses() == ["pending"]


def test_what_a_crm_wrote_is_shown_as_text_and_never_as_markup(stage):
    call = stage.web()
    stage.hand_in(payment_terms="<script>alert(1)</script> 月结30天")
    text = call("GET", stage.link("chen"), anonymous=True).get_data(as_text=True)
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_many_lines_fold_so_that_the_buttons_are_near(stage):
    call = stage.web()
    lines = [{**LINE, "specification": f"6005A-T6 no. {number}"} for number in range(1, 31)]
    stage.hand_in(lines=lines, amount="5820000.50", valid_until="2026-12-31T16:00:00Z", margin="0.02")
    text = call("GET", stage.link("chen"), anonymous=True).get_data(as_text=True)
    shown, folded = text.split("<details>")
    assert ("no. 5<" in shown, "no. 6<" in shown, "其余 25 行" in folded, "no. 30<" in folded) == (
        True,
        False,
        True,
        True,
    )
    assert "5,820,000.50 CNY" in shown
    assert "2027-01-01" in shown  # of Shanghai
    assert shown.index("毛利率低于 5%") < shown.index("no. 1<")
