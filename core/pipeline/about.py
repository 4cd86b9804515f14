"""What the rows of one delivery have in common."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from core.host.plugin import Plugin
from core.host.settings import Configuration
from core.model.effects import message_id
from core.pipeline.work import DeliveryWork


@dataclass(frozen=True, slots=True)
class About:
    """One delivery's event, record, plugin and time, and the transaction its rows are written in."""

    event: Any  # events row
    delivery: DeliveryWork
    plugin: Plugin
    configuration: Configuration
    now: datetime
    connection: Connection

    def common(self) -> dict[str, Any]:
        """Return the columns that decisions and messages share."""
        return {
            "event_seq": self.event.seq,
            "event_id": self.event.id,
            "plugin": self.delivery.plugin,
            "unit": self.delivery.unit,
            "source": self.event.source,
            "kind": self.event.kind,
            "record_id": self.event.record_id,
        }

    def message_id(self, key: str) -> str:
        """Return the id of the message that the effect with this key becomes."""
        delivery = self.delivery
        return message_id(self.event.id, f"{delivery.plugin}@{delivery.unit}", key, delivery.generation)
