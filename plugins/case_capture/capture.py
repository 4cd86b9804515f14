"""Turns facts into drafts: a record keeps one case, and what people wrote or rely on is not overwritten."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.api import Context, Decide, Effect, Event, PluginSession, Reason

from . import ranking
from .changes import Change, begin, change
from .config import Config
from .engine import Scope
from .models import Case, CaseHistory, CaseSearch
from .rules import Facts, case_id
from .search import Rows, document_terms, find, query_of
from .states import Step, can

ACTOR = "case_capture"
OPEN = frozenset({"draft", "reviewed", "published"})


def capture(event: Event[Any], ctx: Context[Config], facts: Facts, *, only_known: bool = False) -> list[Effect]:
    """Draft the case of the event's record, or bring the one there is up to date.

    With `only_known` a record without a case stays without one: its news is no reason to begin one.
    """
    if facts.kind not in ctx.config.capture:
        return []
    case = ctx.session.get(Case, case_id(event.source, event.kind, event.record_id, facts.kind))
    if case is None:
        return [] if only_known else [_draft(event, ctx, facts)]
    if event.occurred_at < case.occurred_at:
        return [_decision(case.id, facts, "unchanged", "The event is older than what the case rests on.")]
    return _renew(event, ctx, facts, case)


def doubt(event: Event[Any], ctx: Context[Config], kind: str, reason: str) -> list[Effect]:
    """Mark the record's case as one a person should look at again, when there is one."""
    case = ctx.session.get(Case, case_id(event.source, event.kind, event.record_id, kind))
    if case is None or case.doubt == reason or not can(case.status, Step.DOUBT):
        return []
    if event.occurred_at < case.occurred_at:
        return []
    values = {"doubt": reason, "event_id": event.id, "occurred_at": event.occurred_at}
    _write(ctx.session, case, change(case, Step.DOUBT, values, actor=ACTOR, reason=reason, now=ctx.now))
    return [
        Decide(
            kind="case",
            outcome="doubtful",
            summary=f"{case.title}: {reason}",
            rule=f"doubt_{case.status}",
            reasons=(Reason(reason),),
            inputs={"case_id": case.id, "status": case.status, "version": case.version},
        )
    ]


def move(event: Event[Any], ctx: Context[Config], case: Case, unit: str) -> Effect:
    """Let a case follow its record to another unit."""
    reason = f"The record moved from {case.unit} to {unit}."
    _write(ctx.session, case, change(case, Step.MOVE, {"unit": unit}, actor=ACTOR, reason=reason, now=ctx.now))
    return Decide(
        kind="case",
        outcome="moved",
        summary=f"{case.title}: {reason}",
        rule="record_unit_changed",
        inputs={"case_id": case.id, "status": case.status, "version": case.version, "event": event.type},
    )


def find_duplicates(
    rows: Rows,
    dialect: str,
    *,
    case_id: str,
    unit: str,
    kind: str,
    title: str,
    fields: Mapping[str, str],
    least: float,
) -> list[dict[str, Any]]:
    """Return other cases of the unit whose text is much like this one, the likest first."""
    own, _ = document_terms(title, fields)
    scope = Scope(frozenset({unit}), OPEN, frozenset({kind}))
    hits = find(rows, dialect, query_of({"title": title, **fields}), scope, limit=20, leave_out=case_id)
    alike = sorted((-ranking.likeness(own, hit.terms), hit.case_id) for hit in hits)
    return [{"case_id": other, "similarity": -minus} for minus, other in alike if -minus >= least][:5]


def _draft(event: Event[Any], ctx: Context[Config], facts: Facts) -> Effect:
    name = case_id(event.source, event.kind, event.record_id, facts.kind)
    duplicates = _duplicates(ctx, name, facts.kind, facts.title, facts.fields)
    values = {
        "id": name,
        "unit": ctx.unit.slug,
        "kind": facts.kind,
        "source": event.source,
        "record_kind": event.kind,
        "record_id": event.record_id,
        **_told(event, facts),
        "title": facts.title,
        "fields": dict(facts.fields),
        **_linked(duplicates),
    }
    made = begin(values, actor=ACTOR, reason=event.type, now=ctx.now)
    ctx.session.insert(Case, **made.case)
    _write_beside(ctx.session, made)
    return _decision(name, facts, "drafted", f"{event.type} of {event.kind} {event.record_id}.", duplicates)


def _renew(event: Event[Any], ctx: Context[Config], facts: Facts, case: Case) -> list[Effect]:
    kept = set(case.edited)
    fields = {name: text for name, text in facts.fields.items() if name not in kept}
    fields |= {name: case.fields[name] for name in case.edited if name in case.fields}
    title = case.title if "title" in kept else facts.title
    if fields == case.fields and title == case.title and not (case.doubt and case.status == "draft"):
        return [_decision(case.id, facts, "unchanged", "The case already says what the record says.")]
    if case.status == "withdrawn":
        return [_decision(case.id, facts, "unchanged", "A person withdrew the case; edit it to take it up again.")]
    if case.status == "published":
        return _propose(event, ctx, facts, case, fields)
    duplicates = _duplicates(ctx, case.id, case.kind, title, fields)
    values = {
        **_told(event, facts),
        "title": title,
        "fields": fields,
        "doubt": None,
        "proposed": None,
        **_linked(duplicates),
    }
    _write(ctx.session, case, change(case, Step.UPDATE, values, actor=ACTOR, reason=event.type, now=ctx.now))
    why = f"{event.type} brought news; a person's own words were kept." if kept else f"{event.type} brought news."
    return [_decision(case.id, facts, "updated", why, duplicates)]


def _propose(event: Event[Any], ctx: Context[Config], facts: Facts, case: Case, fields: dict[str, str]) -> list[Effect]:
    """Leave a published case as it is, and show beside it what the record says now."""
    if case.proposed == fields:
        return [_decision(case.id, facts, "unchanged", "A person has yet to decide about the same news.")]
    reason = f"The record says something else since {event.type}."
    values = {"doubt": reason, "proposed": fields, "event_id": event.id, "occurred_at": event.occurred_at}
    _write(ctx.session, case, change(case, Step.DOUBT, values, actor=ACTOR, reason=reason, now=ctx.now))
    return [_decision(case.id, facts, "doubtful", reason)]


def _duplicates(
    ctx: Context[Config], name: str, kind: str, title: str, fields: Mapping[str, str]
) -> list[dict[str, Any]]:
    return find_duplicates(
        ctx.session.rows,
        ctx.session.dialect,
        case_id=name,
        unit=ctx.unit.slug,
        kind=kind,
        title=title,
        fields=fields,
        least=ctx.config.duplicate_similarity,
    )


def _told(event: Event[Any], facts: Facts) -> dict[str, Any]:
    return {
        "language": facts.language,
        "industry": facts.industry,
        "event_id": event.id,
        "occurred_at": event.occurred_at,
    }


def _linked(duplicates: list[dict[str, Any]]) -> dict[str, Any]:
    return {"duplicates": duplicates, "duplicate_of": duplicates[0]["case_id"] if duplicates else None}


def _write(session: PluginSession, case: Case, made: Change) -> None:
    session.update(Case, case.id, made.case, expected={"version": case.version})
    _write_beside(session, made)


def _write_beside(session: PluginSession, made: Change) -> None:
    session.insert(CaseHistory, **made.history)
    session.upsert(CaseSearch, **made.search)


def _decision(
    name: str, facts: Facts, outcome: str, why: str, duplicates: list[dict[str, Any]] | None = None
) -> Decide:
    reasons = [Reason(why)]
    reasons += [Reason("Missing; a person has to add it before the review.", field=field) for field in facts.missing]
    reasons += [
        Reason(f"Possible duplicate: {item['case_id']}", weight=item["similarity"]) for item in duplicates or []
    ]
    return Decide(
        kind="case",
        outcome=outcome,
        summary=f"{facts.title} ({outcome})",
        rule=f"{facts.kind}_{outcome}",
        reasons=tuple(reasons),
        inputs={"case_id": name, "fields": sorted(facts.fields), "missing": list(facts.missing)},
    )
