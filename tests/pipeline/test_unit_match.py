"""Which values of a record a unit's `match` looks at."""

from __future__ import annotations

from typing import Any

import pytest

from core.host.settings import Configuration, DispatchSettings, UnitSettings
from core.pipeline.units import unit_of


def unit_for(match: dict[str, tuple[str, ...]], snapshot: dict[str, Any]) -> str:
    units = {"a": UnitSettings(slug="a", title="", match=match), "default": UnitSettings(slug="default", title="")}
    configuration = Configuration(1, {}, units, {}, DispatchSettings(), {})
    return unit_of(configuration, "crm", None, snapshot, lambda kind, record_id: None)[0]


@pytest.mark.parametrize("name", ["extra.zone_code", "zone_code"])
def test_a_field_that_only_the_crm_has_is_found_with_and_without_extra(name: str) -> None:
    assert unit_for({name: ("7",)}, {"extra": {"zone_code": "7"}}) == "a"
    assert unit_for({name: ("7",)}, {"extra": {"zone_code": "8"}}) == "default"
    assert unit_for({name: ("7",)}, {}) == "default"


def test_an_extra_name_never_means_a_canonical_field() -> None:
    assert unit_for({"extra.industry": ("ev",)}, {"industry": "ev"}) == "default"
