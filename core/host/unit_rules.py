"""Which unit's `match` fits a record: looked up by value, so that a record costs no more when there are more units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Rule = tuple[str, Sequence[tuple[str, frozenset[str]]]]
"""A unit's slug, and the values that each field of its `match` may have."""


class UnitRules:
    """The `match` of every unit in the order of plugins.toml; the first that fits takes the record."""

    def __init__(self, matches: Iterable[tuple[str, Mapping[str, Sequence[str]]]]) -> None:
        self._rules: list[Rule] = []
        self._by_value: dict[str, dict[str, list[int]]] = {}  # first field of a match -> value -> rules, in order
        for slug, match in matches:
            if match:
                self._add(slug, [(name, frozenset(map(_folded, values))) for name, values in match.items()])

    def _add(self, slug: str, conditions: Sequence[tuple[str, frozenset[str]]]) -> None:
        first, values = conditions[0]
        for value in values:
            self._by_value.setdefault(first, {}).setdefault(value, []).append(len(self._rules))
        self._rules.append((slug, conditions))

    def first(self, snapshot: Mapping[str, Any]) -> tuple[str, str] | None:
        """Return the slug of the first unit that fits and what fitted, as in "industry is ev", or None."""
        candidates: list[int] = []
        for name, by_value in self._by_value.items():
            value = _value(snapshot, name)
            if isinstance(value, str):
                candidates += by_value.get(_folded(value), ())
        for place in sorted(candidates):
            slug, conditions = self._rules[place]
            found = [(name, _value(snapshot, name), values) for name, values in conditions]
            if all(isinstance(value, str) and _folded(value) in values for _, value, values in found):
                return slug, ", ".join(f"{name} is {value}" for name, value, _ in found)
        return None


def _folded(value: str) -> str:
    return value.strip().casefold()


def _value(snapshot: Mapping[str, Any], name: str) -> Any:
    """Return a canonical field, or for `extra.<name>` a field that only the CRM has.

    A name without `extra.` is looked up there too: versions applied before it was asked for still hold.
    """
    value = snapshot.get(name)
    if value is not None:
        return value
    extra = snapshot.get("extra")
    return extra.get(name.removeprefix("extra.")) if isinstance(extra, Mapping) else None
