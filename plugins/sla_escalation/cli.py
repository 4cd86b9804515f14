"""`outrigger sla-escalation …`: list clocks, have one explain itself, sum promises up, and recompute."""

from __future__ import annotations

import getpass
from datetime import datetime
from typing import Any

import click

from core.api import InvalidRequest, current_desk, hookimpl, print_json, print_table

from .commands import recompute as ask_to_recompute
from .models import ClockRow
from .reading import Filters, as_json, lines_of, list_clocks, read_clock, rules_of
from .reading import summary as read_summary
from .schemas import STATES
from .words import STATES as STATE_WORDS

_json = click.option("--json", "as_json_text", is_flag=True, help="Print JSON.")
_language = click.option("--language", type=click.Choice(["zh", "en"]), default="en", show_default=True)


@click.group(name="sla-escalation")
def group() -> None:
    """SLA clocks (时限): where each stands and why, and how promises were kept."""


@hookimpl
def register_commands() -> click.Group:
    """Contribute `outrigger sla-escalation …`."""
    return group


@group.command(name="list")
@click.option("--state", type=click.Choice(STATES), default="open", show_default=True)
@click.option("--unit")
@click.option("--clock", help="Only this clock, such as complaint_first_response.")
@click.option("--policy")
@click.option("--kind", type=click.Choice(["lead", "quote", "order", "complaint"]))
@click.option("--source", help="Only records of this CRM connection.")
@click.option("--record", "record_id", help="Only the clocks of this record.")
@click.option("--due-before", help="An instant such as 2026-12-01T00:00:00+08:00.")
@click.option("--cursor", help="Where the next page begins, as the last one said.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)
@_json
def list_command(due_before: str | None, cursor: str | None, limit: int, as_json_text: bool, **narrow: Any) -> None:
    """List clocks, the earliest due first."""
    desk = current_desk()
    now = desk.now()
    filters = Filters(**narrow, due_before=_instant(due_before) if due_before else None)
    with desk.read() as session:
        page, following = list_clocks(session, filters, now, cursor=cursor, limit=limit)
        rules = rules_of(session, page)
        items = [as_json(row, rules[row.rule], desk, now) for row in page]
        rows = [_row(row, item) for row, item in zip(page, items, strict=True)]
    if as_json_text:
        print_json({"items": items, "next": following})
        return
    print_table(rows, ("due", "state", "record", "policy", "unit", "clock"))
    click.echo(f"{len(page)} clocks" + (f"; more with --cursor {following}" if following else ""))


@group.command()
@click.argument("clock_id")
@_json
def show(clock_id: str, as_json_text: bool) -> None:
    """Show the figures of one clock."""
    desk = current_desk()
    with desk.read() as session:
        row = read_clock(session, clock_id)
        item = as_json(row, rules_of(session, [row])[row.rule], desk, desk.now(), explained=as_json_text)
    if as_json_text:
        print_json(item)
        return
    for name, value in item.items():
        click.echo(f"{name:<12} {value}")


@group.command()
@click.argument("name")
@_language
@_json
def explain(name: str, language: str, as_json_text: bool) -> None:
    """Have a clock explain itself: by its id, or all clocks of a record by the record's id."""
    desk = current_desk()
    now = desk.now()
    with desk.read() as session:
        if name.startswith("clk_"):
            rows = [read_clock(session, name)]
        else:
            rows, _ = list_clocks(session, Filters(record_id=name), now, limit=200)
        if not rows:
            raise InvalidRequest(f'No clock ever ran for a record "{name[:80]}", and no clock has this id.')
        rules = rules_of(session, rows)
        if as_json_text:
            print_json({"items": [as_json(row, rules[row.rule], desk, now, explained=True) for row in rows]})
            return
        told = [lines_of(row, rules[row.rule], desk, now, language) for row in rows]
    click.echo("\n\n".join("\n".join([lines[0], *(f"  {line}" for line in lines[1:])]) for lines in told))


@group.command()
@click.option("--unit")
@click.option("--policy")
@click.option("--month", help="A month such as 2026-11.")
@_json
def summary(unit: str | None, policy: str | None, month: str | None, as_json_text: bool) -> None:
    """Show how promises were kept, by month, unit and policy."""
    desk = current_desk()
    with desk.read() as session:
        items = read_summary(session, desk.now(), unit=unit, policy=policy, month=month)
    if as_json_text:
        print_json({"items": items})
        return
    print_table(
        [_summed(item) for item in items], ("month", "unit", "policy", "met", "missed", "over", "open", "in time")
    )


@group.command()
@click.option("--unit", required=True, help="The business unit whose open clocks are recomputed.")
@click.option("--reason", required=True, help="Why, for the trail.")
@click.option("--as", "who", default=lambda: "cli:" + getpass.getuser(), help="Who does it.")
@_json
def recompute(unit: str, reason: str, who: str, as_json_text: bool) -> None:
    """Have a unit's open clocks recomputed by today's policies and calendar."""
    records = ask_to_recompute(current_desk(), unit, actor=who, reason=reason)
    if as_json_text:
        print_json({"records": records, "unit": unit})
    else:
        click.echo(f"asked for {records} records of {unit}; each change becomes a decision of its record")


def _instant(text: str) -> datetime:
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        read = None
    if read is None or read.tzinfo is None:
        raise click.UsageError(f'"{text}" is no instant; write it with its offset, such as 2026-12-01T00:00:00+08:00.')
    return read


def _row(row: ClockRow, item: dict[str, Any]) -> dict[str, Any]:
    zh, en = STATE_WORDS[item["state"]]
    hours = current_desk().calendar(row.unit)
    due = hours.local(row.due_at).isoformat(" ", "minutes") if row.due_at else "-"  # with the offset: units differ
    return {
        "due": due, "state": f"{zh} {en}", "record": row.record_id, "policy": row.policy, "unit": row.unit,
        "clock": row.id,
    }  # fmt: skip


def _summed(item: dict[str, Any]) -> dict[str, Any]:
    share = "-" if item["in_time_percent"] is None else f"{item['in_time_percent']} %"
    mark = "" if item["reached"] in (None, True) else f", below the goal of {item['goal_percent']} %"
    plain = {name: item[name] for name in ("month", "unit", "policy", "met", "missed", "open")}
    return {**plain, "over": item["breached"], "in time": share + mark}
