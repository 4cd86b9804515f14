"""English IT tickets: text only, one every ten minutes in the order of the file, since the set has no times.

Type, category, service, urgency and impact are the codes that a model would have to find; they are not told.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from deploy.replay.book import DataSet, Kept, Labels, Outcome, Told, filled, text
from deploy.replay.rows import Files, RefusedRow, Row

FILE = "all_tickets_sample.csv.gz"
FIRST = datetime(2019, 1, 7, 8, 0, tzinfo=UTC)
STEP = timedelta(minutes=10)


def outcomes(files: Files) -> Iterator[Outcome]:
    """Yield the tickets."""
    for place, row in enumerate(files.rows(FILE)):
        try:
            yield Kept((ticket(row, FIRST + place * STEP),))
        except RefusedRow as refused:
            yield refused


def ticket(row: Row, at: datetime) -> Told:
    """Return the complaint that a ticket is."""
    if not row["title"].strip() and not row["body"].strip():
        raise RefusedRow("neither subject nor text")
    data = {
        "id": f"ET-{row['row_id']}",
        "subject": row["title"].strip(),
        "body": row["body"].strip(),
        "channel": "portal",
        "opened_at": text(at),
        "status": "new",
    }
    return Told("complaint.opened", at, filled(data))


def labels(files: Files) -> Labels:
    """Return which tickets people marked as more urgent than the usual 3."""
    return {"urgent": {f"ET-{row['row_id']}": float(row["urgency"] in ("0", "1", "2")) for row in files.rows(FILE)}}


SET = DataSet("complaint_en_tickets", "questions", outcomes, "no times in the set: a ticket every ten minutes", labels)
