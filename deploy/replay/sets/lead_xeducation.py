"""X Education: one web enquiry is one lead.

The file has no dates, so leads follow one another every half hour in the order of their numbers. Left out is what
sales staff filled in after the first contact (`Tags`, `Lead Quality`, `Lead Profile`, `Last Activity`, `Last Notable
Activity`, `Asymmetrique *`), and `Converted`, which is the label. "Select" in a list means that nothing was chosen.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from deploy.replay.book import DataSet, Kept, Labels, Outcome, Told, filled, text
from deploy.replay.rows import Files, RefusedRow, Row, figures, number

FILE = "leads.csv.gz"
FIRST = datetime(2018, 1, 1, 1, 0, tzinfo=UTC)
STEP = timedelta(minutes=30)


def outcomes(files: Files) -> Iterator[Outcome]:
    """Yield the rows in the order of the leads' numbers."""
    rows = sorted(files.rows(FILE), key=lambda row: (number(row["Lead Number"]) or 0, row["Prospect ID"]))
    for place, row in enumerate(rows):
        try:
            yield Kept((lead(row, FIRST + place * STEP),))
        except RefusedRow as refused:
            yield refused


def lead(row: Row, at: datetime) -> Told:
    """Return the lead that a row tells of."""
    if not row["Prospect ID"].strip():
        raise RefusedRow("no Prospect ID")
    counters = {
        "visits": number(row["TotalVisits"]),
        "minutes_on_site": number(row["Total Time Spent on Website"]),
        "forms": 1 if row["Lead Origin"] in ("Landing Page Submission", "Lead Add Form") else None,
    }
    specialization = _chosen(row["Specialization"])
    return Told(
        "lead.created",
        at,
        filled(
            {
                "id": row["Prospect ID"].strip(),
                "source": _chosen(row["Lead Source"]),
                "region": _chosen(row["Country"]),
                "city": _chosen(row["City"]),
                "products": [specialization] if specialization else [],
                "status": "new",
                "created_at": text(at),
                "counters": {key: value for key, value in counters.items() if value is not None},
                "extra": filled(
                    {
                        "origin": _chosen(row["Lead Origin"]),
                        "occupation": _chosen(row["What is your current occupation"]),
                        "wants_no_email": row["Do Not Email"] == "Yes",
                        "wants_guide": row["A free copy of Mastering The Interview"] == "Yes",
                    }
                ),
            }
        ),
    )


def labels(files: Files) -> Labels:
    """Return who became a customer."""
    return {"converted": figures((row["Prospect ID"].strip(), row["Converted"]) for row in files.rows(FILE))}


def _chosen(cell: str) -> str | None:
    return None if cell.strip() in ("", "Select") else cell.strip()


SET = DataSet(
    "lead_xeducation",
    "education",
    outcomes,
    "no dates in the set: a lead every 30 minutes in the order of their numbers",
    labels,
    run_on=timedelta(days=7),
)
