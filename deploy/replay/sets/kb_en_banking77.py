"""BANKING77: each question to a bank's service is a complaint with a subject only, one a minute.

The 77 intents are the label and no number, so there is nothing to compare with here; they are for case search. The
Chinese question pairs (kb_zh_question_pairs) are no events at all: a pair says whether two questions mean the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from deploy.replay.book import DataSet, Kept, Outcome, Told, text
from deploy.replay.rows import Files, RefusedRow, Row

FILE = "banking77.csv.gz"
FIRST = datetime(2020, 3, 2, 8, 0, tzinfo=UTC)


def outcomes(files: Files) -> Iterator[Outcome]:
    """Yield the questions."""
    for place, row in enumerate(files.rows(FILE)):
        try:
            yield Kept((question(row, FIRST + timedelta(minutes=place)),))
        except RefusedRow as refused:
            yield refused


def question(row: Row, at: datetime) -> Told:
    """Return the complaint that a question is."""
    if not row["text"].strip():
        raise RefusedRow("no text")
    data = {
        "id": f"B77-{row['row_id']}",
        "subject": row["text"].strip(),
        "channel": "chat",
        "opened_at": text(at),
        "status": "new",
    }
    return Told("complaint.opened", at, data)


SET = DataSet("kb_en_banking77", "questions", outcomes, "no times in the set: a question a minute", None)
