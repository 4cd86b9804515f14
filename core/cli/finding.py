"""One thing the doctor looked at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing the doctor looked at."""

    level: Level
    what: str
    detail: str
    advice: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the finding for `--json`."""
        return asdict(self)
