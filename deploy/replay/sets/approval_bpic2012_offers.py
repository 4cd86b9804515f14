"""Loan applications and offers of 2012: an application is a lead, its offer a quote; both end as the log says.

The log holds one case of each variant and no frequencies, so every variant counts once and shares are not those of the
business. It has no amounts. Work items (`W_*`) are steps inside the house; the house's own approval (`A_APPROVED` and
the like) is kept for comparison. Of an application's offers the newest is the quote; sending it again updates it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from deploy.replay.book import DataSet, Kept, Labels, Outcome, Told, by_case, text
from deploy.replay.rows import Files, RefusedRow, Row, instant

FILE = "bpic2012_one_trace_per_variant.csv.gz"
ENDS = {
    "O_ACCEPTED": ("quote.accepted", "accepted"),
    "O_DECLINED": ("quote.rejected", "declined"),
    "O_SENT_BACK": ("quote.updated", "sent back"),
    "O_CANCELLED": ("quote.updated", "offer withdrawn"),
}
LEAD_STEPS = {
    "A_PREACCEPTED": ("lead.updated", "preaccepted"),
    "A_ACCEPTED": ("lead.updated", "accepted"),
    "A_FINALIZED": ("lead.updated", "finalized"),
    "A_DECLINED": ("lead.lost", "declined"),
    "A_CANCELLED": ("lead.lost", "cancelled"),
    "A_ACTIVATED": ("lead.converted", "activated"),
}


def outcomes(files: Files) -> Iterator[Outcome]:
    """Yield the rows case by case."""
    for log in by_case(files.rows(FILE), lambda row: row["case:concept:name"]):
        yield from case(log)


def case(log: Iterable[Row]) -> Iterator[Outcome]:
    """Yield the rows of one application."""
    is_known = is_sent = False
    for row in log:
        try:
            told = _step(row, is_known=is_known, is_sent=is_sent)
        except RefusedRow as refused:
            yield refused
            continue
        is_known |= told.type == "lead.created"
        is_sent |= told.type == "quote.submitted"
        yield Kept((told,))


def _step(row: Row, *, is_known: bool, is_sent: bool) -> Told:
    name, at = row["concept:name"], instant(row["time:timestamp"])
    lead, quote = f"LA-{row['case:concept:name']}", f"LO-{row['case:concept:name']}"
    if name.startswith("W_"):
        raise RefusedRow("a work item inside the house")
    if name == "A_SUBMITTED":
        data = {"id": lead, "source": "website", "products": ["loan"], "status": "new", "created_at": text(at)}
        return Told("lead.created", at, data)
    if not is_known:
        raise RefusedRow("before the application")
    if name in LEAD_STEPS:
        kind, status = LEAD_STEPS[name]
        return Told(kind, at, {"id": lead, "status": status})
    if name == "O_SENT":
        data = {"id": quote, "lead_id": lead, "currency": "EUR", "status": "sent"}
        return Told("quote.updated" if is_sent else "quote.submitted", at, data)
    if name in ENDS:
        if not is_sent:
            raise RefusedRow("an offer that was not sent")
        kind, status = ENDS[name]
        return Told(kind, at, {"id": quote, "status": status})
    if name in ("O_SELECTED", "O_CREATED"):
        raise RefusedRow("an offer being prepared")
    raise RefusedRow("a decision by the house: kept for comparison")


def labels(files: Files) -> Labels:
    """Return which offers were accepted, and which applications the house approved."""
    accepted: dict[str, float] = {}
    approved: dict[str, float] = {}
    for log in by_case(files.rows(FILE), lambda row: row["case:concept:name"]):
        names = {row["concept:name"] for row in log}
        if "O_SENT" in names:
            accepted[f"LO-{log[0]['case:concept:name']}"] = float("O_ACCEPTED" in names)
        approved[f"LA-{log[0]['case:concept:name']}"] = float("A_APPROVED" in names)
    return {"offer_accepted": accepted, "approved": approved}


SET = DataSet(
    "approval_bpic2012_offers",
    "approvals",
    outcomes,
    "one case per variant, each counted once: shares are not those of the business; no amounts",
    labels,
)
