"""Shows how far the demo is: one line that is written over on a terminal, and a line for each quarter elsewhere."""

from __future__ import annotations

import sys


class Progress:
    """One thing that is being done."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._quarter = -1
        self._width = 0

    def __call__(self, done: int, total: int) -> None:
        """Show how far it is."""
        quarter = 4 * done // max(total, 1)
        if sys.stdout.isatty():
            self._show(f"{self._text} {done}/{total}")
        elif quarter != self._quarter:
            print(f"  {self._text} {done}/{total}", flush=True)
        self._quarter = quarter

    def waiting(self, work: dict[str, int]) -> None:
        """Show what is still open."""
        events, deliveries, messages = work.values()
        if sys.stdout.isatty():
            self._show(f"{self._text}: {events} events, {deliveries} deliveries, {messages} messages left")

    def end(self) -> None:
        """Leave the line as it is and go on below it."""
        if sys.stdout.isatty():
            print()

    def _show(self, text: str) -> None:
        self._width = max(self._width, len(text))
        print(f"\r  {text.ljust(self._width)}", end="", flush=True)
