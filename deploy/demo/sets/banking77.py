"""Maps BANKING77 to complaints: one customer's question is the body of a complaint, its intent the category.

The set has neither times nor ids of its own, so none is invented: the sender of the demo stamps them on sending.
"""

from __future__ import annotations

import csv
import gzip
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

SET = "banking77"
FILE = Path("kb_en_banking77", "open", "banking77.csv.gz")
INTENTS = 30


def rows(directory: Path, seed: int) -> list[dict[str, Any]]:
    """Return the sample: two questions of each of thirty seeded intents."""
    texts: dict[str, list[dict[str, str]]] = defaultdict(list)
    with gzip.open(directory / FILE, "rt", encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            texts[row["category"]].append(row)
    draw = random.Random(seed)
    intents = sorted(draw.sample(sorted(texts), INTENTS))
    picked = [row for intent in intents for row in draw.sample(texts[intent], 2)]
    return [_record(row) for row in sorted(picked, key=lambda row: int(row["row_id"]))]


def _record(row: dict[str, str]) -> dict[str, Any]:
    record_id = f"BK-{row['row_id']}"
    data = {
        "id": record_id,
        "category": row["category"],
        "body": row["text"].strip(),
        "status": "open",
        "extra": {"set": SET, "mapped": "text->body, category->category"},
    }
    return {"set": SET, "kind": "complaint", "id": record_id, "events": [{"type": "complaint.opened", "data": data}]}
