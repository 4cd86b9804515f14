"""Building blocks of the configuration schema: strict tables, numbers and switches whose faults name their path."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import marshmallow as ma

from core.api import did_you_mean

NAME = re.compile(r"^[a-z][a-z0-9_]{0,63}\Z")


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


class Number(ma.fields.Decimal):
    """An exact number within bounds; text and switches are slips that should be seen."""

    def __init__(self, low: int | None = None, high: int | None = None, *, about: str = "", **options: Any) -> None:
        check = ma.validate.Range(Decimal(-(10**18)) if low is None else low, Decimal(10**18) if high is None else high)
        super().__init__(validate=check, metadata={"description": about}, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Decimal:
        if isinstance(value, (str, bool)):
            raise self.make_error("invalid", input=value)
        found = super()._deserialize(value, attr, data, **kwargs)
        return Decimal(str(found))


class Whole(ma.fields.Integer):
    """A whole number within bounds."""

    def __init__(self, low: int, high: int, *, about: str = "", **options: Any) -> None:
        super().__init__(strict=True, validate=ma.validate.Range(low, high), metadata={"description": about}, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if isinstance(value, (str, bool)):
            raise self.make_error("invalid", input=value)
        return int(super()._deserialize(value, attr, data, **kwargs))


class Switch(ma.fields.Boolean):
    """`true` or `false` and nothing that looks like it."""

    def __init__(self, *, about: str = "", **options: Any) -> None:
        super().__init__(truthy={True}, falsy={False}, metadata={"description": about}, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):  # 1 equals True, so marshmallow would take it
            raise self.make_error("invalid", input=value)
        return value


def names(known: tuple[str, ...] | None, about: str, **options: Any) -> ma.fields.List[str]:
    """A list of names, each once; of these only when `known` is given, else of any text."""

    def check(given: list[str]) -> None:
        for name in given:
            if known is not None and name not in known:
                listed = ", ".join(known)
                raise ma.ValidationError(f'There is no "{name}" here.{did_you_mean(name, known)} Known: {listed}.')
            if given.count(name) > 1:
                raise ma.ValidationError(f'"{name}" is named twice.')

    text = ma.fields.String(validate=ma.validate.Length(1, 100))
    return ma.fields.List(text, validate=check, metadata={"description": about}, **options)
