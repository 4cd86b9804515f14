"""The quick checks and the marshmallow schemas say the same of every value; the schemas are the truth."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import marshmallow as ma
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model.instants import format_instant
from core.model.quick_checks import SLOW, checks_of
from core.model.records import KINDS
from core.model.schemas import canonical_json, check_slowly, validate_record

NUMBERS = st.sampled_from(
    ["0", "-0", "-0.00", "00.5", "1.", ".5", "1e3", "1E+2", "12.50", "+1", "1_000", " 1", "1\n", "١٢", "NaN", "inf",
     "9" * 15, "9" * 16, "9" * 24, "9" * 25, "0.0000001", "1e999999", ""]
)  # fmt: skip
TIMES = st.sampled_from(
    ["2026-11-22T08:00:00Z", "2026-11-22t08:00:00.5z", "2026-11-22 16:00:00+08:00", "2026-11-22T24:00:00Z",
     "2026-13-01T00:00:00Z", "2026-11-22", "1800-01-01T00:00:00Z", "2026-11-22T08:00Z", "2026-11-22T08:00:00"]
) | st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat())  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=True, allow_infinity=True)
    | st.decimals(min_value=-(10**9), max_value=10**9, places=4)
    | st.floats()
    | NUMBERS
    | TIMES
    | st.text(max_size=30)
    | st.sampled_from(["x" * 5_000, "x" * 70_000, "a\x00b", "\x85", 10**15, -(10**15), Decimal("1e30")]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "email", "phone", "type", "at", "detail", "metal", "price", "quantity", "other"]),
            inner,
            max_size=4,
        )
        | st.tuples(inner)
    ),
    max_leaves=8,
)
FIELDS = [(kind, name) for kind in KINDS for name in checks_of(kind)]


@settings(max_examples=1_500, deadline=None)
@given(field=st.sampled_from(FIELDS), value=VALUES)
def test_what_a_quick_check_takes_the_schema_takes_with_the_same_result(field, value):
    kind, name = field
    quick = checks_of(kind)[name](value)
    if quick is SLOW:
        return
    assert canonical_json(quick) == canonical_json(check_slowly(kind, name, value))


def test_ordinary_records_never_need_the_slow_way():
    line = {"product": "6061", "quantity": "12.5", "unit_price": Decimal("20100.5"), "discount": None}
    ordinary: list[tuple[str, str, Any]] = [
        ("quote", "id", "Q-1"),
        ("quote", "amount", "125000.50"),
        ("quote", "amount", 125000),
        ("quote", "lines", [line]),
        ("quote", "lead_time_days", 21),
        ("quote", "valid_until", "2026-12-22T00:00:00+08:00"),
        ("quote", "price_basis", {"metal": "aluminium", "price": 19500, "at": "2026-11-21T00:00:00Z"}),
        ("quote", "extra", {"color": "red"}),
        ("lead", "contact", {"name": "张三", "email": None}),
        ("lead", "products", ["6061"]),
        ("lead", "counters", {"visits": 3}),
        ("lead", "activities", [{"type": "visit", "at": "2026-11-21T00:00:00Z"}]),
        ("lead", "owner", None),
    ]
    for kind, name, value in ordinary:
        quick = checks_of(kind)[name](value)
        assert quick is not SLOW, (kind, name, value)
        assert canonical_json(quick) == canonical_json(check_slowly(kind, name, value))


def test_every_field_of_every_kind_has_both_checks():
    for kind, name in FIELDS:
        try:
            check_slowly(kind, name, None)
        except ma.ValidationError:
            assert name == "id"


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_fields_go_to_extra_on_either_way(kind):
    assert validate_record(kind, {"id": 5, "颜色": "red"}) == {"id": "5", "extra": {"颜色": "red"}}


@given(st.datetimes(timezones=st.timezones()))
def test_instants_come_out_in_utc(moment):
    quick = checks_of("lead")["created_at"](moment.isoformat())
    assert quick is SLOW or quick == format_instant(moment)
