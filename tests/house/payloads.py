"""Makes payloads that a CRM may really send about a record: any fields of it, null, odd, or as in the examples."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from core.model.records import KINDS

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
ODD = ("", " ", "0", "-", "A", "b", "月结30天", "新能源", "😀", "x" * 300, "'; --", "{{ 7 }}", "null")
TEXTS = st.sampled_from(ODD) | st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
AMOUNTS = st.decimals(-10_000, 10_000_000, places=3).map(str) | st.sampled_from(["0", "1", "0.03", "1e10", "-0"])
INSTANTS = st.datetimes(datetime(2020, 1, 1), datetime(2032, 1, 1)).map(lambda at: at.replace(tzinfo=UTC).isoformat())
WHOLE = st.integers(-5, 100_000)


def payload(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy of what an event says about a record of this kind, without its `id`."""
    said: dict[str, list[Any]] = {}
    for data in _said().get(kind, ()):
        for name, value in data.items():
            said.setdefault(name, []).append(value)
    fields = {
        name: _value(hint) | st.sampled_from(said[name]) if name in said else _value(hint)
        for name, hint in typing.get_type_hints(KINDS[kind]).items()
        if name not in ("id", "extra")
    }
    own = {name: st.sampled_from(values) for name, values in said.items() if name not in fields}
    return st.fixed_dictionaries({}, optional={**fields, **own})


@cache
def _said() -> dict[str, list[dict[str, Any]]]:
    """Return what the example events of all shipped plugins say, by kind; words that rules look for stand there."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(PLUGINS.glob("*/tests/events/*.json")):
        body = json.loads(path.read_text(encoding="utf-8"))
        kind = str(body["type"]).partition(".")[0]
        if kind in KINDS:
            found.setdefault(kind, []).append({key: value for key, value in body["data"].items() if key != "id"})
    return found


def _value(hint: Any) -> st.SearchStrategy[Any]:
    """Return a strategy of what a sender writes for a field of this type; null where the field may be without value."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        (inner,) = [item for item in arguments if item is not type(None)]
        return st.none() | _value(inner)
    if origin is tuple:
        return st.lists(_value(arguments[0]), max_size=3)
    if origin is Mapping or hint is Mapping:
        return st.dictionaries(st.sampled_from(["visits", "downloads", "calls"]), WHOLE.filter(lambda n: n >= 0))
    if dataclasses.is_dataclass(hint):
        inner = {name: _value(item) for name, item in typing.get_type_hints(hint).items()}
        needed = {item.name for item in dataclasses.fields(hint) if item.default is dataclasses.MISSING}
        must = {name: value for name, value in inner.items() if name in needed}
        return st.fixed_dictionaries(must, optional={name: inner[name] for name in inner if name not in must})
    return {str: TEXTS, Decimal: AMOUNTS, datetime: INSTANTS, int: WHOLE, bool: st.booleans()}[hint]
