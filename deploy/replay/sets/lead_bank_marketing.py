"""UCI Bank Marketing: one contact of a phone campaign is one lead, in two files that describe much the same contacts.

Left out: everything about the person, `duration`, which is known only after the call, and `y`, the label. Set here:
the year, which follows from the order of the file (May 2008 to November 2010), and the hour of the day. The second
file names no day but a weekday; the first such weekday of the month is taken. In `bank_full` the answer is told as
`lead.converted` or `lead.lost` in the afternoon; the second file tells no answers, since they would be the same again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta

from deploy.demo.sets.bank_marketing import CHANNELS, FIRST_YEAR, MONTHS, OUTCOMES
from deploy.replay.book import DataSet, Kept, Labels, Outcome, Told, filled, text
from deploy.replay.rows import Files, RefusedRow, Row, figures, number

FULL, ADDITIONAL = "bank_full.csv.gz", "bank_additional_full.csv.gz"
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
NEVER = ("-1", "999")


def outcomes(files: Files) -> Iterator[Outcome]:
    """Yield both files, one after the other."""
    yield from _dated(files.rows(FULL), full)
    yield from _dated(files.rows(ADDITIONAL), additional)


def _dated(rows: Iterable[Row], tell: Callable[[Row, int], tuple[Told, ...]]) -> Iterator[Outcome]:
    year, before = FIRST_YEAR, 0
    for row in rows:
        if row["month"] not in MONTHS:
            yield RefusedRow("no month of this name")
            continue
        month = MONTHS.index(row["month"]) + 1
        year += month < before
        before = month
        try:
            yield Kept(tell(row, year))
        except RefusedRow as refused:
            yield refused


def full(row: Row, year: int) -> tuple[Told, ...]:
    """Return the contact and its answer."""
    try:
        day = datetime(year, MONTHS.index(row["month"]) + 1, int(row["day"]), tzinfo=UTC)
    except ValueError:
        raise RefusedRow("no such day in that month") from None
    lead = _lead(f"BF-{row['row_id']}", row, day + timedelta(hours=9))
    if row["y01"] not in ("0", "1"):
        raise RefusedRow("no answer")
    status = "converted" if row["y01"] == "1" else "lost"
    return lead, Told(f"lead.{status}", day + timedelta(hours=17), {"id": lead.data["id"], "status": status})


def additional(row: Row, year: int) -> tuple[Told, ...]:
    """Return the contact."""
    if row["day_of_week"] not in WEEKDAYS:
        raise RefusedRow("no weekday of this name")
    first = datetime(year, MONTHS.index(row["month"]) + 1, 1, 9, tzinfo=UTC)
    day = first + timedelta(days=(WEEKDAYS.index(row["day_of_week"]) - first.weekday()) % 7)
    return (_lead(f"BA-{row['row_id']}", row, day),)


def _lead(identity: str, row: Row, at: datetime) -> Told:
    if row["contact"] not in CHANNELS:
        raise RefusedRow("unknown channel")
    counters = {"contacts": number(row["campaign"]), "earlier_contacts": number(row["previous"])}
    since = None if row["pdays"] in NEVER else number(row["pdays"])
    extra = {"days_since_last_contact": since, "earlier_campaign": OUTCOMES.get(row["poutcome"]), **counters}
    data = {
        "id": identity,
        "source": CHANNELS[row["contact"]],
        "products": ["term deposit"],
        "status": "new",
        "created_at": text(at),
        "counters": filled(counters),
        "extra": filled(extra),
    }
    return Told("lead.created", at, filled(data))


def labels(files: Files) -> Labels:
    """Return who subscribed."""
    found = figures((f"BF-{row['row_id']}", row["y01"]) for row in files.rows(FULL))
    found |= figures((f"BA-{row['row_id']}", row["y01"]) for row in files.rows(ADDITIONAL))
    return {"converted": found}


SET = DataSet(
    "lead_bank_marketing",
    "bank",
    outcomes,
    "the year follows from the order of the file; scored by the demo's rules for a phone campaign",
    labels,
    run_on=timedelta(days=7),
)
