"""What a case of each kind holds, and how a record's facts become its draft; pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from core.api import Complaint, Lead, Quote

from .privacy import mask
from .text import language_of

COMPLAINT, WON_DEAL, LOST_DEAL = "complaint", "won_deal", "lost_deal"

FIELDS: Mapping[str, tuple[str, ...]] = {
    COMPLAINT: (
        "symptom",
        "cause",
        "fix",
        "prevention",
        "product",
        "alloy",
        "batch",
        "process_step",
        "category",
    ),
    WON_DEAL: ("need", "solution", "strategy", "product", "industry", "region"),
    LOST_DEAL: ("why_lost", "root_cause", "improvement", "need", "solution", "product", "industry", "region"),
}
"""The fields of each kind of case, in the order a person reads them."""

REQUIRED: Mapping[str, tuple[str, ...]] = {
    COMPLAINT: ("symptom", "cause", "fix"),
    WON_DEAL: ("need", "solution"),
    LOST_DEAL: ("why_lost", "root_cause", "improvement"),
}
"""What a case needs before a person can call it reviewed. It is named as missing, never made up."""

KIND_TITLES: Mapping[str, Mapping[str, str]] = {
    "zh": {COMPLAINT: "投诉", WON_DEAL: "赢单", LOST_DEAL: "丢单"},
    "en": {COMPLAINT: "Complaint", WON_DEAL: "Won", LOST_DEAL: "Lost"},
}
MAX_FIELD = 4_000
MAX_TITLE = 80


@dataclass(frozen=True, slots=True)
class Facts:
    """What a record tells for a case: its title and its fields, personal data masked, empty ones left out."""

    kind: str
    title: str
    fields: Mapping[str, str]
    language: str
    industry: str | None = None
    missing: tuple[str, ...] = field(default=())


def case_id(source: str, record_kind: str, record_id: str, kind: str) -> str:
    """Name the case of a record: the same record gets the same case, however often it is resolved."""
    text = "\x1f".join((source, record_kind, record_id, kind))
    return "case_" + hashlib.sha256(text.encode()).hexdigest()[:24]


def missing_fields(kind: str, fields: Mapping[str, str]) -> tuple[str, ...]:
    """Return the required fields that say nothing."""
    return tuple(name for name in REQUIRED[kind] if not fields.get(name, "").strip())


def facts_of_complaint(record: Complaint, language: str = "auto") -> Facts:
    """Turn a solved complaint into symptom, cause and fix, with what it concerned."""
    values = {
        "symptom": record.body or record.subject,
        "cause": record.cause,
        "fix": record.resolution,
        "prevention": _extra(record.extra, "prevention"),
        "product": record.product,
        "alloy": record.alloy,
        "batch": record.batch,
        "process_step": record.process_step,
        "category": record.category,
    }
    return _facts(COMPLAINT, record.id, values, record.subject, (), language, record.industry)


def facts_of_won_quote(record: Quote, lead: Lead | None, language: str = "auto") -> Facts:
    """Turn an accepted quote into need, solution and negotiation strategy."""
    values = {
        "need": record.need or (lead.requirement if lead else None),
        "solution": record.solution,
        "strategy": record.strategy,
        **_market(record, lead),
    }
    return _facts(WON_DEAL, record.id, values, None, _names(lead), language, values["industry"])


def facts_of_lost_quote(record: Quote, lead: Lead | None, language: str = "auto") -> Facts:
    """Turn a rejected quote into why it was lost, the root cause and what to do better."""
    values = {
        "why_lost": record.rejected_reason,
        "root_cause": _extra(record.extra, "root_cause"),
        "improvement": _extra(record.extra, "improvement"),
        "need": record.need or (lead.requirement if lead else None),
        "solution": record.solution,
        **_market(record, lead),
    }
    return _facts(LOST_DEAL, record.id, values, None, _names(lead), language, values["industry"])


def facts_of_lost_lead(record: Lead, language: str = "auto") -> Facts:
    """Turn a lead that was given up into a lost deal."""
    values = {
        "why_lost": record.lost_reason,
        "root_cause": _extra(record.extra, "root_cause"),
        "improvement": _extra(record.extra, "improvement"),
        "need": record.requirement,
        "product": _listed(record.products),
        "industry": record.industry,
        "region": record.region,
    }
    return _facts(LOST_DEAL, record.id, values, None, _names(record), language, record.industry)


def clean(text: str, names: Iterable[str | None] = ()) -> str:
    """Return a text fit for a case: masked, trimmed, and cut where it is endless."""
    text = mask(text.replace("\x00", ""), names).strip()
    return text if len(text) <= MAX_FIELD else text[: MAX_FIELD - 1].rstrip() + "…"


def _facts(
    kind: str,
    record_id: str,
    values: Mapping[str, str | None],
    heading: str | None,
    names: tuple[str | None, ...],
    language: str,
    industry: str | None,
) -> Facts:
    fields = {name: clean(text, names) for name, text in values.items() if text and text.strip()}
    spoken = language if language in KIND_TITLES else language_of(" ".join((heading or "", *fields.values())))
    title = clean(heading or "", names) or _title(kind, record_id, fields, spoken)
    return Facts(kind, _cut(title), fields, spoken, industry, missing_fields(kind, fields))


def _title(kind: str, record_id: str, fields: Mapping[str, str], language: str) -> str:
    """Name a case by what it is about; by its record's number when it says nothing."""
    about = fields.get("symptom") or fields.get("why_lost") or fields.get("need") or fields.get("solution")
    parts = [fields.get("product"), about.splitlines()[0] if about else None]
    told = " · ".join(part for part in parts if part)
    return f"{KIND_TITLES[language][kind]}: {told or record_id}"


def _cut(title: str) -> str:
    title = " ".join(title.split())
    return title if len(title) <= MAX_TITLE else title[: MAX_TITLE - 1].rstrip() + "…"


def _market(record: Quote, lead: Lead | None) -> dict[str, str | None]:
    products = dict.fromkeys(line.product or line.family or "" for line in record.lines)
    return {
        "product": _listed(tuple(name for name in products if name)) or (_listed(lead.products) if lead else None),
        "industry": record.industry or (lead.industry if lead else None),
        "region": record.region or (lead.region if lead else None),
    }


def _listed(names: tuple[str, ...]) -> str | None:
    return ", ".join(names[:5]) or None


def _names(lead: Lead | None) -> tuple[str | None, ...]:
    return (lead.contact.name, lead.contact.email, lead.contact.phone) if lead else ()


def _extra(extra: Mapping[str, object], name: str) -> str | None:
    value = extra.get(name)
    return value if isinstance(value, str) else None
