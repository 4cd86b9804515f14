"""Ranks cases by BM25 in plain arithmetic, so that every database gives the same order; pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .text import Term, is_counted, normalise

K1 = 1.2
B = 0.75
DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Corpus:
    """The texts searched in: how many there are, and how long all of them are together."""

    documents: int
    length: int

    @property
    def average_length(self) -> float:
        """The average length of a text; 1 when there is none."""
        return max(1.0, self.length / self.documents) if self.documents else 1.0


def rarity(documents: int, with_term: int) -> float:
    """Return how much finding a term says (its inverse document frequency); never negative."""
    return math.log(1 + (documents - with_term + 0.5) / (with_term + 0.5))


def contributions(
    query: Mapping[str, float],
    terms: Mapping[str, float],
    length: int,
    rarities: Mapping[str, float],
    corpus: Corpus,
) -> dict[str, float]:
    """Return what each term of the query adds to the score of one text."""
    held_back = K1 * (1 - B + B * length / corpus.average_length)
    found: dict[str, float] = {}
    for code, weight in query.items():
        count = terms.get(code, 0)
        if count:
            found[code] = weight * rarities[code] * count * (K1 + 1) / (count + held_back)
    return found


def total(parts: Mapping[str, float]) -> float:
    """Add up contributions; `fsum` gives the same sum in any order."""
    return round(math.fsum(parts.values()), DECIMALS)


def coverage(query: Mapping[str, float], found: Iterable[str], rarities: Mapping[str, float]) -> float:
    """Return the share of what the query says that was found: 0 nothing, 1 everything."""
    everything = math.fsum(weight * rarities[code] for code, weight in query.items())
    part = math.fsum(query[code] * rarities[code] for code in found)
    return round(part / everything, 4) if everything else 0.0


def likeness(one: Iterable[str], other: Iterable[str]) -> float:
    """Return how alike two texts are: twice the terms they share, over the terms of both (Dice)."""
    a = {code for code in one if is_counted(code)}
    b = {code for code in other if is_counted(code)}
    return round(2 * len(a & b) / (len(a) + len(b)), 4) if a or b else 0.0


def query_weights(terms: Iterable[tuple[str, float]], limit: int) -> dict[str, float]:
    """Fold repeated terms of a query into weights that grow slowly, and keep the `limit` heaviest."""
    sums: dict[str, float] = {}
    for code, weight in terms:
        sums[code] = sums.get(code, 0.0) + weight
    kept = sorted(sums, key=lambda code: -sums[code])[:limit]  # stable: among equals the first ones stay
    return {code: 1 + math.log(sums[code]) if sums[code] > 1 else sums[code] for code in kept}


def readable(terms: Iterable[Term], found: Mapping[str, float], text: str, limit: int = 8) -> tuple[str, ...]:
    """Return the found passages of the query's text, overlapping pairs joined, the weightiest first."""
    passages: dict[str, float] = {}
    for start, end, weight in _joined([term for term in terms if term.code in found], found):
        passage = normalise(text[start:end])
        passages[passage] = max(passages.get(passage, 0.0), weight)
    return tuple(sorted(passages, key=lambda passage: (-passages[passage], passage))[:limit])


def spans(terms: Iterable[Term], codes: Iterable[str]) -> list[tuple[int, int]]:
    """Return the places of a text where any of these terms stands, overlapping ones joined."""
    wanted = dict.fromkeys(codes, 1.0)
    return [(start, end) for start, end, _ in _joined([term for term in terms if term.code in wanted], wanted)]


def _joined(terms: list[Term], weights: Mapping[str, float]) -> list[tuple[int, int, float]]:
    joined: list[tuple[int, int, float]] = []
    for term in sorted(terms, key=lambda item: (item.start, item.end)):
        weight = weights[term.code]
        if joined and term.start < joined[-1][1]:
            start, end, before = joined[-1]
            joined[-1] = (start, max(end, term.end), before + weight)
        else:
            joined.append((term.start, term.end, weight))
    return joined
