"""Prints errors as letters: what happened, where, what to do, and the stable code; never a traceback."""

from __future__ import annotations

from typing import IO, Any

import click

from core.cli.printing import print_json, safe
from core.model.errors import OutriggerError


class Letter(click.ClickException):
    """An OutriggerError on its way to a person at a terminal; ends the command with exit code 1."""

    exit_code = 1

    def __init__(self, error: OutriggerError) -> None:
        super().__init__(error.message)
        self.error = error

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the letter to stderr."""
        for line in letter_lines(self.error):
            click.echo(line, err=True)


def letter_lines(error: OutriggerError) -> list[str]:
    """Return the lines of a letter; faults that the message already tells are not told twice."""
    first, *rest = error.message.splitlines() or [""]
    told = [f"Error: {safe(first)}", *(f"       {safe(line)}" for line in rest)]
    for item in error.errors:
        text = f"{item.get('path', '')}: {item.get('message', '')}"
        if text not in error.message:
            told.append(f"       {safe(text)}")
    return [*told, f"       ({error.code})"]


def done(as_json: bool, text: str, **values: Any) -> None:
    """Say what was done: as one sentence, or its values as JSON."""
    if as_json:
        print_json(values)
    else:
        click.echo(safe(text))
