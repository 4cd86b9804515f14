"""Which unit a record belongs to: found by value, and the same as by asking one unit after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.host.unit_rules import UnitRules

fields = st.sampled_from(["industry", "region", "extra.grid", "city"])
values = st.sampled_from(["EV", "ev ", "rail", "华东", "", "Straße", "STRASSE"])
matches = st.dictionaries(fields, st.lists(values, min_size=1, max_size=3), max_size=2)
snapshots = st.fixed_dictionaries(
    {},
    optional={
        "industry": values | st.integers() | st.none(),
        "region": values,
        "city": values | st.none(),
        "extra": st.dictionaries(st.sampled_from(["grid", "industry"]), values) | st.none(),
    },
)


def asked_in_turn(units: Sequence[tuple[str, Mapping[str, Sequence[str]]]], snapshot: Mapping[str, Any]) -> str | None:
    """Ask one unit after another, as plugins.toml is read by a person."""
    for slug, match in units:
        if match and all(_has(snapshot, name, wanted) for name, wanted in match.items()):
            return slug
    return None


def _has(snapshot: Mapping[str, Any], name: str, wanted: Sequence[str]) -> bool:
    value = snapshot.get(name)
    if value is None:
        value = (snapshot.get("extra") or {}).get(name.removeprefix("extra."))
    return isinstance(value, str) and any(value.strip().casefold() == item.strip().casefold() for item in wanted)


@given(rules=st.lists(matches, max_size=8), snapshot=snapshots)
def test_the_first_unit_of_the_file_that_fits_takes_the_record(
    rules: list[dict[str, list[str]]], snapshot: dict[str, Any]
) -> None:
    units = [(f"unit_{number}", match) for number, match in enumerate(rules)]
    found = UnitRules(units).first(snapshot)
    assert (found and found[0]) == asked_in_turn(units, snapshot)


def test_what_fitted_is_told() -> None:
    rules = UnitRules([("new_energy", {"industry": ["ev"], "region": ["华东"]})])
    assert rules.first({"industry": "EV", "region": "华东"}) == ("new_energy", "industry is EV, region is 华东")
