"""Maps UCI Bank Marketing to leads: one contact of a phone campaign is a lead that converts or is lost.

Kept: the day, the channel, the contact counts, the outcome of the last campaign and whether the client subscribed.
Left out: everything about the person (age, job, marital status, education, balance, loans), and `duration`, which
is known only after the call and gives the outcome away. Set by this module: the year, which the file implies by
its order (May 2008 to November 2010), and the hours, which it does not have.
"""

from __future__ import annotations

import csv
import gzip
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

SET = "uci_bank_marketing"
FILE = Path("lead_bank_marketing", "open", "bank_full.csv.gz")
WANTED = 60
FIRST_YEAR = 2008
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
CHANNELS = {"cellular": "phone_campaign_mobile", "telephone": "phone_campaign_landline", "unknown": "phone_campaign"}
OUTCOMES = {"success": "bought", "failure": "declined", "other": "open", "unknown": None}


def rows(directory: Path, seed: int) -> list[dict[str, Any]]:
    """Return the sample: seeded contacts of the last months of the file, in the order of their day."""
    with gzip.open(directory / FILE, "rt", encoding="utf-8", newline="") as stream:
        dated = list(_dated(csv.DictReader(stream)))
    newest = max(day for day, _ in dated)
    recent = [item for item in dated if item[0] > newest - timedelta(days=92)]
    picked = random.Random(seed).sample(recent, min(WANTED, len(recent)))
    return [_record(day, row) for day, row in sorted(picked, key=lambda item: (item[0], int(item[1]["row_id"])))]


def _dated(reader: csv.DictReader[str]) -> Iterator[tuple[datetime, dict[str, str]]]:
    year, before = FIRST_YEAR, 0
    for row in reader:
        month = MONTHS.index(row["month"]) + 1
        year += month < before
        before = month
        yield datetime(year, month, int(row["day"]), tzinfo=UTC), row


def _record(day: datetime, row: dict[str, str]) -> dict[str, Any]:
    created, answered = day + timedelta(hours=9), day + timedelta(hours=17)
    lead_id = f"BM-{row['row_id']}"
    counters = {"contacts": int(row["campaign"]), "earlier_contacts": int(row["previous"])}
    extra: dict[str, Any] = {"set": SET, "mapped": "contact->source, campaign and previous->counters"}
    if row["pdays"] != "-1":
        extra["days_since_last_contact"] = int(row["pdays"])
    earlier = OUTCOMES[row["poutcome"]]
    if earlier is not None:
        extra["earlier_campaign"] = earlier
    subscribed = row["y01"] == "1"
    data: dict[str, Any] = {
        "id": lead_id,
        "source": CHANNELS[row["contact"]],
        "products": ["term deposit"],
        "status": "new",
        "created_at": _text(created),
        "counters": counters,
        "extra": extra,
    }
    outcome = {"id": lead_id, "status": "converted" if subscribed else "lost", "extra": {"set": SET}}
    return {
        "set": SET,
        "kind": "lead",
        "id": lead_id,
        "events": [
            {"type": "lead.created", "at": _text(created), "data": data},
            {"type": "lead.converted" if subscribed else "lead.lost", "at": _text(answered), "data": outcome},
        ],
    }


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
