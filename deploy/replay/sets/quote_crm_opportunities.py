"""Maven CRM opportunities of a fictitious company: an opportunity that was engaged is a quote that is won or lost.

What a quote asks for is the list price of its product; the value at which it closed arrives with the closing. Tiers
come from the account's revenue by the business's thresholds times 100: A above 1,000 M, B from 300 M, C below.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from deploy.replay.book import DataSet, Labels, Outcome, Told, each, filled, text
from deploy.replay.rows import Files, RefusedRow, Row, amount, figures, instant

FILE = "sales_pipeline.csv.gz"
KNOWN_SINCE = datetime(2016, 10, 1, tzinfo=UTC)
STAGES = {"Won": "quote.accepted", "Lost": "quote.rejected", "Engaging": None}


@dataclass(slots=True)
class Catalogue:
    """What the files beside the opportunities say; accounts are told when their first opportunity comes."""

    accounts: Mapping[str, Row]
    products: Mapping[str, Row]
    regions: Mapping[str, str]
    told: set[str] = field(default_factory=set)

    def customer(self, name: str) -> tuple[Told, ...]:
        """Return the customer's event the first time that it is named."""
        account = self.accounts.get(name)
        if account is None or name in self.told:
            return ()
        self.told.add(name)
        revenue = Decimal(account["revenue"])
        tier = "A" if revenue > 1000 else "B" if revenue >= 300 else "C"
        data = {
            "id": name,
            "name": name,
            "tier": tier,
            "industry": account["sector"],
            "region": account["office_location"],
            "extra": {"tier_basis": "account revenue, A above 1,000 M, B from 300 M", "revenue_m_usd": str(revenue)},
        }
        return (Told("customer.updated", KNOWN_SINCE, filled(data)),)


def catalogue(files: Files) -> Catalogue:
    """Read the files beside the opportunities."""
    return Catalogue(
        {row["account"]: row for row in files.beside("accounts.csv.gz")},
        {_plain(row["product"]): row for row in files.beside("products.csv.gz")},
        {row["sales_agent"]: row["regional_office"] for row in files.beside("sales_teams.csv.gz")},
    )


def outcomes(files: Files) -> Iterator[Outcome]:
    """Yield the opportunities."""
    known = catalogue(files)
    return each(files.rows(FILE), lambda row: quote(row, known))


def quote(row: Row, known: Catalogue) -> tuple[Told, ...]:
    """Return the quote that a row tells of, its customer and its end."""
    if row["deal_stage"] == "Prospecting":
        raise RefusedRow("still prospecting: nothing was quoted")
    if row["deal_stage"] not in STAGES:
        raise RefusedRow("unknown stage")
    product = known.products.get(_plain(row["product"]))
    if product is None:
        raise RefusedRow("unknown product")
    at = instant(row["engage_date"], "%Y-%m-%d", what="engage_date") + timedelta(hours=14)
    price = amount(product["sales_price"], "sales_price")
    data = {
        "id": row["opportunity_id"],
        "customer_id": row["account"],
        "owner": row["sales_agent"],
        "currency": "USD",
        "amount": price,
        "lines": [{"product": product["product"], "family": product["series"], "quantity": "1", "unit_price": price}],
        "region": known.regions.get(row["sales_agent"]),
        "status": "submitted",
    }
    told = [Told("quote.submitted", at, filled(data))]
    ending = STAGES[row["deal_stage"]]
    if ending is not None:
        closed = instant(row["close_date"], "%Y-%m-%d", what="close_date") + timedelta(hours=16)
        value = amount(row["close_value"], "close_value") if ending == "quote.accepted" else None
        status = ending.partition(".")[2]
        end = {"id": row["opportunity_id"], "status": status, "extra": filled({"closed_at_value": value})}
        told.append(Told(ending, max(closed, at), filled(end)))
    return (*known.customer(row["account"]), *told)


def labels(files: Files) -> Labels:
    """Return which quotes were won, of those that were closed."""
    return {"won": figures((row["opportunity_id"], row["won"]) for row in files.rows(FILE))}


def _plain(product: str) -> str:
    """Return a product's name as it is compared: the set writes GTX Pro and GTXPro."""
    return product.replace(" ", "").casefold()


SET = DataSet(
    "quote_crm_opportunities",
    "opportunities",
    outcomes,
    f"a fictitious company, the amount is the product's list price; accounts are known since {text(KNOWN_SINCE)}",
    labels,
)
