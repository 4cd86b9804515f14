"""Prints errors as letters: what happened, where, what to do, and the stable code; never a traceback."""

from __future__ import annotations

import os
import traceback
from collections import Counter
from typing import IO, Any

import click
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from core.cli.printing import print_json, safe
from core.host.faults import ALIKE
from core.model.errors import OutriggerError, StorageUnavailable, printable
from core.store.refusals import refusal


class Letter(click.ClickException):
    """An OutriggerError on its way to a person at a terminal; ends the command with exit code 1."""

    exit_code = 1

    def __init__(self, error: OutriggerError) -> None:
        super().__init__(error.message)
        self.error = error
        self.lines = letter_lines(error)  # now, while the command's surroundings are known

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the letter to stderr."""
        for line in self.lines:
            click.echo(line, err=True)


def letter_lines(error: OutriggerError) -> list[str]:
    """Return the lines of a letter; faults that the message already tells are not told twice."""
    first, *rest = error.message.splitlines() or [""]
    if isinstance(error, StorageUnavailable) and (where := _database_url()):
        rest.append(f"The database is {where}")
    told = [f"Error: {safe(first)}", *(f"       {safe(line)}" for line in rest)]
    alike = Counter(item.get("message", "") for item in error.errors)
    for item in error.errors:
        path, message = item.get("path", ""), item.get("message", "")
        text = f"{path}: {message}"
        is_told = message in error.message and (path in error.message or alike[message] >= ALIKE)
        if not is_told:
            told.append(f"       {safe(text)}")
    return [*told, f"       ({error.code})"]


def as_letter(error: Exception) -> OutriggerError:
    """Return the error that a person is told; the trace of one that nobody expected is printed when they ask for it."""
    if isinstance(error, OutriggerError):
        return error
    if os.environ.get("OUTRIGGER_DEBUG"):
        traceback.print_exception(error)
    if isinstance(error, sa.exc.DBAPIError):
        return StorageUnavailable(refusal(error))
    said = printable(error, longest=300).partition("\n")[0]
    return OutriggerError(
        f"Something unexpected happened: {type(error).__name__}{f': {said}' if said else ''}. "
        "Run the command again with OUTRIGGER_DEBUG=1 for the trace, and report it."
    )


def done(as_json: bool, text: str, **values: Any) -> None:
    """Say what was done: as one sentence, or its values as JSON."""
    if as_json:
        print_json(values)
    else:
        click.echo(safe(text))


def _database_url() -> str:
    """Return where this command's database is, without its password; empty when that is not known."""
    context = click.get_current_context(silent=True)
    environment = getattr(context.obj, "environment", None) if context is not None else None
    try:
        return make_url(environment.database_url).render_as_string(hide_password=True) if environment else ""
    except sa.exc.ArgumentError:
        return ""


class LetterGroup(click.Group):
    """Commands whose errors become letters, also those that nobody expected."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except OutriggerError as error:
            raise Letter(error) from None
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            # The last resort: a hundred lines of trace help nobody at a terminal who did not ask for them.
            raise Letter(as_letter(error)) from None
