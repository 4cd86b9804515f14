"""Puts a condition to what is known of a record: does it hold, what did it see, and what kept it from holding."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

Facts = Mapping[str, Any]
"""What is known of a record: JSON values by the name of the fact; one that is absent or None is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One test of one fact; everything that is given must hold. A fact that is not known passes only `none_of`
    and `known = false`.
    """

    fact: str
    one_of: tuple[str, ...] = ()
    none_of: tuple[str, ...] = ()
    at_least: Decimal | None = None
    at_most: Decimal | None = None
    known: bool | None = None
    later_than: str | None = None  # the name of another fact that is an instant
    not_later_than: str | None = None  # the same

    def __str__(self) -> str:
        """Return the test in English, without the fact's value."""
        return self.text("en")

    def text(self, language: str) -> str:
        """Return the test as a person reads it, without the fact's value."""
        words, also = _WORDS[language]
        said = [(words[0], "/".join(self.one_of)) if self.one_of else None]
        said.append((words[1], "/".join(self.none_of)) if self.none_of else None)
        said.append((">=", f"{self.at_least:f}") if self.at_least is not None else None)
        said.append(("<=", f"{self.at_most:f}") if self.at_most is not None else None)
        said.append((words[2 if self.known else 3], "") if self.known is not None else None)
        said.append((words[4], self.later_than) if self.later_than is not None else None)
        said.append((words[5], self.not_later_than) if self.not_later_than is not None else None)
        return also.join(f"{self.fact} {item[0]} {item[1]}".rstrip() for item in said if item is not None)


_WORDS = {
    "zh": (("属于", "不属于", "已知", "未知", "晚于", "不晚于"), " 且 "),
    "en": (("in", "not in", "known", "not known", "later than", "not later than"), " and "),
}

Condition = tuple[Check, ...]
"""Tests that must all hold; an empty condition holds always."""


def holds(condition: Condition, facts: Facts) -> bool:
    """Whether every test of the condition holds."""
    return all(passes(test, facts) for test in condition)


def failing(condition: Condition, facts: Facts) -> Check | None:
    """Return the first test that does not hold, or None."""
    return next((test for test in condition if not passes(test, facts)), None)


def names(condition: Condition) -> set[str]:
    """Return the facts that a condition looks at."""
    return {name for test in condition for name in (test.fact, test.later_than, test.not_later_than) if name}


def passes(test: Check, facts: Facts) -> bool:
    """Whether one test holds."""
    value = facts.get(test.fact)
    if test.known is not None and is_known(value) is not test.known:
        return False
    if test.one_of and not _words(value) & _folded(test.one_of):
        return False
    if test.none_of and _words(value) & _folded(test.none_of):
        return False
    if test.at_least is not None or test.at_most is not None:
        number = _number(value)
        if number is None or (test.at_least is not None and number < test.at_least):
            return False
        if test.at_most is not None and number > test.at_most:
            return False
    for other, is_later in ((test.later_than, True), (test.not_later_than, False)):
        if other is not None:
            this, that = instant(value), instant(facts.get(other))
            if this is None or that is None or (this > that) is not is_later:
                return False
    return True


def is_known(value: Any) -> bool:
    """Whether a value says anything."""
    return value is not None and value != "" and value != []


def plain(text: str) -> str:
    """Fold a text for comparison: width, case, `_` and `-` do not count."""
    return unicodedata.normalize("NFKC", text).casefold().replace("_", " ").replace("-", " ").strip()


def instant(value: Any) -> datetime | None:
    """Return a value as an instant, or None when it is none."""
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        return None
    return read if read.tzinfo is not None else None


def _words(value: Any) -> frozenset[str]:
    if not is_known(value):
        return frozenset()
    if isinstance(value, (list, tuple)):
        return frozenset(plain(str(item)) for item in value)
    return frozenset((plain(str(value)),))


@lru_cache(maxsize=4096)
def _folded(words: tuple[str, ...]) -> frozenset[str]:
    return frozenset(plain(word) for word in words)


def _number(value: Any) -> Decimal | None:
    if value is None or isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
