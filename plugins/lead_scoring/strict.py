"""Building blocks of the configuration schema: strict tables and lists whose faults name their path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import marshmallow as ma

from core.api import did_you_mean
from plugins.lead_scoring.facts import plain

NAME = re.compile(r"^[a-z][a-z0-9_]{0,63}\Z")
CURRENCY_CODE = re.compile(r"^[A-Z]{3}\Z")
_KEY_LETTERS = {
    NAME: "use lower-case letters, digits and _, beginning with a letter.",
    CURRENCY_CODE: "use a currency code such as USD.",
}


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

    def __init__(
        self, of: type[ma.Schema] | ma.fields.Field[Any], *, keys: re.Pattern[str] = NAME, **options: Any
    ) -> None:
        super().__init__(**options)
        self.of = of
        self.keys = keys

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ma.ValidationError("Must be a table.")
        load = self.of.deserialize if isinstance(self.of, ma.fields.Field) else self.of().load
        loaded: dict[str, Any] = {}
        faults: dict[str, Any] = {}
        for key, item in value.items():
            if not self.keys.match(str(key)):
                faults[key] = ["Not a fitting name here: " + _KEY_LETTERS.get(self.keys, self.keys.pattern)]
                continue
            try:
                loaded[key] = load(item)
            except ma.ValidationError as error:
                faults[key] = error.messages
        if faults:
            raise ma.ValidationError(faults)
        return loaded


class Word(ma.fields.String):
    """A text that is not blank; a whole number is taken as text, since 6061 is an alloy."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        text = str(super()._deserialize(value, attr, data, **kwargs)).strip()
        if not plain(text):
            raise ma.ValidationError("Must not be blank.")
        return text


class Switch(ma.fields.Boolean):
    """`true` or `false` and nothing that looks like it."""

    def __init__(self, about: str, **options: Any) -> None:
        super().__init__(truthy={True}, falsy={False}, metadata={"description": about}, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):  # 1 equals True, so marshmallow would take it
            raise self.make_error("invalid", input=value)
        return value


def words(about: str, **options: Any) -> ma.fields.List[str]:
    """A list of texts."""
    return ma.fields.List(Word(), metadata={"description": about}, **options)


def whole(low: int, high: int, about: str, **options: Any) -> ma.fields.Integer:
    """A whole number within bounds."""
    check = ma.validate.Range(low, high)
    return _Whole(validate=check, metadata={"description": about}, **options)


def number(about: str, *, above: int | None = None) -> ma.fields.Decimal:
    """A number that is counted with exactly."""
    low = Decimal("-1e18") if above is None else Decimal(above)
    check = ma.validate.Range(low, Decimal("1e18"), min_inclusive=above is None)
    return ma.fields.Decimal(validate=check, metadata={"description": about})


class _Whole(ma.fields.Integer):
    def __init__(self, **options: Any) -> None:
        super().__init__(strict=True, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if isinstance(value, (str, bool)):  # "80" in quotes is a slip that should be seen
            raise self.make_error("invalid", input=value)
        result = super()._deserialize(value, attr, data, **kwargs)
        return int(result)
