"""`outrigger records`, `decisions` and `leads`: what is known and decided, and the journey that led there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from core.cli.parts import paging, replayer, session
from core.cli.printing import command, print_fields, print_json, print_page, print_table, safe
from core.model.records import KINDS
from core.pipeline.undelivered import add_to_journey
from core.store.reading.decisions import DecisionFilter, list_decisions
from core.store.reading.journey import show_record
from core.store.reading.records import list_leads

records = click.Group("records", help="What is known of a record, and everything that happened to it.")
decisions = click.Group("decisions", help="What plugins and people decided, and why.")
leads = click.Group("leads", help="Leads with score, grade and owner.")

_SIGNS = {"event": "●", "delivery": "→", "decision": "◆", "update": "✎", "timer": "◷", "message": "✉"}
_DECISION = ("decided_at", "id", "plugin", "unit", "record_id", "decision", "outcome", "summary")
_LEAD = ("id", "name", "company", "unit", "score", "grade", "owner", "status", "updated_at")


@command(records, "show")
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.argument("record_id", metavar="ID")
@click.option("--source", help="Which CRM's, when several have a record of this id.")
@click.option("--limit", type=click.IntRange(1, 1000), default=200, show_default=True, help="Steps of the journey.")
@click.pass_context
def show(ctx: click.Context, kind: str, record_id: str, source: str | None, limit: int, as_json: bool) -> None:
    """Show a record: its fields and who said them, and its journey as a timeline."""
    with session(ctx).database.read() as connection:
        record = show_record(connection, kind, record_id, source=source, limit=limit)
        add_to_journey(connection, record["journey"], replayer(ctx).plugins())
    if as_json:
        print_json(record)
        return
    click.echo(f"{record['kind']} {safe(record['id'])} of {record['source']}")
    print_fields([("unit", record["unit"]), ("because", record["unit_reason"]), ("changed", record["updated_at"])])
    click.echo()
    rows = [
        {**field, "value": _value(record["snapshot"], field["path"]), "set_by": field["plugin"] or field["origin"]}
        for field in record["fields"]
    ]
    print_table(rows, ("path", "value", "set_by", "version"))
    click.echo("\nJourney" + (" (earlier steps are left out, see --limit)" if record["more"] else ""))
    for step in record["journey"]:
        _print_step(step)


def _value(snapshot: Mapping[str, Any], path: str) -> Any:
    top, _, member = path.partition(".")
    value = snapshot.get(top)
    return value.get(member) if member and isinstance(value, Mapping) else value


def _print_step(step: Mapping[str, Any]) -> None:
    indent = "" if step["step"] == "event" else "  "
    click.echo(f"{safe(step['at'])}  {indent}{_SIGNS[step['step']]} {safe(step['text'])}")
    if step["step"] == "decision":
        for reason in step["details"]["reasons"]:
            weight = reason.get("weight")
            sign = f"{weight:+g} " if isinstance(weight, (int, float)) else ""
            click.echo(f"{' ' * 22}    {sign}{safe(reason.get('text'))}")


@command(decisions, "list")
@click.option("--plugin")
@click.option("--unit")
@click.option("--decision", help="Only decisions about this, such as lead_grade.")
@click.option("--outcome")
@click.option("--kind", type=click.Choice(list(KINDS)))
@click.option("--record-id")
@paging
@click.pass_context
def list_decisions_(ctx: click.Context, /, cursor: str | None, limit: int, as_json: bool, **filters: Any) -> None:
    """List decisions, newest first."""
    with session(ctx).database.read() as connection:
        page = list_decisions(connection, DecisionFilter(**filters), cursor=cursor, limit=limit, look=None)
    print_page(page.as_dict(), _DECISION, as_json, "No decisions fit.")


@command(leads, "list")
@click.option("--unit")
@click.option("--grade")
@click.option("--owner")
@paging
@click.pass_context
def list_leads_(ctx: click.Context, /, cursor: str | None, limit: int, as_json: bool, **filters: Any) -> None:
    """List leads, the last changed first."""
    with session(ctx).database.read() as connection:
        page = list_leads(connection, cursor=cursor, limit=limit, look=None, **filters)
    print_page(page.as_dict(), _LEAD, as_json, "No leads fit.")
