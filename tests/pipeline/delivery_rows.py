"""Rows of the deliveries table as tests want them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

NOW = datetime(2026, 11, 28, 3, 0, tzinfo=UTC)


def delivery_rows(chosen: Sequence[Any]) -> list[dict[str, Any]]:
    """Return a row for each (record, plugin, unit, number of the event, status)."""
    return [
        {
            "id": number, "event_seq": seq, "event_id": f"evt_{seq}", "plugin": plugin, "unit": unit, "generation": 0,
            "outward": True, "source": key[0], "kind": key[1], "record_id": key[2], "lane": 1, "status": status.value,
            "attempts": 0, "due_at": NOW, "out_of_order": False, "config_version": 1, "created_at": NOW,
        }
        for number, (key, plugin, unit, seq, status) in enumerate(chosen, 1)
    ]  # fmt: skip
