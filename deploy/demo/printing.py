"""How the report is set on a terminal: headings, columns that fit Chinese, texts that are cut to a width."""

from __future__ import annotations

import sys
import unicodedata


def width_of(text: str) -> int:
    """Return how many screen columns a text takes; a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def pad(text: str, width: int) -> str:
    """Fill a text up to a width of screen columns."""
    return text + " " * max(0, width - width_of(text))


def heading(text: str) -> None:
    """Print a heading, in bold on a terminal."""
    print(f"\n\033[1m{text}\033[0m\n" if sys.stdout.isatty() else f"\n{text}\n")
