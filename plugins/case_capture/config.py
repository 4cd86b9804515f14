"""What IT can set for this plugin, per business unit; every setting has a default that works."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import marshmallow as ma

from core.api import OneOf, Who

from .rules import COMPLAINT, LOST_DEAL, WON_DEAL

KINDS = (COMPLAINT, WON_DEAL, LOST_DEAL)


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of one unit."""

    capture: tuple[str, ...] = KINDS
    suggest: bool = True
    suggest_from: str = "own"
    max_suggestions: int = 3
    suggestion_similarity: float = 0.15
    duplicate_similarity: float = 0.6
    language: str = "auto"
    notify_role: str | None = None
    notify_channel: str | None = None


class ConfigSchema(ma.Schema):
    """Checks the settings; the descriptions are what `outrigger plugins show` prints."""

    capture = ma.fields.List(
        ma.fields.String(validate=OneOf(KINDS)),
        load_default=KINDS,
        metadata={"description": "Kinds of cases to draft: complaint, won_deal, lost_deal."},
    )
    suggest = ma.fields.Boolean(
        truthy={True},
        falsy={False},
        load_default=True,
        metadata={"description": "Look for similar published cases when a complaint opens."},
    )
    suggest_from = ma.fields.String(
        validate=OneOf(("own", "all")),
        load_default="own",
        metadata={"description": "Suggest cases of the complaint's own unit, or of all units."},
    )
    max_suggestions = ma.fields.Integer(
        strict=True,
        validate=ma.validate.Range(1, 20),
        load_default=3,
        metadata={"description": "How many cases to suggest at most."},
    )
    suggestion_similarity = ma.fields.Float(
        validate=ma.validate.Range(0, 1),
        load_default=0.15,
        metadata={"description": "Smallest share of the complaint's words, by rarity, that a suggested case holds."},
    )
    duplicate_similarity = ma.fields.Float(
        validate=ma.validate.Range(0, 1),
        load_default=0.6,
        metadata={"description": "Likeness of two texts from which they are linked as possible duplicates."},
    )
    language = ma.fields.String(
        validate=OneOf(("auto", "zh", "en")),
        load_default="auto",
        metadata={"description": "Language of the titles the plugin writes; auto follows the record's text."},
    )
    notify_role = Who(
        allow_none=True,
        validate=ma.validate.Length(1, 100),
        load_default=None,
        metadata={"description": "Role or person told when similar cases are found; nobody when not set."},
    )
    notify_channel = ma.fields.String(
        allow_none=True,
        validate=ma.validate.Length(1, 100),
        load_default=None,
        metadata={"description": "Channel for that message; the default channel when not set."},
    )

    @ma.post_load
    def make(self, data: dict[str, Any], **_: Any) -> Config:
        """Build the typed settings."""
        data["capture"] = tuple(dict.fromkeys(data["capture"]))
        return Config(**data)
