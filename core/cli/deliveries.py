"""`outrigger deliveries` and `outrigger outbox`: what is on its way; retry or discard what is stuck."""

from __future__ import annotations

from typing import Any

import click

from core.cli.parts import interventions, paging, person, session
from core.cli.printing import command, print_fields, print_json, print_page, safe
from core.model.outcomes import DeliveryStatus, OutboxStatus
from core.store.reading.deliveries import DeliveryFilter, delivery_number, list_deliveries, show_delivery
from core.store.reading.outbox import MessageFilter, list_messages, show_message

deliveries = click.Group("deliveries", help="One event for one plugin: list, show, retry, discard.")
outbox = click.Group("outbox", help="Messages on their way out: list, retry, discard.")

_DELIVERY = ("id", "event_id", "plugin", "unit", "record_id", "standing", "attempts", "due_at", "reason")
_MESSAGE = ("id", "effect", "target", "type", "plugin", "unit", "record_id", "status", "attempts", "reason")


@command(deliveries, "list")
@click.option("--status", type=click.Choice([item.value for item in DeliveryStatus]))
@click.option("--plugin")
@click.option("--unit")
@click.option("--event", help="Only those of this event.")
@paging
@click.pass_context
def list_(ctx: click.Context, /, cursor: str | None, limit: int, as_json: bool, **filters: Any) -> None:
    """List deliveries, newest first."""
    with session(ctx).database.read() as connection:
        page = list_deliveries(connection, DeliveryFilter(**filters), cursor=cursor, limit=limit, look=None)
    print_page(page.as_dict(), _DELIVERY, as_json, "No deliveries fit.")


@command(deliveries, "show")
@click.argument("delivery_id")
@click.pass_context
def show(ctx: click.Context, delivery_id: str, as_json: bool) -> None:
    """Show one delivery, with file and line of its last failure."""
    with session(ctx).database.read() as connection:
        found = show_delivery(connection, delivery_number(delivery_id))
    if as_json:
        print_json(found)
        return
    print_fields((name.replace("_", " "), value) for name, value in found.items() if name != "trace")
    for line in (found["trace"] or "").splitlines():
        click.echo(safe(line))


@command(deliveries, "retry")
@click.argument("delivery_id")
@click.pass_context
def retry(ctx: click.Context, delivery_id: str, as_json: bool) -> None:
    """Run a delivery again that was given up or waits for its next attempt."""
    number = delivery_number(delivery_id)
    interventions(ctx).retry_delivery(number, actor=person())
    _show_delivery(ctx, number, as_json, "will run again")


@command(deliveries, "discard")
@click.argument("delivery_id")
@click.option("--reason", required=True, help="Why; it stays in the delivery.")
@click.pass_context
def discard(ctx: click.Context, delivery_id: str, reason: str, as_json: bool) -> None:
    """Give up an open delivery and let go what waits for it."""
    number = delivery_number(delivery_id)
    interventions(ctx).discard_delivery(number, actor=person(), reason=reason)
    _show_delivery(ctx, number, as_json, "is discarded")


def _show_delivery(ctx: click.Context, number: int, as_json: bool, now: str) -> None:
    if as_json:
        with session(ctx).database.read() as connection:
            print_json(show_delivery(connection, number))
    else:
        click.echo(f"dlv_{number} {now}.")


@command(outbox, "list")
@click.option("--status", type=click.Choice([item.value for item in OutboxStatus]))
@click.option("--effect")
@click.option("--target")
@click.option("--plugin")
@click.option("--unit")
@paging
@click.pass_context
def list_messages_(ctx: click.Context, /, cursor: str | None, limit: int, as_json: bool, **filters: Any) -> None:
    """List messages, newest first."""
    with session(ctx).database.read() as connection:
        page = list_messages(connection, MessageFilter(**filters), cursor=cursor, limit=limit, look=None)
    print_page(page.as_dict(), _MESSAGE, as_json, "No messages fit.")


@command(outbox, "retry")
@click.argument("message_id")
@click.pass_context
def retry_message(ctx: click.Context, message_id: str, as_json: bool) -> None:
    """Send a message again under its old id."""
    interventions(ctx).retry_message(message_id, actor=person())
    _show_message(ctx, message_id, as_json, "will be sent again")


@command(outbox, "discard")
@click.argument("message_id")
@click.option("--reason", required=True, help="Why; it stays in the message.")
@click.pass_context
def discard_message(ctx: click.Context, message_id: str, reason: str, as_json: bool) -> None:
    """Give up a message that waits to be sent."""
    interventions(ctx).discard_message(message_id, actor=person(), reason=reason)
    _show_message(ctx, message_id, as_json, "is discarded")


def _show_message(ctx: click.Context, message_id: str, as_json: bool, now: str) -> None:
    if as_json:
        with session(ctx).database.read() as connection:
            print_json(show_message(connection, message_id))
    else:
        click.echo(f"{message_id} {now}.")
