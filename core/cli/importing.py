"""`outrigger events import`: history into a database of its own, on a clock that moves with it."""

from __future__ import annotations

import dataclasses
import re
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from core.cli.events import events
from core.cli.printing import command, print_fields, print_json, print_table, safe
from core.cli.session import Session
from core.model.instants import format_instant
from core.pipeline.import_lines import check_files
from core.pipeline.import_place import open_place
from core.pipeline.importing import BATCH, RUN_ON, Imported

SHOWN = 20
"""How many refused lines are printed; `--json` and the database have them all."""

_SPANS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


class SpanType(click.ParamType[timedelta]):
    """A span of time, such as 30d, 12h, 90m or 0s."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return the span."""
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"(\d{1,5})([dhms])", str(value).strip())
        if found is None:
            self.fail(f'"{value}" is no span of time; write a number and d, h, m or s, such as 30d.', param, ctx)
        return timedelta(**{_SPANS[found[2]]: int(found[1])})


@command(events, "import")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--into", required=True, metavar="URL", help="The import's own database; a new one is made.")
@click.option("--source", help="The source of lines that name none.  [default: the only one configured]")
@click.option(
    "--config", type=click.Path(path_type=Path), help="The plugins.toml to apply.  [default: OUTRIGGER_CONFIG]"
)
@click.option(
    "--run-on", type=SpanType(), default=RUN_ON, help="How far time goes on after the last event.  [default: 30d]"
)
@click.option(
    "--batch", type=click.IntRange(1, 100_000), default=BATCH, show_default=True, help="Events a transaction."
)
@click.pass_context
def import_(
    ctx: click.Context,
    /,
    files: tuple[Path, ...],
    into: str,
    source: str | None,
    config: Path | None,
    run_on: timedelta,
    batch: int,
    as_json: bool,
) -> None:
    """Run historical events through the plugins, in a database of its own and at the times they happened.

    A line of FILES is a Standard Webhooks body: {"type", "timestamp", "data"}, with "source" and "id" when there are
    any. Nothing leaves: what plugins would send is kept as suppressed. Ends with 1 when lines were refused; the others
    are imported all the same. FILES are read twice, so a pipe is refused.
    """
    check_files(files)  # what is refused leaves no empty database behind
    found = ctx.find_object(Session)
    assert found is not None
    live = found.environment
    environment = dataclasses.replace(live, database_url=into, config_path=config or live.config_path)
    with open_place(found.assembly, environment, live.database_url, found.clock) as place:
        lines = place.files(files, source)
        importer = place.importer(lines, found.clock, batch=batch)
        with click.progressbar(length=lines.fitting, label="Importing", file=sys.stderr, item_show_func=_clock) as bar:

            def progress(behind: int, at: datetime) -> None:
                bar.update(behind - bar.pos, at)

            done = importer.run(lines, run_on=run_on, progress=progress)
    _print(done, as_json)
    if done.refused:
        ctx.exit(1)


def _clock(at: datetime | None) -> str | None:
    return format_instant(at)[:10] if at is not None else None


def _print(done: Imported, as_json: bool) -> None:
    refused = [{"file": item.file, "line": item.line, "reason": item.reason} for item in done.refusals]
    summary = {
        "lines": done.read,
        "accepted": done.accepted,
        "duplicates": done.duplicates,
        "refused": done.refused,
        "follow_ups": done.follow_ups,
        "timers_fired": done.timers,
        "from": done.began_at,
        "to": done.ended_at,
    }
    if as_json:
        print_json({**summary, "reasons": done.reasons(), "refusals": refused})
        return
    print_fields((name.replace("_", " "), value) for name, value in summary.items())
    if refused:
        click.echo("\nRefused")
        for reason, count in done.reasons().items():
            click.echo(f"{count:>6}  {safe(reason)}")
        click.echo()
        print_table(refused[:SHOWN], ("file", "line", "reason"), widest=100)
        if len(refused) > SHOWN:
            click.echo(f"… and {len(refused) - SHOWN} more; --json has them all.")
