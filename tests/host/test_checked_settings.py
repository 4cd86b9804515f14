"""What was checked already is not checked again, and what is stored of many units is little."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import marshmallow as ma
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.host.configuration import Resolved, Surroundings, build, resolve
from core.host.discovery import load_plugins
from core.host.packed_settings import packed, unpacked
from core.host.plugin import Plugin
from core.model.errors import ConfigurationRefused
from core.model.schemas import canonical_json

UNITS = "".join(
    f"[units.u{number}]\ntitle = 'U'\n[units.u{number}.plugins.host_scorer]\nconfig.hot_score = {number}\n"
    for number in range(20)
)
FIRST = f"[plugins.host_scorer]\nenabled = true\n{UNITS}"
PEOPLE = '[people.li_na]\nname = "李娜"\nunits = ["*"]\n'

TABLES = st.dictionaries(st.text(max_size=3), st.integers(0, 2) | st.lists(st.integers(0, 1), max_size=2))


class Counting:
    """What plugins.toml is checked against, with a count of the settings that plugins were asked about."""

    def __init__(self, around: Surroundings) -> None:
        self.asked = 0
        self.plain = around
        self.around = self.with_plugin("host_scorer")

    def with_plugin(self, name: str, **changed: Any) -> Surroundings:
        """Return these surroundings with one plugin changed; its loader counts."""
        plugin = self.plain.plugins[name]
        load = changed.pop("load_config", plugin.load_config)

        def counted(values: Mapping[str, Any]) -> Any:
            self.asked += 1
            assert load is not None
            return load(values)

        new = dataclasses.replace(plugin, load_config=counted, **changed)
        return dataclasses.replace(self.plain, plugins={**self.plain.plugins, name: new})

    def resolve(self, text: str, before: Resolved | None = None, around: Surroundings | None = None) -> int:
        """Resolve a text after a version; return how many settings were asked about."""
        self.asked = 0
        resolve(text, around or self.around, before=before)
        return self.asked


@pytest.fixture
def counting(around: Surroundings) -> Counting:
    """Give surroundings that count."""
    return Counting(around)


@pytest.fixture
def before(around: Surroundings) -> Resolved:
    """Give the version before, with twenty units that each have settings of their own."""
    return resolve(FIRST, around)


def test_a_switch_in_one_unit_asks_no_plugin_again(counting: Counting, before: Resolved) -> None:
    switched = FIRST.replace("[units.u7.plugins.host_scorer]\n", "[units.u7.plugins.host_scorer]\nenabled = false\n")
    assert counting.resolve(FIRST) == 21
    assert counting.resolve(switched, before) == 0


def test_only_the_settings_that_changed_are_asked_about(counting: Counting, before: Resolved) -> None:
    assert counting.resolve(FIRST.replace("hot_score = 7\n", "hot_score = 77\n"), before) == 1


def test_what_is_not_checked_again_resolves_to_the_same(around: Surroundings, before: Resolved) -> None:
    changed = FIRST.replace("hot_score = 7\n", "hot_score = 77\n")
    assert resolve(changed, around, before=before) == resolve(changed, around)


def test_other_code_is_asked_about_everything(counting: Counting, before: Resolved) -> None:
    assert counting.resolve(FIRST, before, counting.with_plugin("host_scorer", fingerprint="of other code")) == 21


def test_code_that_accepts_less_than_before_is_heard(counting: Counting, before: Resolved) -> None:
    def refuse(values: Mapping[str, Any]) -> Any:
        raise ma.ValidationError({"hot_score": ["Too cold."]})

    stricter = counting.with_plugin("host_scorer", fingerprint="of other code", load_config=refuse)
    with pytest.raises(ConfigurationRefused, match="hot_score: Too cold"):
        resolve(FIRST, stricter, before=before)


def test_other_names_of_people_let_every_plugin_be_asked_again(counting: Counting, before: Resolved) -> None:
    assert counting.resolve(FIRST + PEOPLE, before) == 21


def test_an_absence_lets_no_plugin_be_asked_again(counting: Counting, around: Surroundings) -> None:
    with_people = resolve(FIRST + PEOPLE, around)
    away = PEOPLE + "absences = [{ from = 2026-10-01, until = 2026-10-08 }]\n"
    assert counting.resolve(FIRST + away, with_people) == 0


def test_a_version_of_an_earlier_release_is_checked_whole_and_still_read(
    counting: Counting, before: Resolved, scorer: dict[str, Plugin]
) -> None:
    whole = {name: list(unpacked(stored)) for name, stored in before["configs"].items()}
    earlier = {key: value for key, value in before.items() if key != "checked"} | {"configs": whole}
    assert counting.resolve(FIRST, earlier) == 21
    configuration, faults = build(1, earlier, scorer)
    assert not faults
    assert configuration.plugins["u7", "host_scorer"].config.hot_score == 7


def test_a_fingerprint_changes_with_the_code_and_not_with_what_python_leaves_there(
    scorer: dict[str, Plugin],
) -> None:
    folder = scorer["host_scorer"].folder

    def now() -> str:
        return load_plugins([folder.parent], with_entry_points=False)["host_scorer"].fingerprint

    first = now()
    (folder / "__pycache__").mkdir(exist_ok=True)
    (folder / "__pycache__" / "left.pyc").write_bytes(b"x")
    assert now() == first
    with (folder / "config.py").open("a", encoding="utf-8") as file:
        file.write("# stricter\n")
    assert now() != first


@given(st.lists(st.fixed_dictionaries({"given": TABLES, "values": TABLES, "origins": TABLES}), max_size=5))
def test_packed_settings_are_what_they_were(items: list[dict[str, Any]]) -> None:
    assert list(unpacked(packed(items))) == items


def test_many_units_take_little_room() -> None:
    items = [
        {"given": {"base": number}, "values": {"base": number, "rules": ["a rule"] * 100}, "origins": {"base": "file"}}
        for number in range(20)
    ]
    assert len(canonical_json(packed(items))) < 4 * len(canonical_json(items[0]))
