"""Checks ordinary values at the speed the acknowledgement needs; whatever is unusual is left to the schemas.

The marshmallow schemas stay the truth: a quick check only says what a value becomes when it plainly fits, and
SLOW otherwise, so that each refusal and each rare form is judged in one place. A test holds the two together.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

from core.model.instants import format_instant, parse_instant
from core.model.records import KINDS

SLOW: Any = object()
"""The answer of a quick check that does not want to judge."""

QuickCheck = Callable[[Any], Any]

_ORDINARY_TEXT = 4_096
_ORDINARY_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,6})?")
_ORDINARY_INTEGER = 10**15


def text(value: Any) -> Any:
    """Take text of moderate length as it is."""
    return value if type(value) is str and len(value) <= _ORDINARY_TEXT else SLOW


def identifier(value: Any) -> Any:
    """Take a printable id as it is."""
    return value if type(value) is str and 1 <= len(value) <= 200 and value.isprintable() else SLOW


def amount(value: Any) -> Any:
    """Take a number of moderate length that is already written the one way in which it is stored."""
    kind = type(value)
    if kind is str:
        return value if _ORDINARY_NUMBER.fullmatch(value) else SLOW
    if kind is int:
        return str(value) if -_ORDINARY_INTEGER < value < _ORDINARY_INTEGER else SLOW
    if kind is Decimal and -7 < value.adjusted() < 15:
        return amount(format(value, "f"))
    return SLOW


def instant(value: Any) -> Any:
    """Take RFC 3339 text; return it in UTC."""
    if type(value) is not str:
        return SLOW
    try:
        return format_instant(parse_instant(value))
    except ValueError:
        return SLOW


def whole(value: Any) -> Any:
    """Take a whole number."""
    return value if type(value) is int else SLOW


def truth(value: Any) -> Any:
    """Take true or false."""
    return value if type(value) is bool else SLOW


def keyed(value: Any) -> Any:
    """Take a flat object of texts, whole numbers, truth values and nulls."""
    if type(value) is not dict:
        return SLOW
    for key, inner in value.items():
        if type(key) is not str or not (inner is None or type(inner) in (str, int, bool)):
            return SLOW
    return dict(value)


def counted(value: Any) -> Any:
    """Take an object of whole numbers."""
    if type(value) is not dict:
        return SLOW
    for key, inner in value.items():
        if type(key) is not str or type(inner) is not int:
            return SLOW
    return dict(value)


_SIMPLE: dict[Any, QuickCheck] = {str: text, Decimal: amount, datetime: instant, int: whole, bool: truth}


def _optional(check: QuickCheck) -> QuickCheck:
    return lambda value: None if value is None else check(value)


def _listed(check: QuickCheck) -> QuickCheck:
    def each(value: Any) -> Any:
        if type(value) is not list:
            return SLOW
        result = [check(item) for item in value]
        return SLOW if SLOW in result else result

    return each


def _nested(cls: type) -> QuickCheck:
    checks = checks_for(cls)
    needed = [item.name for item in dataclasses.fields(cls) if _is_required(item)]

    def members(value: Any) -> Any:
        if type(value) is not dict or any(name not in value for name in needed):
            return SLOW
        result = {}
        for name, check in checks.items():  # the order of the schema, which is how the schema gives it back
            if name in value:
                checked = check(value[name])
                if checked is SLOW:
                    return SLOW
                result[name] = checked
        return result if len(result) == len(value) else SLOW

    return members


def _is_required(item: dataclasses.Field[Any]) -> bool:
    return item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING


def _check_for(hint: Any) -> QuickCheck:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _check_for(next(argument for argument in arguments if argument is not type(None)))
    if dataclasses.is_dataclass(hint):
        return _nested(typing.cast(type, hint))
    if origin is tuple:
        return _listed(_check_for(arguments[0]))
    if origin is Mapping:
        return counted if arguments[1] is int else keyed
    return _SIMPLE[hint]


@cache
def checks_for(cls: type) -> dict[str, QuickCheck]:
    """Return the quick check of every field of a record class."""
    hints = typing.get_type_hints(cls)
    checks: dict[str, QuickCheck] = {}
    for item in dataclasses.fields(cls):
        check = identifier if item.name == "id" else _check_for(hints[item.name])
        checks[item.name] = check if _is_required(item) else _optional(check)
    return checks


@cache
def checks_of(kind: str) -> dict[str, QuickCheck]:
    """Return the quick check of every field of a record kind."""
    return checks_for(typing.cast(type, KINDS[kind]))
