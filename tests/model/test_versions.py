"""Versions as text: sorting the texts sorts the versions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.versions import version_key

AT = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)
INSTANTS = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


@given(st.integers(0, 2**63), st.integers(0, 2**63))
def test_numbers_sort_as_numbers(one: int, other: int) -> None:
    assert (version_key(one, AT) < version_key(other, AT)) == (one < other)


@given(st.integers(0, 10**20 - 1), st.integers(0, 10**20 - 1))
def test_texts_of_digits_sort_as_numbers(one: int, other: int) -> None:
    assert (version_key(str(one), AT) < version_key(str(other), AT)) == (one < other)


@given(INSTANTS, INSTANTS)
def test_instants_sort_as_instants_even_before_1970(one: datetime, other: datetime) -> None:
    assert (version_key(one, AT) < version_key(other, AT)) == (one < other)
    assert (version_key(None, one) < version_key(None, other)) == (one < other)


@given(st.text("0123456789-: .T", min_size=21, max_size=40), st.text("0123456789-: .T", min_size=21, max_size=40))
def test_other_texts_sort_as_texts(one: str, other: str) -> None:
    assert (version_key(one, AT) < version_key(other, AT)) == (one < other)


def test_a_number_and_its_digits_are_one_version() -> None:
    assert version_key(17, AT) == version_key("17", AT) == version_key("00017", AT)


def test_a_number_outranks_a_time_and_a_text_outranks_both() -> None:
    assert version_key(None, AT) < version_key(0, AT) < version_key("r1", AT)


def test_without_a_version_the_time_of_the_fact_counts() -> None:
    assert version_key(None, AT) == version_key(AT, AT + timedelta(days=1))


@pytest.mark.parametrize("odd", [True, False])
def test_a_truth_value_is_no_version(odd: bool) -> None:
    assert version_key(odd, AT) == version_key(None, AT)


def test_a_negative_number_is_the_lowest_of_numbers() -> None:
    assert version_key(-5, AT) == version_key(0, AT)
