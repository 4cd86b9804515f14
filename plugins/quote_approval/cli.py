"""`outrigger quote-approval …`: what waits for approval, why, and decisions from the command line."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from typing import Any

import click

from core.api import current_desk, hookimpl, print_fields, print_json, print_table

from .deciding import Said, decide, read_request
from .models import Request
from .reading import Filters, as_json, asked_about, list_requests, waited_for
from .states import BY_PEOPLE, Status

_json = click.option("--json", "as_json_text", is_flag=True, help="Print JSON.")


@click.group(name="quote-approval")
def group() -> None:
    """Quotes that wait for approval: list, show, decide."""


@hookimpl
def register_commands() -> click.Group:
    """Contribute `outrigger quote-approval …`."""
    return group


@group.command(name="list")
@click.option("--unit")
@click.option("--status", type=click.Choice([str(status) for status in Status]))
@click.option("--person", help="Only what waits for this person, by slug.")
@click.option("--quote", help="Only requests of this quote, by its id in the CRM.")
@click.option("--overdue", is_flag=True, default=None, help="Only what missed its cycle.")
@click.option("--cursor", help="Where the next page begins, as the last one said.")
@click.option("--limit", type=click.IntRange(1, 200), default=50)
@_json
def list_command(as_json_text: bool, cursor: str | None, limit: int, **filters: Any) -> None:
    """List requests, the newest first."""
    with current_desk().read() as session:
        page, following = list_requests(session, Filters(**filters), cursor=cursor, limit=limit)
        names = waited_for(session, page)
        rows = [_row(item, names[item.id]) for item in page]
    if as_json_text:
        print_json({"items": [as_json(item) for item in page], "next": following})
        return
    print_table(rows, ("id", "status", "quote", "customer", "amount", "waits_for", "note", "version"))
    click.echo(f"{len(page)} requests" + (f"; more with --cursor {following}" if following else ""))


@group.command()
@click.argument("request_id")
@_json
def show(request_id: str, as_json_text: bool) -> None:
    """Show one request: the quote, the rule, who was asked and why, and what nearly decided otherwise."""
    with current_desk().read() as session:
        found = read_request(session, request_id)
        told = as_json(found, asked_about(session, request_id))
        names = waited_for(session, [found])[found.id]
    if as_json_text:
        print_json(told)
        return
    print_fields(_row(found, names).items())
    click.echo(f"  rule: {found.rule}: {found.reason}")
    click.echo(f"  tier: {told['facts']['tier'] or 'unknown'} ({told['facts']['tier_from']})")
    for name in ("amount", "discount", "margin", "payment_days", "lead_time_days"):
        value = told["facts"][name]
        click.echo(f"  {name}: {'unknown' if value is None else value}")
    for fault in found.faults:
        click.echo(f"  fault: {fault['zh']} {fault['en']}")
    for row in told["asked"]:
        said = f": {row['comment']}" if row["comment"] else ""
        click.echo(f"  level {row['level']}: {row['name']} ({row['person']}), {row['via']}, {row['state']}{said}")
        for step in row["path"]:
            click.echo(f"    {step}")
    for near in found.near_misses:
        click.echo(f"  nearly: {near}")
    if found.stuck:
        click.echo(f"  stuck: {found.stuck}")


@group.command(name="decide")
@click.argument("request_id")
@click.argument("decision", type=click.Choice(list(BY_PEOPLE)))
@click.option("--by", help="The person who decides, by slug; without it you decide yourself, with a reason.")
@click.option("--comment", default="", help="The reason, the question or the answer.")
@click.option("--version", type=click.IntRange(1), help="The version you read; refused when it changed since.")
@_json
def decide_command(
    request_id: str, decision: str, by: str | None, comment: str, version: int | None, as_json_text: bool
) -> None:
    """Approve, reject, ask (back) or answer."""
    if version is None:
        with current_desk().read() as session:
            version = read_request(session, request_id).version
    actor = "cli:" + getpass.getuser()
    said = Said(decision=decision, version=version, comment=comment, by=by, actor=actor, how="cli")
    made = decide(request_id, said)
    if as_json_text:
        print_json(as_json(made))
    else:
        click.echo(f"{made.id} is now {made.status}, version {made.version}, level {made.level}.")


def _row(item: Request, names: Sequence[str]) -> dict[str, Any]:
    return {
        "id": item.id,
        "status": item.status,
        "quote": item.record_id,
        "customer": item.customer or "",
        "amount": f"{item.content['amount'] or '?'} {item.content['currency'] or ''}",
        "waits_for": ", ".join(names),
        "note": ", ".join(word for word, is_so in (("overdue", item.overdue), ("stuck", item.stuck)) if is_so),
        "version": item.version,
    }
