"""One quote's routing: its facts with their origin, what is missing or wrong, and the decision."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.api import Customer
from core.testing import quote_event
from plugins.quote_approval.checks import check
from plugins.quote_approval.content import content_of, differences, hash_of
from plugins.quote_approval.facts import facts_of, tier_of
from plugins.quote_approval.rules import INCOMPLETE, route
from plugins.quote_approval.states import Step
from plugins.quote_approval.tests.scene import LINE, SAFE, config

CONFIG = config()
B = Customer(id="C-1", tier="B")
TODAY = datetime(2026, 11, 23, 9, 30, tzinfo=ZoneInfo("Asia/Shanghai"))


def quote(**values):
    given = {name: value for name, value in {**SAFE, **values}.items() if value is not None}
    return quote_event(**given).record


def faults(**values):
    return [fault.path for fault in route(quote(**values), B, "default", CONFIG, TODAY).faults]


@pytest.mark.parametrize(
    ("valid_until", "is_over"),
    [
        ("2026-11-22T15:59:59Z", True),  # the last moment of the day before, in Shanghai
        ("2026-11-22T16:00:00Z", False),  # today's first: a date without a time is meant to the end of its day
        ("2026-11-23T00:30:00Z", False),
        ("2026-12-31T00:00:00Z", False),
    ],
)
def test_a_quote_is_returned_when_the_last_day_of_its_validity_was_over_at_handing_in(valid_until, is_over):
    found = route(quote(valid_until=valid_until), B, "default", CONFIG, TODAY)
    assert [fault.path for fault in found.faults] == (["valid_until"] if is_over else [])
    assert (found.step is Step.RETURN) is is_over
    assert not is_over or ("有效期至 2026-11-22" in found.reason and "2026-11-22, which is over" in found.reason)


# ------------------------------------------------------------------------------------------------------------- tier


@pytest.mark.parametrize(
    ("customer", "tier"),
    [
        (Customer(id="C", tier="A"), "A"),
        (Customer(id="C", tier=" b "), "B"),
        (Customer(id="C", tier="VIP"), None),
        (Customer(id="C", tier="C", yearly_purchase=Decimal(99_000_000), currency="CNY"), "C"),
        (Customer(id="C", yearly_purchase=Decimal(10_000_001), currency="CNY"), "A"),
        (Customer(id="C", yearly_purchase=Decimal(10_000_000), currency="CNY"), "B"),
        (Customer(id="C", yearly_purchase=Decimal(3_000_000), currency="CNY"), "B"),
        (Customer(id="C", yearly_purchase=Decimal("2999999.99"), currency="CNY"), "C"),
        (Customer(id="C", yearly_purchase=Decimal(3_000_000), currency="USD"), None),
        (Customer(id="C", yearly_purchase=Decimal(3_000_000)), None),
        (Customer(id="C"), None),
        (None, None),
    ],
)
def test_the_tier_comes_from_the_customer_and_says_from_where(customer, tier):
    found, origin, origin_zh = tier_of(customer, CONFIG)
    assert found == tier
    assert origin.isascii() and re.search(r"[\u4e00-\u9fff]", origin_zh)


def test_the_tier_may_stand_in_a_field_of_the_crm():
    customer = Customer(id="C", tier="A", extra={"klasse": "c"})
    assert tier_of(customer, config(tier_field="extra.klasse")) == (
        "C", "customer field extra.klasse", "取自客户字段 extra.klasse",
    )  # fmt: skip


def test_what_a_quote_claims_about_its_customer_is_not_believed():
    routing = route(quote(extra={"tier": "C"}), Customer(id="C-1", tier="A"), "default", CONFIG, TODAY)
    assert (routing.facts.tier, routing.rule) == ("A", "tier_a")


def test_without_a_known_customer_a_person_decides():
    routing = route(quote(), None, "default", CONFIG, TODAY)
    assert (routing.step, routing.levels[0].who) == (Step.ASK, ("reviewer",))
    assert CONFIG.role("reviewer", routing.facts.tier) == "sales_director"


# ------------------------------------------------------------------------------------------------------------ facts


def test_the_larger_of_stated_and_counted_discount_decides():
    lines = [{**LINE, "discount": "0.30"}]
    routing = route(quote(lines=lines, amount="140000", discount="0.01"), B, "default", CONFIG, TODAY)
    assert (routing.facts.discount, routing.rule) == (Decimal("0.3000"), "deep_discount")
    assert "0.01" in routing.facts.notes[0]


@pytest.mark.parametrize(
    ("stated", "lines", "amount", "routed_by"),
    [
        ("0", ("0.5", None), "300000", "0.2500"),  # the open line gives none, and the other one a quarter of all
        (None, ("0.5", None), "300000", None),
        ("0.05", ("0.05", "0.05"), "361000", "0.097500"),  # the amount says that both were given
        ("0.05", ("0.05", "0.05"), "380000", "0.05"),  # or one of them
        ("0.05", ("0.05", "0.05"), "407930", "0.097500"),  # with tax on top
    ],
)
def test_no_discount_hides_in_single_lines_or_on_top_of_theirs(stated, lines, amount, routed_by):
    asked = quote(discount=stated, amount=amount, lines=[{**LINE, "discount": item} for item in lines])
    discount = facts_of(asked, None, "default", config()).discount
    assert discount == (None if routed_by is None else Decimal(routed_by))


@pytest.mark.parametrize(
    "line",
    [
        {"quantity": "1e22", "unit_price": "1e22"},
        {"discount": "-999999999999999999999999"},
        {"quantity": "0.00000000000000000000001", "unit_price": "0.00000000000000000000001", "discount": "-1e22"},
    ],
)
def test_numbers_of_any_size_are_looked_at(line):
    odd = quote(lines=[{**LINE, **line}])
    assert facts_of(odd, None, "default", config()).tier is None
    assert any(fault.path in ("amount", "lines.1.discount") for fault in check(odd, config(), TODAY))


def test_another_currency_has_no_amount_and_goes_to_a_person():
    routing = route(quote(currency="USD"), B, "default", CONFIG, TODAY)
    assert (routing.facts.amount, routing.rule) == (None, "foreign_currency")
    assert "USD" in routing.facts.notes[0]


def test_terms_that_cannot_be_read_are_told():
    routing = route(quote(payment_terms="面议"), B, "default", CONFIG, TODAY)
    assert routing.rule == "long_credit"
    assert "面议" in routing.facts.notes[0]


# -------------------------------------------------------------------------------------------- complete and consistent


def test_a_complete_quote_has_no_faults():
    assert faults() == []


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"lines": [{**LINE, "specification": None}]}, "lines.1.specification"),
        ({"lines": [LINE, {**LINE, "specification": "  "}], "amount": "388000"}, "lines.2.specification"),
        ({"lines": [{**LINE, "unit_price": None}]}, "lines.1.unit_price"),
        ({"lead_time_days": None}, "lead_time_days"),
        ({"payment_terms": None}, "payment_terms"),
        ({"payment_terms": " "}, "payment_terms"),
        ({"currency": None}, "currency"),
        ({"lines": []}, "lines"),
        ({"amount": "250000"}, "amount"),
        ({"amount": "-1", "lines": [{**LINE, "quantity": None}]}, "amount"),
        ({"discount": "1.5"}, "discount"),
        ({"discount": "-0.1"}, "discount"),
        ({"margin": "12"}, "margin"),
        ({"lead_time_days": -1}, "lead_time_days"),
        ({"lines": [{**LINE, "discount": "5"}]}, "lines.1.discount"),
        ({"lines": [{**LINE, "quantity": "-10"}]}, "lines.1.quantity"),
        ({"lines": [{**LINE, "unit_price": "-1"}]}, "lines.1.unit_price"),
    ],
)
def test_what_is_missing_or_impossible_is_named_in_both_languages(values, path):
    routing = route(quote(**values), B, "default", CONFIG, TODAY)
    assert (routing.step, routing.rule) == (Step.RETURN, INCOMPLETE)
    fault = next(fault for fault in routing.faults if fault.path == path)
    assert fault.zh.isascii() is False
    assert fault.en.isascii()


def test_everything_missing_is_named_at_once():
    given = quote(lines=[{"product": "板"}], lead_time_days=None, payment_terms=None)
    paths = {fault.path for fault in route(given, B, "default", CONFIG, TODAY).faults}
    assert paths == {"lines.1.specification", "lines.1.unit_price", "lead_time_days", "payment_terms"}


def test_product_and_family_stand_for_the_specification_where_that_is_configured():
    given = quote(lines=[{**LINE, "specification": None, "family": "extrusion"}])
    assert route(given, B, "default", config(product_stands_for_specification=True), TODAY).faults == ()
    assert route(given, B, "default", CONFIG, TODAY).faults != ()


def test_more_can_be_required():
    strict = config(required=[*CONFIG.required, "margin", "valid_until", "quantity"])
    given = quote(margin=None, lines=[{**LINE, "quantity": None}])
    paths = {fault.path for fault in route(given, B, "default", strict, TODAY).faults}
    assert paths == {"margin", "valid_until", "lines.1.quantity"}


@pytest.mark.parametrize(
    "amount",
    [
        "194000",  # the lines after their discounts
        "195500",  # within one per cent
        "188180",  # the quote's discount on top of them
        "219220",  # with 13 % tax
    ],
)
def test_an_amount_that_fits_the_lines_in_some_usual_way_is_taken(amount):
    assert faults(amount=amount) == []


def test_an_amount_cannot_be_compared_when_a_quantity_is_open():
    assert faults(amount="5", lines=[{**LINE, "quantity": None}]) == []


# ---------------------------------------------------------------------------------------------------------- content


def test_the_same_offer_has_the_same_hash_however_its_numbers_are_written():
    one = content_of(quote(amount="194000", discount="0.03", lines=[LINE]))
    other = content_of(quote(amount="194000.00", discount="0.030", lines=[{**LINE, "quantity": "10.0"}]))
    assert hash_of(one) == hash_of(other)


@pytest.mark.parametrize(
    "values", [{"status": "approved"}, {"owner": "he"}, {"extra": {"approval_status": "approved"}}]
)
def test_status_owner_and_unmapped_fields_are_no_part_of_the_offer(values):
    assert hash_of(content_of(quote(**values))) == hash_of(content_of(quote()))


@given(
    st.sampled_from(
        ["customer_id", "currency", "amount", "discount", "margin", "payment_terms", "lead_time_days", "lines"]
    ),
    st.data(),
)
def test_a_change_of_any_part_of_the_offer_changes_its_hash_and_is_named(name, data):
    other = {
        "customer_id": "C-2", "currency": "USD", "payment_terms": "月结60天", "lead_time_days": 21,
        "lines": [{**LINE, "unit_price": str(data.draw(st.integers(20_001, 30_000)))}],
    }.get(name, str(data.draw(st.decimals("0.31", "0.9", places=3))))  # fmt: skip
    before, after = content_of(quote()), content_of(quote(**{name: other}))
    assert hash_of(before) != hash_of(after)
    assert [text.partition(":")[0] for text in differences(before, after)] == [name]


# ------------------------------------------------------------------------------------- what looks harmless and is not


@pytest.mark.parametrize("written", ["cny", " RMB", "人民币", "元", "ＣＮＹ"])
def test_the_yuan_is_the_yuan_however_it_is_written(written):
    routing = route(quote(currency=written), B, "default", CONFIG, TODAY)
    assert (routing.rule, routing.facts.amount, routing.facts.notes) == ("low_risk", Decimal(194000), ())
    assert content_of(quote(currency=written)) == content_of(quote())
    bought = Customer(id="C", yearly_purchase=Decimal(3_000_000), currency=written)
    assert tier_of(bought, CONFIG)[0] == "B"


def test_a_price_of_nothing_is_no_price():
    line = {**LINE, "unit_price": "0"}
    assert faults(lines=[LINE, line]) == ["lines.2.unit_price"]
    gift = {**LINE, "discount": "1"}
    assert route(quote(lines=[gift], amount="0"), B, "default", CONFIG, TODAY).rule == "deep_discount"


def test_a_quote_over_nothing_is_not_approved_by_rule():
    routing = route(quote(lines=[{**LINE, "quantity": "0"}], amount="0"), B, "default", CONFIG, TODAY)
    assert (routing.step, routing.facts.amount) == (Step.ASK, None)
    assert "what the quote is worth is unknown" in routing.facts.notes[0]


def test_a_number_that_cannot_be_is_one_fault_and_not_two():
    assert faults(lines=[{**LINE, "discount": "15"}]) == ["lines.1.discount"]
    assert faults(amount="-5") == ["amount"]


@pytest.mark.parametrize("currency", [None, "  "])
def test_a_quote_without_a_currency_says_only_that(currency):
    routing = route(quote(currency=currency), B, "default", CONFIG, TODAY)
    assert [fault.path for fault in routing.faults] == ["currency"]
    assert routing.facts.notes == ()
