"""Prints for people and for machines: aligned tables that know Chinese widths, or JSON with `--json`."""

from __future__ import annotations

import functools
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import click

from core.model.errors import OutriggerError
from core.model.instants import format_instant

# What a CRM sent is shown on a terminal, so nothing of it may move the cursor or turn the reading direction.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def command(group: click.Group, name: str) -> Callable[[Callable[..., None]], click.Command]:
    """Add a command to a group: it takes `--json` as `as_json`, and our errors end it with exit code 1."""

    def decorate(function: Callable[..., None]) -> click.Command:
        @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
        @functools.wraps(function)
        def run(*args: Any, as_json: bool, **kwargs: Any) -> None:
            try:
                function(*args, as_json=as_json, **kwargs)
            except OutriggerError as error:
                if as_json:
                    print_json({"code": error.code, "detail": error.message, "errors": error.errors})
                    raise click.exceptions.Exit(1) from None
                from core.cli.output import Letter  # which itself prints by this module

                raise Letter(error) from None
            except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
                raise
            except Exception as error:
                if not as_json:
                    raise  # the root makes a letter of it
                from core.cli.output import as_letter

                letter = as_letter(error)
                print_json({"code": letter.code, "detail": letter.message, "errors": letter.errors})
                raise click.exceptions.Exit(1) from None

        return group.command(name)(run)

    return decorate


def print_json(value: Any) -> None:
    """Print JSON that any terminal can show."""
    text = json.dumps(value, ensure_ascii=False, indent=2, default=_plain)
    click.echo(_UNSAFE.sub(lambda found: found.group() if found.group() == "\n" else _escape(found), text))


def _plain(value: Any) -> Any:
    return format_instant(value) if isinstance(value, datetime) else str(value)


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found.group()):04x}"


def safe(value: Any) -> str:
    """Return a value as one line of text without anything a terminal would obey."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=_plain)
    return _UNSAFE.sub(_escape, text)


def width(text: str) -> int:
    """Return how many columns a text takes on a terminal; a Chinese character takes two."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def cut(text: str, columns: int) -> str:
    """Cut a text to so many columns."""
    if width(text) <= columns:
        return text
    kept = ""
    for char in text:
        if width(kept + char) >= columns:
            break
        kept += char
    return kept + "…"


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, widest: int = 48) -> None:
    """Print rows under the names of their columns; long values are cut, `--json` has them whole."""
    cells = [[cut(safe(row.get(name)), widest) for name in columns] for row in rows]
    heads = [name.replace("_", " ") for name in columns]
    wide = [max(width(line[i]) for line in [heads, *cells]) for i in range(len(columns))]
    for line in [heads, *cells]:
        click.echo("  ".join(_pad(text, wide[i]) for i, text in enumerate(line)).rstrip())


def _pad(text: str, columns: int) -> str:
    return text + " " * (columns - width(text))


def print_page(page: Mapping[str, Any], columns: Sequence[str], as_json: bool, nothing: str) -> None:
    """Print one page of a list, and how to get the next."""
    if as_json:
        print_json(page)
        return
    if not page["items"]:
        click.echo(nothing)
        return
    print_table(page["items"], columns)
    if page.get("next"):
        click.echo(f"There is more: --cursor {page['next']}")


def print_fields(pairs: Iterable[tuple[str, Any]]) -> None:
    """Print names and values below one another; those without a value are left out."""
    shown = [(name, safe(value)) for name, value in pairs if value not in (None, "", [], {})]
    wide = max((width(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.echo(f"{_pad(name, wide)}  {value}")
