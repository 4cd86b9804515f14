"""Payment terms as people write them, in Chinese and English, and what is rather left to a person."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.quote_approval.terms import LONGEST_TEXT, read_terms

CORPUS = [
    ("月结60天", 60),
    ("月结 30 天", 30),
    ("月结３０天", 30),
    ("月结三十天", 30),
    ("月结九十天", 90),
    ("月结", None),
    ("月结45日", 45),
    ("账期60天", 60),
    ("60天账期", 60),
    ("货到60天内付清", 60),
    ("货到后30日内电汇", 30),
    ("票到30天", 30),
    ("开票后45天内付款", 45),
    ("收到发票后一个月内付清", 30),
    ("验收合格后30个工作日内支付", 42),
    ("验收后两周内付款", 14),
    ("三个月账期", 90),
    ("半年承兑", 182),
    ("6个月银行承兑汇票", 180),
    ("一百二十天", 120),
    ("款到发货", 0),
    ("先款后货", 0),
    ("现款现货", 0),
    ("全款提货", 0),
    ("货到付款", 0),
    ("带款提货", 0),
    ("预付全款", 0),
    ("预付100%", 0),
    ("即期信用证", 0),
    ("预付30%，发货前付清70%", 0),
    ("30%预付，70%发货前付清", 0),
    ("预付 30%，发货前 40%，验收后 60 天内 30%", 60),
    ("30%定金，余款发货前3天付清", 0),
    ("合同签订预付20%，余款货到30天", 30),
    ("预付30%", None),
    ("预付30%，余款月结60天", 60),
    ("预付30%，余款另议", None),
    ("5%质保金，质保期满支付", None),
    ("90%货到付款，10%质保金12个月后支付", 360),
    ("90天信用证", 90),
    ("次月15日付款", 45),
    ("次月底付清", 60),
    ("每月25日付款", None),
    ("2026年12月31日前付清", None),
    ("电汇", None),
    ("面议", None),
    ("月结60天，含13%增值税", 60),
    ("月结60天，电汇", 60),
    ("报价有效期30天，款到发货", 0),
    ("", None),
    ("？", None),
    ("net 60", 60),
    ("Net 30", 30),
    ("NET30", 30),
    ("net-45", 45),
    ("n/60", 60),
    ("2/10 net 30", 30),
    ("2% 10 days, net 30", 30),
    ("60 days net", 60),
    ("30 days", 30),
    ("60 days after B/L date", 60),
    ("within 30 days of invoice", 30),
    ("30 days EOM", 30),
    ("Net 30 EOM", 30),
    ("30% deposit, 70% before shipment", 0),
    ("30% deposit and 70% before delivery", 0),
    ("30% T/T in advance, balance against copy of B/L", 0),
    ("30% down payment, 70% within 60 days after delivery", 60),
    ("50% advance, 50% 30 days after acceptance", 30),
    ("100% prepayment", 0),
    ("cash in advance", 0),
    ("CIA", 0),
    ("COD", 0),
    ("cash on delivery", 0),
    ("due on receipt", 0),
    ("T/T in advance", 0),
    ("T/T", None),
    ("L/C at sight", 0),
    ("irrevocable L/C 90 days", 90),
    ("D/P at sight", 0),
    ("D/A 60 days", 60),
    ("two weeks after delivery", 14),
    ("ten working days after invoice", 14),
    ("three months", 90),
    ("payment 7 days before shipment", 0),
    ("30% deposit", None),
    ("30% deposit, rest as agreed", None),
    ("to be agreed", None),
    ("as per contract", None),
    ("open account", None),
    ("net 30, prices valid 15 days", 30),
    ("60d", 60),
    ("payment within one month", 30),
    ("30% deposit, 80% before shipment", None),
    ("20% deposit with order, 70% before shipment, 10% net 60", 60),
    ("预付10%其余年底付清", None),
    ("预付10%90%验收后付", None),
    ("预付30%余款发货前付清", 0),
    ("预付，年底结清", None),
    ("货到付款或另议", None),
    ("10% down payment rest on completion of the project", None),
    ("30% deposit 70% when the customer is satisfied", None),
    ("cash or on account", None),
    ("30% deposit balance before shipment", 0),
]


@pytest.mark.parametrize(("text", "days"), CORPUS)
def test_terms_are_read_as_people_mean_them(text, days):
    assert read_terms(text).days == days


def test_the_corpus_is_large_enough_to_mean_something():
    assert len(CORPUS) >= 60
    assert sum(days is None for _, days in CORPUS) >= 10


def test_what_cannot_be_read_says_which_part():
    assert read_terms("预付30%，余款另议").why == "余款另议"
    assert "add up" in read_terms("30% deposit").why


@given(
    days=st.integers(1, 999),
    form=st.sampled_from(["月结{}天", "账期{}天", "net {}", "{} days", "货到{}日内付款", "L/C {} days"]),
)
def test_the_number_of_days_is_read_exactly(days, form):
    assert read_terms(form.format(days)).days == days


@given(
    parts=st.lists(st.sampled_from([text for text, days in CORPUS if days is not None and "%" not in text]), min_size=1)
)
def test_of_several_terms_the_longest_counts(parts):
    known = {text: days or 0 for text, days in CORPUS}
    assert read_terms("；".join(parts)[:LONGEST_TEXT]).days in (max(known[part] for part in parts), None)
    short = [part for part in parts if len(part) < 20][:5]
    if short:
        assert read_terms("；".join(short)).days == max(known[part] for part in short)


@given(st.text(max_size=600))
def test_any_text_is_answered_and_never_with_a_negative_number(text):
    days = read_terms(text).days
    assert days is None or days >= 0


def test_hostile_text_is_read_in_no_time():
    began = time.perf_counter()
    for text in ("3" * 500, "零" * 500, "3个" * 250, "% " * 250, "before " * 70, "30 working-" * 45, "每" * 500):
        read_terms(text)
    assert time.perf_counter() - began < 0.5
