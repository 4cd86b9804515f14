"""`outrigger retention`: what is kept for how long, what would go now and what went, and a run by hand."""

from __future__ import annotations

import sys
import time

import click

from core.cli.parts import person, session
from core.cli.printing import command, print_json, print_table
from core.pipeline.retention import Pruner, cutoffs
from core.store.reading.retention import due_to_go, last_runs

retention = click.Group("retention", help="What is removed after its time: look, and remove now.")

GIVE_WAY = 1.0
"""How long others may write after each step, as a share of what the step took."""


@command(retention, "show")
@click.pass_context
def show(ctx: click.Context, as_json: bool) -> None:
    """Show what is old enough to go, and what went on the last days on which something was removed."""
    found = session(ctx)
    settings = found.configuration().retention
    with found.database.read() as connection:
        due, runs = due_to_go(connection, cutoffs(settings, found.clock.now())), last_runs(connection)
    if as_json:
        print_json({"due": due, "runs": runs})
        return
    print_table([{**row, "due": f"{row['due']}{'+' * row['is_more']}"} for row in due],
                ("kind", "older_than", "oldest", "due"))  # fmt: skip
    for run in runs:
        went = ", ".join(f"{number} {name}" for name, number in run["removed"].items() if number) or "nothing"
        stopped = f"; stopped by {run['held_by']}" if run["held_by"] else ""
        click.echo(f"{run['day']}: {went}{'' if run['finished_at'] else ', not finished'}{stopped}")
    if not runs:
        click.echo("Nothing was removed yet.")


@command(retention, "run")
@click.pass_context
def run(ctx: click.Context, as_json: bool) -> None:
    """Remove now what is old enough, in small steps that give way to the server's writes."""
    found = session(ctx)
    pruner = Pruner(found.database, found.clock, lambda: found.configuration().retention, actor=person())
    removed: dict[str, int] = {}
    began = time.monotonic()
    for name, number in pruner.run_of_the_day():
        removed[name] = removed.get(name, 0) + number
        if sys.stderr.isatty():
            click.echo(f"\r{sum(removed.values())} removed, now {name}\x1b[K", nl=False, err=True)
        time.sleep((time.monotonic() - began) * GIVE_WAY)
        began = time.monotonic()
    if sys.stderr.isatty():
        click.echo("", err=True)
    with found.database.read() as connection:
        runs = last_runs(connection, 1)
    is_done = bool(runs) and runs[0]["finished_at"] is not None
    held_by = runs[0]["held_by"] if runs else None
    if as_json:
        print_json({"removed": removed, "is_done": is_done, "held_by": held_by})
        return
    click.echo(", ".join(f"{number} {name}" for name, number in removed.items() if number) or "Nothing was old enough.")
    if not is_done:
        click.echo("Another process removes just now, or something is in use; the courier goes on with it.")
    if held_by:
        click.echo(f"Older events stay because of {held_by}.")
