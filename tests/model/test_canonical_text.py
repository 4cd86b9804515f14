"""Values of effects as JSON: written in one pass, and the same as in two."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.schemas import canonical, canonical_json, canonical_text


@dataclass(frozen=True)
class Line:
    """Something a plugin may put into its inputs."""

    name: str
    amount: Decimal


leaves = (
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(allow_nan=False, allow_infinity=False) | st.datetimes(timezones=st.just(UTC)) | st.dates()
    | st.timedeltas() | st.builds(Line, st.text(), st.decimals(allow_nan=False, allow_infinity=False))
)  # fmt: skip
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner)
    | st.dictionaries(st.text(), inner).map(MappingProxyType),
)  # fmt: skip


@given(value=values)
def test_one_pass_writes_what_two_would(value: Any) -> None:
    assert canonical_text(value) == canonical_json(canonical(value))


def test_days_instants_and_spans_are_written_as_they_are_stored() -> None:
    value = {"d": date(2026, 10, 1), "at": datetime(2026, 10, 1, 8, tzinfo=UTC), "for": timedelta(hours=8)}
    assert canonical_text(value) == '{"d":"2026-10-01","at":"2026-10-01T08:00:00Z","for":28800.0}'


@pytest.mark.parametrize("value", [object(), {1, 2}, b"x", float("nan"), {"a": [float("inf")]}, {(1, 2): 3}])
def test_what_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        canonical_text(value)
