"""Arrays for PostgreSQL: what goes in as a literal comes out as it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.store.array_literals import array_literal
from core.store.database import Database

texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")) | st.sampled_from(
    ["", "NULL", "null", '"', "\\", '\\"', ",", "{}", "a b", "\n", "事业部", "{a,b}"]
)
columns = (
    st.tuples(st.just("text"), st.lists(texts))
    | st.tuples(st.just("text"), st.lists(texts | st.none()))
    | st.tuples(st.just("bigint"), st.lists(st.integers(-(2**63), 2**63 - 1) | st.none()))
    | st.tuples(st.just("boolean"), st.lists(st.booleans() | st.none()))
)


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Database]:
    opened = Database(postgres_url)
    yield opened
    opened.close()


@pytest.mark.postgresql
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # it only reads
@given(column=columns)
def test_a_literal_holds_the_values_that_went_in(postgres: Database, column: tuple[str, list[Any]]) -> None:
    kind, values = column
    with postgres.read() as connection:
        found = connection.exec_driver_sql(f"SELECT %s::{kind}[]", (array_literal(values),)).scalar_one()
    assert found == values


def test_a_nul_character_is_refused_before_it_could_stand_between_two_values() -> None:
    for values in (["a\0b", "c"], ["a\0b", None], ["\0"]):
        with pytest.raises(ValueError, match="NUL"):
            array_literal(values)
