"""What a record may hold: the generated schemas, the fast path and the frozen records agree with each other."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import marshmallow as ma
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model.errors import ItemRejected
from core.model.instants import format_instant, from_micros, parse_instant, to_micros
from core.model.records import KINDS
from core.model.schemas import (
    builder_for,
    canonical,
    canonical_json,
    check_fields,
    known_fields,
    schema_for,
    validate_record,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**12), max_value=10**12)
    | TEXT
    | st.sampled_from(["2026-11-22T08:30:00+08:00", "2026-11-22T00:30:00Z", "12.50", "-0.010", "1e5"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["name", "type", "at", "price"]), inner, max_size=3)
    ),
    max_leaves=5,
)
ALL = sorted({name for kind in KINDS for name in known_fields(kind)} | {"unknown", "颜色"})
BODIES = st.dictionaries(st.sampled_from(ALL), VALUES, max_size=4)


def outcome(kind: str, data: dict[str, Any]) -> Any:
    """Return what the marshmallow schema alone makes of the known fields, or its faults."""
    known = {key: value for key, value in data.items() if key in known_fields(kind)}
    try:
        return canonical(schema_for(kind).load(known))
    except ma.ValidationError as error:
        return set(error.messages)  # type: ignore[arg-type]


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(sorted(KINDS)), BODIES, st.none() | TEXT | st.integers(0, 99))
def test_the_schema_and_the_validation_take_and_refuse_the_same(kind: str, body: dict[str, Any], ident: Any) -> None:
    data = {**body, "id": ident}
    wanted = outcome(kind, data)
    if isinstance(wanted, set):
        with pytest.raises(ItemRejected) as refused:
            validate_record(kind, data)
        assert {error["path"].split(".")[1] for error in refused.value.errors} == wanted
        return
    checked = validate_record(kind, data)
    unmapped = {key for key in data if key not in known_fields(kind)}
    extra = checked.pop("extra", None)
    wanted_extra = wanted.pop("extra", None)
    assert json.loads(canonical_json(checked)) == json.loads(canonical_json(wanted))
    assert set(extra or {}) == set(wanted_extra or {}) | unmapped


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(KINDS)), BODIES)
def test_what_was_checked_once_passes_again_unchanged(kind: str, body: dict[str, Any]) -> None:
    try:
        checked = validate_record(kind, {**body, "id": "1"})
    except ItemRejected:
        return
    stored = json.loads(canonical_json(checked))
    assert json.loads(canonical_json(validate_record(kind, stored))) == stored
    record = builder_for(KINDS[kind])(stored)
    assert dataclasses.is_dataclass(record) and record.id == "1"


MONEY = {
    "12.50": "12.50",
    "120000.00": "120000.00",
    12: "12",
    Decimal("0.10"): "0.10",
    "1e3": "1000",
    "-7.5": "-7.5",
    "0": "0",
    "999999999999999999.999999": "999999999999999999.999999",
}


@pytest.mark.parametrize("sent", list(MONEY))
def test_money_is_kept_to_the_last_digit(sent: Any) -> None:
    checked = validate_record("quote", {"id": "1", "amount": sent})
    assert checked["amount"] == MONEY[sent]
    assert builder_for(KINDS["quote"])(checked).amount == Decimal(MONEY[sent])


@pytest.mark.parametrize(
    "sent",
    [
        "1e999999",
        "NaN",
        "Infinity",
        "-Infinity",
        "12,50",
        "¥12",
        "",
        "1" * 25,
        "0." + "1" * 25,
        True,
        [],
        {},
        1.5,
        "9" * 5000,
    ],
)
def test_what_is_no_exact_amount_is_refused(sent: Any) -> None:
    with pytest.raises(ItemRejected) as refused:
        validate_record("quote", {"id": "1", "amount": sent})
    assert [error["path"] for error in refused.value.errors] == ["quote.amount"]


INSTANTS = {
    "2026-11-22T08:30:00+08:00": "2026-11-22T00:30:00Z",
    "2026-11-22T00:30:00Z": "2026-11-22T00:30:00Z",
    "2026-11-22t00:30:00z": "2026-11-22T00:30:00Z",
    "2026-11-22 08:30+0800": "2026-11-22T00:30:00Z",
    "2026-11-22T00:30:00.5Z": "2026-11-22T00:30:00.500000Z",
    "2026-11-22T00:30:00.123456789Z": "2026-11-22T00:30:00.123456Z",
    "2026-12-31T23:30:00-01:00": "2027-01-01T00:30:00Z",
}


@pytest.mark.parametrize("sent", list(INSTANTS))
def test_an_instant_is_kept_in_utc(sent: str) -> None:
    assert validate_record("lead", {"id": "1", "created_at": sent})["created_at"] == INSTANTS[sent]


@pytest.mark.parametrize(
    "sent",
    ["2026-11-22T08:30:00", "2026-11-22", "22/11/2026", "yesterday", "", "2026-02-30T00:00:00Z", "1899-12-31T00:00:00Z",
     "2201-01-02T00:00:00Z", "0001-01-01T00:00:00+08:00", "2026-11-22T08:30:00+99:00", "2026-11-22T25:00:00Z",
     "２０２６-11-22T08:30:00Z", "2026-11-22T08:30:00Z\n", 1763800000, None],
)  # fmt: skip
def test_what_is_no_instant_with_an_offset_is_refused(sent: Any) -> None:
    if sent is None:
        assert validate_record("lead", {"id": "1", "created_at": None})["created_at"] is None
        return
    with pytest.raises(ItemRejected, match="created_at"):
        validate_record("lead", {"id": "1", "created_at": sent})


@given(st.datetimes(datetime(1900, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_instants_survive_text_and_microseconds(at: datetime) -> None:
    assert parse_instant(format_instant(at)) == at == from_micros(to_micros(at))


def test_unknown_fields_are_kept_beside_the_extra_a_sender_has() -> None:
    checked = validate_record("order", {"id": "1", "extra": {"a": 1}, "颜色": "银白", "a": 2})
    assert checked["extra"] == {"a": 1, "颜色": "银白"}


def test_an_explicit_null_stays_and_an_omitted_field_stays_away() -> None:
    assert validate_record("lead", {"id": "1", "owner": None}) == {"id": "1", "owner": None}


def test_every_fault_is_named_with_its_path() -> None:
    with pytest.raises(ItemRejected) as refused:
        validate_record("quote", {"amount": "x", "lead_time_days": "soon", "lines": [{"quantity": "many"}, 5]})
    paths = {error["path"] for error in refused.value.errors}
    assert paths == {
        "quote.id",
        "quote.amount",
        "quote.lead_time_days",
        "quote.lines.0.quantity",
        "quote.lines.1._schema",
    }


@pytest.mark.parametrize("ident", ["", "a\nb", "a\x00", "x" * 201, None, 1.5, [], {}, True])
def test_an_id_that_names_nothing_is_refused(ident: Any) -> None:
    with pytest.raises(ItemRejected):
        validate_record("lead", {"id": ident})


def test_a_number_as_an_id_is_taken_as_text() -> None:
    assert validate_record("lead", {"id": 42})["id"] == "42"


def test_a_plugin_sets_known_fields_alone() -> None:
    assert check_fields("lead", {"score": 88, "grade": "A"}) == {"score": 88, "grade": "A"}
    with pytest.raises(ItemRejected, match=r'no field "scor" to set\. Did you mean "score"'):
        check_fields("lead", {"scor": 1})
    with pytest.raises(ItemRejected, match='no field "id" to set'):
        check_fields("lead", {"id": "2"})
    with pytest.raises(ItemRejected, match="no kind of record"):
        check_fields("approval", {"status": "x"})


def test_what_a_plugin_is_given_cannot_be_changed_behind_the_records_back() -> None:
    snapshot = {"id": "1", "extra": {"a": {"b": [1]}}, "counters": {"visits": 1}}
    record = builder_for(KINDS["lead"])(snapshot)
    assert isinstance(record.extra, MappingProxyType) and record.extra == {"a": {"b": [1]}}
    with pytest.raises(TypeError):
        record.extra["a"]["b"] = 2
    record.extra["a"]["b"].append(2)
    assert snapshot["extra"] == {"a": {"b": [1]}}
