"""`outrigger audit`: who did what and when, whether the trail is as it was written, and a copy to keep elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import click

from core.cli.output import done
from core.cli.parts import INSTANT, paging, session
from core.cli.printing import command, print_fields, print_json, print_page, safe
from core.store.audit import head as newest
from core.store.audit import verify as verify_trail
from core.store.audit_chain import Head, Verdict, check, parse_anchor
from core.store.reading.audit import AuditFilter, export_lines, list_audit, read_lines, show_audit

audit = click.Group("audit", help="The audit trail: look, check that nothing was changed, export.")

_COLUMNS = ("seq", "at", "actor", "action", "subject", "unit", "details")


@command(audit, "list")
@click.option("--action", help="Such as plugin.disabled or key.created.")
@click.option("--actor", help="Who did it, as the trail writes it.")
@click.option("--unit")
@click.option("--since", type=INSTANT, help="From this instant on.")
@paging
@click.pass_context
def list_(ctx: click.Context, /, cursor: str | None, limit: int, as_json: bool, **filters: Any) -> None:
    """List what was done, newest first."""
    with session(ctx).database.read() as connection:
        page = list_audit(connection, AuditFilter(**filters), cursor=cursor, limit=limit, look=None)
    print_page(page.as_dict(), _COLUMNS, as_json, "Nothing in the trail fits.")


@command(audit, "show")
@click.argument("seq", type=click.IntRange(min=0, max=2**63 - 1))
@click.pass_context
def show(ctx: click.Context, seq: int, as_json: bool) -> None:
    """Show one row whole, with its hash and that of the row before."""
    with session(ctx).database.read() as connection:
        found = show_audit(connection, seq)
    if as_json:
        print_json(found)
    else:
        print_fields(found.items())


@command(audit, "verify")
@click.option("--anchor", help="SEQ:HASH as `audit head` printed it once; finds a trail that was cut or written anew.")
@click.option("--file", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Check an export.")
@click.pass_context
def verify(ctx: click.Context, anchor: str | None, path: Path | None, as_json: bool) -> None:
    """Check the chain of hashes. Exit code 1 when it is broken, and the first bad row is named."""
    kept = parse_anchor(anchor) if anchor is not None else None
    if path is not None:
        with path.open("rb") as lines:
            verdict = check(read_lines(lines), kept)
    else:
        with session(ctx).database.read() as connection:
            verdict = verify_trail(connection, anchor=kept)
    _tell(verdict, kept, as_json)


@command(audit, "export")
@click.argument("file", default="-", type=click.File("w", encoding="utf-8", lazy=True))
@click.pass_context
def export(ctx: click.Context, file: IO[str], as_json: bool) -> None:
    """Write the whole trail as JSON lines to FILE, or to standard output with `-`."""
    number = 0
    with session(ctx).database.read() as connection:
        for line in export_lines(connection):
            file.write(safe(line) + "\n")  # an escape inside JSON text means the same, and no terminal obeys it
            number += 1
    if file.name != "-":
        file.close()
        text = f"{number} rows are in {file.name}; check them with `outrigger audit verify --file`."
        done(as_json, text, rows=number, file=file.name)


@command(audit, "head")
@click.pass_context
def head(ctx: click.Context, as_json: bool) -> None:
    """Print the newest row's SEQ:HASH; kept elsewhere, it is the anchor that finds a trail cut off or written anew."""
    with session(ctx).database.read() as connection:
        found = newest(connection)
    done(as_json, str(found), seq=found.seq, hash=found.hash, anchor=str(found))


def _tell(verdict: Verdict, anchor: Head | None, as_json: bool) -> None:
    fault = verdict.fault
    if as_json:
        broken = {"seq": fault.seq, "kind": fault.kind, "text": fault.text} if fault is not None else None
        print_json({"ok": verdict.ok, "rows": verdict.rows, "head": str(verdict.head), "broken": broken})
    elif fault is None:
        click.echo(f"The trail holds: {verdict.rows} rows, head {verdict.head}.")
        if anchor is None:
            click.echo(
                "Without an anchor a trail cut off at its end looks whole; keep what `audit head` prints elsewhere."
            )
    else:
        click.echo(f"Error: The audit trail is broken at row {fault.seq}. {fault.text}", err=True)
        click.echo(f"       The {verdict.rows} rows before hold.", err=True)
    if fault is not None:
        raise click.exceptions.Exit(1)
