"""Finds cases: the engine names the candidates, the ranking orders them, the same way on both databases."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from . import engine, ranking
from .engine import Scope
from .models import Case, CaseSearch
from .text import Term, count_terms, is_counted, normalise, query_terms

MAX_TERMS = 80
"""How many different terms of a query are looked at; a long complaint's heaviest ones say enough."""
MAX_CANDIDATES = 1_000
"""The rarest terms choose the candidates until they promise this many; the common ones only help to rank."""
FIELD_WEIGHTS = {
    "title": 3,
    "symptom": 2,
    "need": 2,
    "why_lost": 2,
    "product": 2,
    "alloy": 2,
    "process_step": 2,
}
_COUNTS_AT_ONCE = 8  # PostgreSQL compiles dearer statements first, which takes longer than running them
_PHRASE = re.compile(r"[\"“”「」『』]([^\"“”「」『』]+)[\"“”「」『』]")

Rows = Callable[[Any], Sequence[Any]]
"""Runs a SELECT and returns its rows: `ctx.session.rows`, or a person's session."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: weighted terms, the text they came from, phrases that must stand in the case."""

    text: str
    terms: tuple[Term, ...]
    weights: Mapping[str, float]
    phrases: tuple[str, ...] = ()
    required: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Hit:
    """A case that was found: its score, the share of the query it covers, and the words in common."""

    case_id: str
    score: float
    coverage: float
    matched: tuple[str, ...]
    codes: frozenset[str]
    terms: Mapping[str, int]


def parse_query(text: str) -> Query:
    """Read what a person typed; text in quotation marks must stand in the case as it is."""
    terms = tuple(query_terms(text))
    phrases = tuple(_folded(phrase) for phrase in _PHRASE.findall(text) if _folded(phrase))
    required = tuple(dict.fromkeys(term.code for phrase in phrases for term in query_terms(phrase)))
    weights = ranking.query_weights(((term.code, 1.0) for term in terms), MAX_TERMS)
    return Query(text, terms, weights, phrases, required)


def query_of(texts: Mapping[str, str | None]) -> Query:
    """Make a query of a record's own texts, weighted as the same fields of a case are."""
    parts = {name: text for name, text in texts.items() if text}
    whole = "\n".join(parts.values())
    weighted = [
        (term.code, float(FIELD_WEIGHTS.get(name, 1))) for name, text in parts.items() for term in query_terms(text)
    ]
    return Query(whole, tuple(query_terms(whole)), ranking.query_weights(weighted, MAX_TERMS))


def document_terms(title: str, fields: Mapping[str, Any]) -> tuple[dict[str, int], int]:
    """Return the weighted terms of a case and its length in terms."""
    terms: dict[str, int] = {}
    for name, text in {"title": title, **fields}.items():
        if isinstance(text, str):
            for code, count in count_terms(text).items():
                terms[code] = terms.get(code, 0) + count * FIELD_WEIGHTS.get(name, 1)
    return terms, sum(count for code, count in terms.items() if is_counted(code))


def search_row(
    case_id: str, *, unit: str, status: str, kind: str, title: str, fields: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the columns of a case's search row."""
    terms, length = document_terms(title, fields)
    tokens = engine.tokens_of(terms, unit=unit, status=status, kind=kind)
    return {
        "number": number_of(case_id),
        "case_id": case_id,
        "unit": unit,
        "status": status,
        "kind": kind,
        "length": length,
        "terms": terms,
        "tokens": tokens,
    }


def number_of(case_id: str) -> int:
    """Return the number under which a case is indexed: the first 60 bits of the hash in its id."""
    return int(case_id.removeprefix("case_")[:15], 16)


def find(rows: Rows, dialect: str, query: Query, scope: Scope, *, limit: int, leave_out: str = "") -> list[Hit]:
    """Return the best cases for a query, best first; equal scores stand in the order of their ids."""
    if not query.weights or scope.is_empty():
        return []
    documents, length = rows(sa.select(*_TOTALS).where(*scope.conditions()))[0]
    corpus = ranking.Corpus(int(documents), int(length))
    counts = _count(rows, dialect, query.weights, scope)
    rarities = {code: ranking.rarity(corpus.documents, counts[code]) for code in query.weights}
    chosen = _choose(counts)
    if not chosen or any(counts.get(code) == 0 for code in query.required):
        return []
    groups = [*scope.tag_groups(), *([code] for code in query.required), chosen]
    statement = sa.select(CaseSearch.case_id, CaseSearch.length, CaseSearch.terms)
    hits = []
    for case_id, size, terms in rows(statement.where(engine.matches(dialect, groups))):
        if case_id == leave_out:
            continue
        parts = ranking.contributions(query.weights, terms, size, rarities, corpus)
        share = ranking.coverage(query.weights, parts, rarities)
        hits.append((ranking.total(parts), case_id, share, parts, terms))
    hits.sort(key=lambda hit: (-hit[0], hit[1]))
    if query.phrases:
        kept = _with_phrases(rows, query.phrases, [hit[1] for hit in hits])
        hits = [hit for hit in hits if hit[1] in kept]
    return [
        Hit(case_id, score, share, ranking.readable(query.terms, parts, query.text), frozenset(parts), terms)
        for score, case_id, share, parts, terms in hits[:limit]
    ]


_TOTALS = (sa.func.count(), sa.func.coalesce(sa.func.sum(CaseSearch.length), 0))


def _count(rows: Rows, dialect: str, codes: Iterable[str], scope: Scope) -> dict[str, int]:
    """Ask the engine in how many cases of the scope each term stands."""
    wanted = list(codes)
    counts: dict[str, int] = {}
    for start in range(0, len(wanted), _COUNTS_AT_ONCE):
        some = wanted[start : start + _COUNTS_AT_ONCE]
        asked = [
            engine.count_matching(dialect, [*scope.tag_groups(), [code]]).label(f"n{index}")
            for index, code in enumerate(some)
        ]
        counts.update(zip(some, rows(sa.select(*asked))[0], strict=True))
    return counts


def _choose(counts: Mapping[str, int]) -> list[str]:
    """Return the terms that choose the candidates: the rarest first, while they promise few enough cases."""
    chosen: list[str] = []
    promised = 0
    for code in sorted((code for code, count in counts.items() if count), key=lambda code: (counts[code], code)):
        promised += counts[code]
        if chosen and promised > MAX_CANDIDATES:
            break
        chosen.append(code)
    return chosen


def _folded(text: str) -> str:
    return " ".join(normalise(text).split())


def _with_phrases(rows: Rows, phrases: Sequence[str], case_ids: Sequence[str]) -> set[str]:
    kept: set[str] = set()
    for start in range(0, len(case_ids), 500):
        some = case_ids[start : start + 500]
        for case_id, title, fields in rows(sa.select(Case.id, Case.title, Case.fields).where(Case.id.in_(some))):
            texts = [_folded(text) for text in (title, *fields.values()) if isinstance(text, str)]
            if all(any(phrase in text for text in texts) for phrase in phrases):
                kept.add(case_id)
    return kept
