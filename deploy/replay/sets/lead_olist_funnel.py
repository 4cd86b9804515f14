"""Olist marketing funnel: a seller who asks to join the marketplace is a lead, and its closed deal converts it.

Segment, type and size are known only of deals that were won, so they arrive with the conversion and not before.
Dates of first contact have no hour; nine o'clock in Brazil is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from deploy.replay.book import DataSet, Kept, Labels, Outcome, Told, each, filled, text
from deploy.replay.rows import Files, RefusedRow, Row, amount, figures, hours, instant

LEADS, DEALS = "mql.csv.gz", "closed_deals.csv.gz"
BRAZIL = hours(-3)


def outcomes(files: Files) -> Iterator[Outcome]:
    """Yield the leads, then the deals that convert them."""
    known: set[str] = set()
    for outcome in each(files.rows(LEADS), lambda row: (lead(row),)):
        if isinstance(outcome, Kept):
            known.add(outcome.events[0].data["id"])
        yield outcome
    yield from each(files.rows(DEALS), lambda row: (deal(row, known),))


def lead(row: Row) -> Told:
    """Return the lead that a row tells of."""
    if not row["mql_id"]:
        raise RefusedRow("no mql_id")
    at = instant(row["first_contact_date"], "%Y-%m-%d", zone=BRAZIL, what="first_contact_date") + timedelta(hours=9)
    source = row["origin"].replace("_", " ")
    data = {
        "id": row["mql_id"],
        "source": None if source == "unknown" else source,
        "region": "Brazil",
        "status": "new",
        "created_at": text(at),
        "extra": filled({"landing_page": row["landing_page_id"]}),
    }
    return Told("lead.created", at, filled(data))


def deal(row: Row, known: set[str]) -> Told:
    """Return the conversion that a row tells of."""
    if row["mql_id"] not in known:
        raise RefusedRow("the deal's lead is not in the set")
    at = instant(row["won_date"], zone=BRAZIL, what="won_date")
    revenue = amount(row["declared_monthly_revenue"], "declared_monthly_revenue")
    data = {
        "id": row["mql_id"],
        "status": "converted",
        "customer_id": row["seller_id"],
        "industry": row["business_segment"],
        "owner": row["sr_id"],
        "extra": filled({"lead_type": row["lead_type"], "business_type": row["business_type"], "revenue": revenue}),
    }
    return Told("lead.converted", at, filled(data))


def labels(files: Files) -> Labels:
    """Return whose deal was closed."""
    return {"converted": figures((row["mql_id"], row["closed"]) for row in files.rows(LEADS))}


SET = DataSet("lead_olist_funnel", "marketplace", outcomes, "late leads are censored in the set", labels)
