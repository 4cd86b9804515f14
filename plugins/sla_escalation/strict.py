"""Building blocks of the configuration schema: strict tables, conditions and warnings whose faults name their path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import marshmallow as ma

from core.api import Span, SpanField, did_you_mean

from .settings import warn_of

NAME = re.compile(r"^[a-z][a-z0-9_]{0,63}\Z")
_TESTS = ("one_of", "none_of", "at_least", "at_most", "known", "later_than", "not_later_than")


class Strict(ma.Schema):
    """Refuses unknown keys, and names the nearest known one."""

    def handle_error(self, error: ma.ValidationError, data: Any, *, many: bool, **kwargs: Any) -> None:
        """Turn marshmallow's "Unknown field." into a letter with the nearest key."""
        known = [item.data_key or name for name, item in self.fields.items()]
        if not isinstance(error.messages, dict):
            return
        for key, texts in error.messages.items():
            if texts == ["Unknown field."]:
                error.messages[key] = [f'There is no setting "{key}" here.{did_you_mean(str(key), known)}']


class Table(ma.fields.Field[Any]):
    """A table whose keys the user chooses, every value alike; faults keep the path of their key."""

    def __init__(self, of: type[ma.Schema], **options: Any) -> None:
        super().__init__(**options)
        self.of = of

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ma.ValidationError("Must be a table.")
        loaded: dict[str, Any] = {}
        faults: dict[str, Any] = {}
        for key, item in value.items():
            if not NAME.match(str(key)):
                faults[key] = ["Not a name: use lower-case letters, digits and _, beginning with a letter."]
                continue
            try:
                loaded[key] = self.of().load(item)
            except ma.ValidationError as error:
                faults[key] = error.messages
        if faults:
            raise ma.ValidationError(faults)
        return loaded


class SpanText(SpanField):
    """A span of time, checked and kept as text, so that a running clock can keep its rule."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        span: Span = super()._deserialize(value, attr, data, **kwargs)
        return str(span)


class WarnText(ma.fields.String):
    """A share of the target such as "80%", or a span before it is over such as "4h"."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        try:
            warn_of(str(text))
        except ValueError as error:
            raise ma.ValidationError(str(error)) from None
        return text


class ConditionField(ma.fields.Field[Any]):
    """A condition: facts with what they must be. All must hold.

    `severity = ["high", "critical"]`, `severity = "high"`, `known = true` and the like in a table.
    """

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ma.ValidationError('Must be a table of facts, such as { severity = ["high"] }.')
        loaded: dict[str, Any] = {}
        faults: dict[str, Any] = {}
        for fact, item in value.items():
            try:
                loaded[str(fact)] = _test(item)
            except ma.ValidationError as error:
                faults[str(fact)] = error.messages
        if faults:
            raise ma.ValidationError(faults)
        return loaded


def _test(item: Any) -> dict[str, Any]:
    if not isinstance(item, Mapping):
        return {"one_of": _words(item)}
    if not item:
        raise ma.ValidationError(f"Says nothing; it takes {', '.join(_TESTS)}.")
    loaded: dict[str, Any] = {}
    for key, value in item.items():
        if key in ("one_of", "none_of"):
            loaded[key] = _words(value)
        elif key in ("at_least", "at_most"):
            loaded[key] = _number(value)
        elif key == "known":
            if not isinstance(value, bool):
                raise ma.ValidationError({key: ["Must be true or false."]})
            loaded[key] = value
        elif key in ("later_than", "not_later_than"):
            loaded[key] = str(value)
        else:
            raise ma.ValidationError({str(key): [f"There is no such test.{did_you_mean(str(key), _TESTS)}"]})
    return loaded


def _words(value: Any) -> list[str]:
    items = value if isinstance(value, list) else [value]
    if not items or any(isinstance(item, (Mapping, list)) or item is None or item == "" for item in items):
        raise ma.ValidationError("Must be a text or a list of texts, none of them empty.")
    return [str(item) for item in items]


def _number(value: Any) -> str:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if isinstance(value, bool) or not number.is_finite():
        raise ma.ValidationError("Must be a number.")
    return format(number, "f")
