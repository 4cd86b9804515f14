"""Puts one rule to the facts: does it match, how many points is that, and what was seen."""

from __future__ import annotations

import string
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from plugins.lead_scoring.facts import PERSONAL, FactKind, Facts, fact_kind, plain
from plugins.lead_scoring.settings import Rule

_LATIN = frozenset(string.ascii_lowercase + string.digits)
NEAR = Decimal("0.8")
"""A number that reaches this share of a rule's `at_least` is called a near miss."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that matched: its points, and what it saw (never a person's name, address or number)."""

    points: int
    seen: str = ""


def match(rule: Rule, facts: Facts) -> Hit | None:
    """Return what a rule gives for these facts, or None; an unknown fact matches only `missing`."""
    if rule.missing or rule.present:
        known = facts.is_known(rule.field)
        return Hit(rule.points) if known is rule.present else None
    if fact_kind(rule.field) is FactKind.ACTIVITIES:
        return _match_activities(rule, facts)
    if rule.per is not None:
        return _match_count(rule, facts)
    if rule.at_least is not None or rule.at_most is not None:
        return _match_range(rule, facts)
    return _match_words(rule, facts)


def near_miss(rule: Rule, facts: Facts) -> str | None:
    """Say how much a number is short of a rule that would add points, when it is not much."""
    number = facts.number(rule.field) if rule.at_least is not None else None
    if rule.at_least is None or number is None or rule.points < 0:
        return None
    if not rule.at_least * NEAR <= number < rule.at_least:
        return None
    short = format_number(rule.at_least - number)
    return f"{rule.field} 差 {short}, short by {short}: {rule.reason} (+{rule.points})"


def format_number(number: Decimal) -> str:
    """Write a number as a person would: no exponent, no zeros at the end."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _match_range(rule: Rule, facts: Facts) -> Hit | None:
    number = facts.number(rule.field)
    if number is None:
        return None
    low, high = rule.at_least, rule.at_most
    fits = (low is None or number >= low) and (high is None or number <= high)
    return Hit(rule.points, format_number(number)) if fits else None


def _match_count(rule: Rule, facts: Facts) -> Hit | None:
    number = facts.number(rule.field)
    if rule.per is None or number is None or number < rule.per:
        return None
    times = Fraction(number) // Fraction(rule.per)
    return Hit(_limited(Fraction(rule.points * times), rule.max), format_number(number))


def _match_activities(rule: Rule, facts: Facts) -> Hit | None:
    """Count every fitting activity once; its points are halved for every `half_life_days` of its age."""
    ages = [
        age
        for kind, age in facts.activities()
        if (not rule.types or kind in _folded(rule.types)) and (rule.within_days is None or age <= rule.within_days)
    ]
    halves = [age // rule.half_life_days if rule.half_life_days else 0 for age in ages]
    points = _limited(sum((Fraction(rule.points, 2 ** min(n, 64)) for n in halves), Fraction(0)), rule.max)
    return Hit(points, f"×{len(ages)}") if points else None


def _match_words(rule: Rule, facts: Facts) -> Hit | None:
    texts = facts.texts(rule.field)
    if not texts:
        return None
    if rule.one_of:
        words = _folded(rule.one_of)
        found = [text for text in texts if text in words]
    else:
        whole = "\n".join(texts)
        if rule.without and find_words(rule.without, whole):
            return None
        found = find_words(rule.contains, whole)
    if not found:
        return None
    # Of a whole text only the rule's own words are shown, but `in` would repeat a person's name or address.
    seen = "" if rule.one_of and rule.field in PERSONAL else ", ".join(found[:3])
    return Hit(rule.points, seen)


def find_words(words: tuple[str, ...], text: str) -> list[str]:
    """Return the words that occur in a folded text, in the order of the text.

    A word with a Latin letter or digit at an end must end there, so that `ev` is not found in `seven`. A plain search
    word by word is several times faster here than one large regular expression.
    """
    found = []
    for word in _folded(words):
        at = text.find(word)
        while at >= 0 and not _stands_alone(word, text, at):
            at = text.find(word, at + 1)
        if at >= 0:
            found.append((at, -len(word), word))
    return [word for _, _, word in sorted(found)]


def _stands_alone(word: str, text: str, at: int) -> bool:
    after = at + len(word)
    is_cut_before = at > 0 and word[0] in _LATIN and text[at - 1] in _LATIN
    is_cut_after = after < len(text) and word[-1] in _LATIN and text[after] in _LATIN
    return not (is_cut_before or is_cut_after)


def _limited(points: Fraction, limit: int | None) -> int:
    whole = int(abs(points) + Fraction(1, 2))  # half a point counts as one
    capped = whole if limit is None else min(whole, limit)
    return capped if points >= 0 else -capped


@lru_cache(maxsize=4096)
def _folded(words: tuple[str, ...]) -> frozenset[str]:
    return frozenset(plain(word) for word in words)
