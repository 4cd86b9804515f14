"""What a clock's explanation looks at beside the clock itself, and the lines it is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from core.api import Calendar, MessageState

Place = tuple[str, str]
"""A message: the event by which it was asked for, and the key of its effect."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an explanation: what it is about, and the text in both languages."""

    about: str
    zh: str
    en: str

    def as_json(self) -> dict[str, str]:
        """Return the line as the API shows it."""
        return {"about": self.about, "zh": self.zh, "en": self.en}


def name_itself(role: str, language: str) -> str:
    """Return a role's name where nobody knows its title."""
    return role


@dataclass(frozen=True, slots=True)
class Seen:
    """Calendar and time of asking, what roles and the unit are called, whether the plugin is on, and the messages."""

    calendar: Calendar
    now: datetime
    title: Callable[[str, str], str] = name_itself
    unit: str = ""  # what people call the unit; its slug when nothing is known
    is_on: bool = True
    messages: Mapping[Place, MessageState] = field(default_factory=dict)
