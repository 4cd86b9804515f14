"""Knows which settings were checked already, so that switching one plugin in one unit does not check all of them again.

What a plugin says of its settings depends on its code, on the settings, and on the names of people and roles that they
may hold. Where all three are as they were in the version before, its answer is too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from core.host.packed_settings import unpacked
from core.host.plugin import Plugin
from core.model.schemas import canonical_json

Resolved = Mapping[str, Any]


class CheckedBefore:
    """The settings that the version before has and that the same code accepted with the same names."""

    def __init__(self, before: Resolved | None, plugins: Mapping[str, Plugin], people: Mapping[str, Any]) -> None:
        """`people` is what `check_people` returned."""
        stored = (before or {}).get("checked", {})
        codes = {name: item.fingerprint for name, item in plugins.items()}
        self.by = {"names": _names(people), "plugins": codes}
        same_names = before is not None and stored.get("names") == self.by["names"]
        self._before = before if same_names else None
        self._same_code = {name for name, said in codes.items() if said and stored.get("plugins", {}).get(name) == said}
        self._values: dict[str, dict[str, Any]] = {}

    def values(self, plugin: str, given: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the effective values of these settings, or None where they have to be checked."""
        if self._before is None or plugin not in self._same_code:
            return None
        if plugin not in self._values:
            stored = unpacked(self._before["configs"].get(plugin, ()))
            self._values[plugin] = {canonical_json(item["given"]): item["values"] for item in stored}
        return self._values[plugin].get(canonical_json(given))


def _names(people: Mapping[str, Any]) -> str:
    """Return the hash of what `check_who` looks at: who is an absentee or a deputy changes nothing there."""
    known = {slug: [item.get("crm_ids", ()), bool(item.get("manager"))] for slug, item in people["people"].items()}
    return hashlib.sha256(canonical_json([known, list(people["roles"])]).encode()).hexdigest()


def same_settings(one: Resolved, other: Resolved) -> bool:
    """Whether two resolved versions say the same; which code checked them is no part of that."""
    return {**one, "checked": None} == {**other, "checked": None}
