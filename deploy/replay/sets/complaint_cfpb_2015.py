"""CFPB consumer complaints of 2015: received, then sent to the company.

How the company answered and whether the consumer disputed it have no time, and `Timely response?` is the label; none
of them is told. Dates have no hour: nine in the morning in Washington, and an hour later for what was sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from deploy.replay.book import DataSet, Labels, Outcome, Told, each, filled, text
from deploy.replay.rows import Files, RefusedRow, Row, figures, hours, instant

FILE = "complaints.csv.gz"
WASHINGTON = hours(-5)
DAY = "%Y-%m-%d"


def outcomes(files: Files) -> Iterator[Outcome]:
    """Yield the complaints."""
    return each(files.rows(FILE), complaint)


def complaint(row: Row) -> tuple[Told, Told]:
    """Return a complaint and its way to the company."""
    if not row["Complaint ID"]:
        raise RefusedRow("no Complaint ID")
    at = instant(row["Date received"], DAY, zone=WASHINGTON, what="Date received") + timedelta(hours=9)
    sent = instant(row["Date sent to company"], DAY, zone=WASHINGTON, what="Date sent to company")
    if sent + timedelta(hours=10) < at:
        raise RefusedRow("sent before it was received")
    identity = f"CF-{row['Complaint ID']}"
    data = {
        "id": identity,
        "product": row["Product"],
        "category": row["Sub-product"],
        "subject": " / ".join(part for part in (row["Issue"], row["Sub-issue"]) if part),
        "channel": "authority",
        "region": row["State"],
        "opened_at": text(at),
        "status": "received",
    }
    passed_on = {"id": identity, "status": "sent to company", "department": "company"}
    return (
        Told("complaint.opened", at, filled(data)),
        Told("complaint.updated", sent + timedelta(hours=10), passed_on),
    )


def labels(files: Files) -> Labels:
    """Return which companies did not answer in time."""
    return {"untimely": figures((f"CF-{row['Complaint ID']}", row["untimely"]) for row in files.rows(FILE))}


SET = DataSet(
    "complaint_cfpb_2015", "consumers", outcomes, "the set has no time of an answer, so every clock runs out", labels
)
