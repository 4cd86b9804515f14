"""Rabobank incidents at opening: each row opens a complaint; the set tells nothing of what came after.

The file has hour and weekday and no date. Rows keep their order and their hour and weekday: 700 rows make a week.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from deploy.replay.book import DataSet, Kept, Labels, Outcome, Told, filled, text
from deploy.replay.rows import Files, RefusedRow, Row, figures, number

FILE = "incidents_at_open.csv.gz"
FIRST_MONDAY = datetime(2013, 9, 30, tzinfo=UTC)
WEEKLY = 700
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SEVERITIES = {"1": "critical", "2": "critical", "3": "high", "4": "medium", "5": "low"}


def outcomes(files: Files) -> Iterator[Outcome]:
    """Yield the rows in the order of the file."""
    for place, row in enumerate(files.rows(FILE)):
        try:
            yield Kept((opened(row, place),))
        except RefusedRow as refused:
            yield refused


def opened(row: Row, place: int) -> Told:
    """Return the complaint that a row opens."""
    hour = number(row["Open_Time_HourOfDay"])
    if row["Open_Time_DayOfWeek"] not in WEEKDAYS or hour is None or not 0 <= hour <= 23:
        raise RefusedRow("no weekday or hour")
    week, within = divmod(place, WEEKLY)
    at = FIRST_MONDAY + timedelta(
        weeks=week,
        days=WEEKDAYS.index(row["Open_Time_DayOfWeek"]),
        hours=hour,
        seconds=within * 5,
    )
    data = {
        "id": f"RI-{row['row_id']}",
        "product": row["CI_Name_aff"],
        "category": row["CI_TypeSubType_aff"],
        "severity": SEVERITIES.get(row["Impact"][:1]),
        "opened_at": text(at),
        "status": "open",
        "extra": filled(
            {
                "urgency": row["Urgency"],
                "service": row["Service_Component_WBS_aff"],
                "knowledge_article": row["KM_number"],
                "related_interactions": number(row["Count_Related_Interactions"]),
                "related_incidents": number(row["Count_Related_Incidents"]),
            }
        ),
    }
    return Told("complaint.opened", at, filled(data))


def labels(files: Files) -> Labels:
    """Return which incidents failed the thesis author's rule."""
    return {"sla_failed": figures((f"RI-{row['row_id']}", row["SLAFail"]) for row in files.rows(FILE))}


SET = DataSet(
    "sla_bpic2014_incidents",
    "service",
    outcomes,
    "dates are made from hour and weekday; nothing is ever resolved in this set, so every clock runs out",
    labels,
)
