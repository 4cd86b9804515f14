"""The tests a rule may put to the facts, one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from core.api import Activity, Contact, Customer, Lead
from plugins.lead_scoring.conditions import Hit, match
from plugins.lead_scoring.facts import Facts, plain
from plugins.lead_scoring.settings import Rule

NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
RATES = {"USD": Decimal("7.1")}


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def hit(lead: Lead, customer: Customer | None = None, **test: Any) -> Hit | None:
    values: dict[str, Any] = {"name": "r", "points": 8, "reason": "because"} | test
    rule = Rule(**values)
    return match(rule, Facts(lead, NOW, customer=customer, rates=RATES))


def points(lead: Lead, customer: Customer | None = None, **test: Any) -> int | None:
    found = hit(lead, customer, **test)
    return None if found is None else found.points


def lead(**values) -> Lead:
    return Lead(id="L", **values)


@pytest.mark.parametrize(
    ("industry", "expected"),
    [
        ("光伏", 8),
        ("PHOTOVOLTAIC", 8),
        ("ＰＨＯＴＯｖｏｌｔａｉｃ", 8),
        ("rail", None),
        (None, None),
        ("未知", None),
        ("", None),
    ],
)
def test_in_compares_whole_values_whatever_their_width_and_case(industry, expected):
    assert points(lead(industry=industry), field="industry", one_of=("光伏", "photovoltaic")) == expected


def test_in_looks_at_each_value_of_a_list():
    assert points(lead(products=("铝箔", "Solar_Frame")), field="products", one_of=("solar frame",)) == 8


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("需要 6061-T6 板材", "6061"),
        ("需要6061铝板", "6061"),
        ("６０６１ 板材", "6061"),
        ("order 16061 pieces", None),
        ("EV 电池托盘", "ev, 电池托盘"),
        ("seven trays", None),
        ("e-mail us", None),
    ],
)
def test_contains_finds_chinese_anywhere_and_latin_as_whole_words(text, expected):
    found = hit(lead(requirement=text), field="requirement", contains=("6061", "ev", "电池托盘"))
    assert (found.seen if found else None) == expected


def test_without_takes_a_match_back():
    rule: dict[str, Any] = {"field": "requirement", "contains": ("学生",), "without": ("学生公寓",)}
    assert points(lead(requirement="我是学生"), **rule) == 8
    assert points(lead(requirement="学生公寓门窗工程"), **rule) is None


@pytest.mark.parametrize(
    ("volume", "test", "expected"),
    [
        ("200", {"at_least": Decimal(200)}, 8),
        ("199.999", {"at_least": Decimal(200)}, None),
        ("2", {"at_most": Decimal(2)}, 8),
        ("2.1", {"at_most": Decimal(2)}, None),
        ("5", {"at_least": Decimal(2), "at_most": Decimal(9)}, 8),
        ("10", {"at_least": Decimal(2), "at_most": Decimal(9)}, None),
        ("0", {"at_most": Decimal(0)}, 8),
        (None, {"at_most": Decimal(2)}, None),
    ],
)
def test_numbers_are_compared_exactly_and_an_unknown_one_matches_nothing(volume, test, expected):
    known = None if volume is None else Decimal(volume)
    assert points(lead(annual_volume=known), field="annual_volume", **test) == expected


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        ("100000", "USD", 8),
        ("100000", "CNY", None),
        ("710000", None, 8),
        ("9999999", "XXX", None),
        ("710000", "cny", 8),
    ],
)
def test_budgets_are_compared_in_one_currency_and_one_without_a_rate_is_unknown(amount, currency, expected):
    asked = lead(budget=Decimal(amount), currency=currency)
    assert points(asked, field="budget", at_least=Decimal(700000)) == expected
    assert (points(asked, field="budget", missing=True) is not None) is (currency == "XXX")


def test_present_and_missing_ask_whether_anything_is_known():
    someone = lead(contact=Contact(name="周敏", phone="-"))
    assert points(someone, field="contact.name", present=True) == 8
    assert points(someone, field="contact.phone", present=True) is None
    assert points(someone, field="contact.phone", missing=True) == 8
    assert points(someone, field="contact.name", missing=True) is None
    assert points(someone, field="activities", missing=True) == 8
    assert points(lead(activities=(Activity(type="call", at=NOW),)), field="activities", present=True) == 8


@pytest.mark.parametrize(("views", "expected"), [(0, None), (2, None), (3, 1), (8, 2), (15, 5), (999, 5), (-4, None)])
def test_counters_give_points_for_every_so_many_up_to_a_limit(views, expected):
    rule: dict[str, Any] = {"field": "counters.page_views", "per": Decimal(3), "points": 1, "max": 5}
    assert points(lead(counters={"page_views": views}), **rule) == expected


def test_a_counter_that_was_never_sent_matches_nothing():
    assert points(lead(), field="counters.page_views", per=Decimal(1)) is None


def test_negative_counts_are_limited_too():
    assert points(lead(counters={"bounces": 9}), field="counters.bounces", per=Decimal(1), points=-2, max=6) == -6


@pytest.mark.parametrize(
    ("age", "expected"), [(0, 8), (29, 8), (30, 4), (60, 2), (90, 1), (119, 1), (120, 1), (121, None), (-3, 8)]
)
def test_an_activity_loses_half_its_points_with_every_half_life(age, expected):
    rule: dict[str, Any] = {"field": "activities", "types": ("visit",), "within_days": 120, "half_life_days": 30}
    assert points(lead(activities=(Activity(type="Visit", at=ago(age)),)), **rule) == expected


def test_activities_add_up_to_a_limit_and_other_types_do_not_count():
    acts = tuple(Activity(type=kind, at=ago(1)) for kind in ("visit", "visit", "call"))
    assert points(lead(activities=acts), field="activities", types=("visit",)) == 16
    assert points(lead(activities=acts), field="activities", types=("visit",), max=10) == 10
    assert points(lead(activities=acts), field="activities") == 24
    assert hit(lead(activities=acts), field="activities", types=("visit",)) == Hit(16, "×2")


def test_an_activity_too_old_for_a_point_gives_none():
    old = lead(activities=(Activity(type="visit", at=ago(3000)),))
    assert points(old, field="activities", half_life_days=1) is None


@pytest.mark.parametrize(
    ("mail", "domain"),
    [("a@QQ.com", "qq.com"), (" a@firm.cn ", "firm.cn"), ("nonsense", None), ("@qq.com", None), ("a@local", None)],
)
def test_the_mail_domain_is_a_fact(mail, domain):
    facts = Facts(lead(contact=Contact(email=mail)), NOW)
    assert facts.texts("contact.email_domain") == ((domain,) if domain else ())


def test_derived_facts():
    facts = Facts(
        lead(
            created_at=ago(100.5),
            activities=(Activity(type="call", at=ago(20)), Activity(type="call", at=ago(40))),
            contact=Contact(email="a@b.cn", phone="n/a"),
            requirement=" 十二个字 ",
        ),
        NOW,
    )
    derived = ("age_days", "idle_days", "contact.channels", "requirement.length")
    assert [facts.number(name) for name in derived] == [100, 20, 1, 4]
    empty = Facts(lead(), NOW)
    assert [empty.number(name) for name in derived] == [None, None, 0, 0]


def test_facts_about_the_customer_need_a_known_customer():
    known = Customer(id="C", tier="A", yearly_purchase=Decimal(2_000_000), currency="USD")
    assert points(lead(), known, field="customer.tier", one_of=("a",)) == 8
    assert points(lead(), known, field="customer.yearly_purchase", at_least=Decimal(14_000_000)) == 8
    assert points(lead(), None, field="customer.tier", one_of=("a",)) is None
    assert points(lead(), None, field="customer.yearly_purchase", at_least=Decimal(1)) is None


@pytest.mark.parametrize(
    ("value", "test", "expected"),
    [
        ("gold", {"one_of": ("Gold",)}, 8),
        (True, {"one_of": ("true",)}, 8),
        (["a", "b"], {"one_of": ("b",)}, 8),
        ("12.5", {"at_least": Decimal(12)}, 8),
        (12, {"per": Decimal(6)}, 16),
        ("12 t", {"at_least": Decimal(1)}, None),
        (True, {"at_least": Decimal(1)}, None),
        ("1e999999", {"per": Decimal(1)}, None),
        ("1e30", {"per": Decimal("0.0000001"), "max": 9}, 9),
        ("NaN", {"at_least": Decimal(1)}, None),
        ({"a": 1}, {"at_least": Decimal(1)}, None),
    ],
)
def test_unmapped_fields_may_be_of_any_kind(value, test, expected):
    assert points(lead(extra={"field": value}), field="extra.field", **test) == expected


def test_in_on_a_personal_fact_does_not_repeat_it():
    found = hit(lead(contact=Contact(phone="555")), field="contact.phone", one_of=("555",))
    assert found == Hit(8, "")


@pytest.mark.parametrize("text", ["A_b-C", "  a  B c ", "ａ b　c"])
def test_plain_folds_width_case_and_separators(text):
    assert plain(text) == "a b c"
