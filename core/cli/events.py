"""`outrigger events`: send one as a CRM would, list, show, replay."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any, BinaryIO

import click

from core.cli.parts import INSTANT, paging, person, replayer, session
from core.cli.printing import command, print_fields, print_json, print_page, print_table, safe
from core.cli.sending import send_standard
from core.model import strict_json
from core.model.errors import InvalidRequest, UnreadableBody
from core.model.outcomes import EventStatus
from core.pipeline.replay import Replayed, is_of_rejected
from core.pipeline.undelivered import add_not_delivered
from core.store.reading.events import EventFilter, list_events, show_event

events = click.Group("events", help="Facts the CRMs told us: send one, list, show, replay.")

_COLUMNS = ("accepted_at", "id", "type", "source", "record_id", "unit", "status", "status_reason")


@command(events, "send")
@click.argument("source")
@click.argument("event_type", metavar="TYPE")
@click.option("--data", help="The record's fields as a JSON object, its id among them.")
@click.option("--file", "file", type=click.File("rb"), help="A file with that JSON object; - is standard input.")
@click.option("--id", "message_id", help="The webhook-id; the same id again is a duplicate.")
@click.option("--at", type=INSTANT, help="When it happened, such as 2026-11-22T08:30:00+08:00.  [default: now]")
@click.option("--url", help="The server's URL.  [default: OUTRIGGER_PUBLIC_URL]")
@click.pass_context
def send(
    ctx: click.Context,
    source: str,
    event_type: str,
    data: str | None,
    file: BinaryIO | None,
    message_id: str | None,
    at: datetime | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Send an event to the running server, signed with the source's first secret like a CRM's webhook."""
    if (data is None) == (file is None):
        raise click.UsageError("Give the record's fields either by --data or by --file.")
    raw = data.encode() if data is not None else file.read() if file is not None else b""
    try:
        fields = strict_json.loads(raw)
    except UnreadableBody as error:
        raise click.UsageError(error.message.replace("The body", "What you sent")) from None
    if not isinstance(fields, dict):
        raise click.UsageError('The record\'s fields are a JSON object, such as {"id": "L-1", "company": "…"}.')
    found = session(ctx)
    sent = send_standard(
        found.configuration(), source, event_type, fields, now=found.clock.now(), at=at, url=url, message_id=message_id
    )
    if as_json:
        print_json({"status": sent.status, **sent.answer})
    elif sent.is_ok:
        rejected = bool(sent.answer.get("rejected"))
        state = "rejected; `outrigger events show` says why" if rejected else "accepted"
        state = "known already" if sent.status == 200 else state
        for identity in sent.event_ids:
            click.echo(f"{identity}  {state}")
    if not sent.is_ok:
        if not as_json:
            click.echo(f"Refused with {sent.status}: {safe(sent.detail)}", err=True)
        ctx.exit(1)


@command(events, "list")
@click.option("--type", "type", help="Only this type, such as lead.created.")
@click.option("--source")
@click.option("--unit")
@click.option("--status", type=click.Choice([item.value for item in EventStatus]))
@click.option("--record", help="Only this record, written kind/id.")
@click.option("--since", type=INSTANT, help="Accepted at or after this instant.")
@click.option("--until", type=INSTANT, help="Accepted before this instant.")
@paging
@click.pass_context
def list_(ctx: click.Context, /, cursor: str | None, limit: int, as_json: bool, **filters: Any) -> None:
    """List events, newest first."""
    with session(ctx).database.read() as connection:
        page = list_events(connection, _filter(**filters), cursor=cursor, limit=limit, look=None)
    print_page(page.as_dict(), _COLUMNS, as_json, "No events fit.")


@command(events, "show")
@click.argument("event_id")
@click.pass_context
def show(ctx: click.Context, event_id: str, as_json: bool) -> None:
    """Show one event with everything that came of it."""
    with session(ctx).database.read() as connection:
        event = show_event(connection, event_id)
        add_not_delivered(connection, [event], replayer(ctx).plugins())
    if as_json:
        print_json(event)
        return
    lists = ("deliveries", "not_delivered", "decisions", "messages", "follow_ups", "errors")
    print_fields((name.replace("_", " "), value) for name, value in event.items() if name not in lists)
    _section("Faults", event["errors"], ("path", "message"))
    _section("Deliveries", event["deliveries"], ("id", "plugin", "unit", "standing", "attempts", "reason"))
    if event["not_delivered"]:
        click.echo("\nNot delivered")
        print_fields((item["plugin"], item["reason"]) for item in event["not_delivered"])
    _section("Decisions", event["decisions"], ("id", "plugin", "decision", "outcome", "summary"))
    _section("Messages", event["messages"], ("id", "effect", "target", "status", "attempts", "reason"))
    _section("Follow-ups", event["follow_ups"], ("id", "type", "status"))


def _section(title: str, rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    if rows:
        click.echo(f"\n{title}")
        print_table(rows, columns)


@command(events, "replay")
@click.argument("event_id", required=False)
@click.option("--type", "type", help="Replay every event of this type …")
@click.option("--source", help="… of this source")
@click.option("--unit", help="… of this unit")
@click.option("--record", help="… of this record, written kind/id")
@click.option("--since", type=INSTANT, help="… accepted at or after this instant")
@click.option("--until", type=INSTANT, help="… accepted before this instant.")
@click.option(
    "--status",
    type=click.Choice([EventStatus.DISPATCHED.value, EventStatus.REJECTED.value]),
    help="`rejected`: map rejected events again; those that map are accepted as new events.",
)
@click.option("--plugin", help="Only this plugin.")
@click.option("--outward", is_flag=True, help="Let the replay's messages leave the house.")
@click.option("--yes", is_flag=True, help="Run a set without asking after the estimate.")
@click.pass_context
def replay(
    ctx: click.Context,
    /,
    event_id: str | None,
    plugin: str | None,
    outward: bool,
    yes: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """Dispatch one stored event again, or a filtered set after an estimate; map rejected ones again."""
    has_filter = any(value is not None for value in filters.values())
    if (event_id is not None) == has_filter:
        raise click.UsageError(
            "Name one event, or say by --type, --source, --unit, --record, --since, --status which ones."
        )
    work = replayer(ctx)
    if event_id is not None:
        _report(work.replay_event(event_id, plugin=plugin, outward=outward, actor=person()), as_json)
        return
    chosen = _filter(**filters)
    found = work.estimate(chosen, plugin=plugin)
    summary = {
        "events": found.events,
        "deliveries": found.deliveries,
        "by_type": dict(found.by_type),
        "by_plugin": dict(found.by_plugin),
        "outward": outward,
    }
    if not as_json:
        print_fields((name.replace("_", " "), value) for name, value in summary.items())
    if not (found.events if is_of_rejected(chosen) else found.deliveries):
        if as_json:
            print_json({"estimate": summary})
        else:
            click.echo("There is nothing to replay.")
        return
    if not yes:
        if as_json:
            print_json({"estimate": summary})
            return
        verb = "Map" if is_of_rejected(chosen) else "Replay"
        click.confirm(f"{verb} {found.events} events{' again' if verb == 'Map' else ''} now?", abort=True)
    with click.progressbar(length=found.events, label="Replaying", file=sys.stderr) as bar:

        def progress(at: int, _total: int) -> None:
            bar.update(at - bar.pos)

        done = work.replay_set(chosen, found, plugin=plugin, outward=outward, progress=progress, actor=person())
    _report(done, as_json)


def _report(done: Replayed, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "events": done.events,
                "deliveries": [f"dlv_{number}" for number in done.deliveries],
                "accepted": done.accepted,
                "still_rejected": done.still_rejected,
                "reasons": done.reasons,
            }
        )
    elif done.still_rejected or len(done.accepted) > 1:
        click.echo(f"{len(done.accepted)} map now and were accepted; {done.still_rejected} are still rejected.")
        for reason, count in sorted(done.reasons.items(), key=lambda item: -item[1]):
            click.echo(f"{count:>6}  {safe(reason)}")
    elif done.accepted:
        click.echo(f"It maps now and was accepted: {', '.join(done.accepted)}")
    else:
        click.echo(f"{done.events} events, {len(done.deliveries)} new deliveries.")


def _filter(
    *,
    type: str | None = None,
    source: str | None = None,
    unit: str | None = None,
    status: str | None = None,
    record: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> EventFilter:
    kind, record_id = None, None
    if record is not None:
        kind, slash, record_id = record.partition("/")
        if not (kind and slash and record_id):
            raise InvalidRequest("Write a record as kind/id, such as lead/L-1.")
    return EventFilter(
        type=type, source=source, unit=unit, status=status, kind=kind, record_id=record_id, since=since, until=until
    )
