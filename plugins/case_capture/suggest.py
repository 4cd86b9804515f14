"""Suggests published cases when a complaint opens, and says of each why it was found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from core.api import Complaint, Context, Decide, Effect, Notify, Reason

from .config import Config
from .engine import Scope
from .models import Case
from .privacy import mask
from .rules import COMPLAINT
from .search import Hit, find, query_of

NEAR_MISSES = 3


def suggest(record: Complaint, ctx: Context[Config], own_case: str) -> list[Effect]:
    """Decide which published cases are like this complaint; tell the configured role when there are any."""
    config = ctx.config
    units = frozenset({ctx.unit.slug}) if config.suggest_from == "own" else None
    query = query_of(_texts(record))
    limit = config.max_suggestions + NEAR_MISSES
    hits = find(
        ctx.session.rows,
        ctx.session.dialect,
        query,
        Scope(units, kinds=frozenset({COMPLAINT})),
        limit=limit,
        leave_out=own_case,
    )
    close = [hit for hit in hits if hit.coverage >= config.suggestion_similarity][: config.max_suggestions]
    matches = _described(ctx, close)
    missed = [hit for hit in hits if hit not in close][:NEAR_MISSES]
    effects: list[Effect] = [
        Decide(
            kind="similar_cases",
            outcome="found" if matches else "none",
            summary=_summary(matches),
            rule="shared_terms_by_rarity",
            reasons=tuple(Reason(_reason(match), weight=match["similarity"]) for match in matches),
            inputs={
                "cases": matches,
                "terms": len(query.weights),
                "suggest_from": config.suggest_from,
                "suggestion_similarity": config.suggestion_similarity,
            },
            near_misses=tuple(f"{hit.case_id}: similarity {hit.coverage:.2f}" for hit in missed),
        )
    ]
    if matches and config.notify_role:
        effects.append(
            Notify(
                key="similar_cases",
                to=config.notify_role,
                template="similar_cases",
                data={"complaint": record.id, "cases": matches},
                channel=config.notify_channel,
            )
        )
    return effects


def _texts(record: Complaint) -> dict[str, str | None]:
    return {
        "title": mask(record.subject or "") or None,
        "symptom": mask(record.body or "") or None,
        "product": record.product,
        "alloy": record.alloy,
        "process_step": record.process_step,
        "category": record.category,
    }


def _described(ctx: Context[Config], hits: Sequence[Hit]) -> list[dict[str, Any]]:
    if not hits:
        return []
    wanted = sa.select(Case.id, Case.unit, Case.title, Case.doubt, Case.version).where(
        Case.id.in_([hit.case_id for hit in hits])
    )
    known = {row.id: row for row in ctx.session.rows(wanted)}
    return [
        {
            "case_id": hit.case_id,
            "unit": known[hit.case_id].unit,
            "title": known[hit.case_id].title,
            "version": known[hit.case_id].version,
            "score": hit.score,
            "similarity": hit.coverage,
            "matched": list(hit.matched),
            "doubt": known[hit.case_id].doubt,
        }
        for hit in hits
        if hit.case_id in known
    ]


def _summary(matches: Sequence[dict[str, Any]]) -> str:
    if not matches:
        return "No published case is similar enough."
    count = "One similar published case" if len(matches) == 1 else f"{len(matches)} similar published cases"
    return f"{count}; the nearest: {matches[0]['title']}"


def _reason(match: dict[str, Any]) -> str:
    shared = ", ".join(match["matched"])
    caution = f" Caution: {match['doubt']}" if match["doubt"] else ""
    return f"{match['title']} ({match['case_id']}) shares: {shared}.{caution}"
