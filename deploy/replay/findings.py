"""Looks into a replay's database: what was decided, captured, left undone, and how it compares with what happened."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from core.model.outcomes import DeliveryStatus, EventStatus, OutboxStatus
from core.store import tables
from core.store.database import Database
from deploy.replay.book import Labels

FINE = (DeliveryStatus.COMPLETED, DeliveryStatus.CANCELLED, DeliveryStatus.SKIPPED)
SUPPRESSED = (OutboxStatus.SUPPRESSED,)


def decisions(database: Database) -> dict[str, dict[str, dict[str, int]]]:
    """Return how often each plugin decided what: plugin -> decision -> outcome -> count, the most frequent first."""
    table = tables.decisions.c
    count = sa.func.count().label("count")
    statement = (
        sa.select(table.plugin, table.decision, table.outcome, count)
        .group_by(table.plugin, table.decision, table.outcome)
        .order_by(table.plugin, table.decision, count.desc(), table.outcome)
    )
    found: dict[str, dict[str, dict[str, int]]] = {}
    with database.read() as connection:
        for plugin, decision, outcome, number in connection.execute(statement):
            found.setdefault(plugin, {}).setdefault(decision, {})[outcome] = number
    return found


def messages(database: Database) -> dict[str, int]:
    """Return how many messages were captured instead of sent, by effect and type."""
    table = tables.outbox.c
    statement = (
        sa.select(table.effect, table.type, sa.func.count())
        .where(table.target != "inbox", table.status.in_(SUPPRESSED))
        .group_by(table.effect, table.type)
        .order_by(table.effect, table.type)
    )
    with database.read() as connection:
        return {f"{effect} {kind}": count for effect, kind, count in connection.execute(statement)}


def problems(database: Database) -> dict[str, int]:
    """Return what went wrong, by what it is; empty when every delivery was completed and nothing would leave."""
    d, e, o = tables.deliveries.c, tables.events.c, tables.outbox.c
    with database.read() as connection:
        failed = connection.execute(
            sa.select(d.plugin, d.status, d.reason, sa.func.count())
            .where(d.status.not_in(FINE))
            .group_by(d.plugin, d.status, d.reason)
        ).fetchall()
        waiting = connection.execute(sa.select(sa.func.count()).where(e.status == EventStatus.ACCEPTED)).scalar_one()
        outward = connection.execute(
            sa.select(sa.func.count()).where(o.target != "inbox", o.status.not_in(SUPPRESSED))
        ).scalar_one()
    found = {f"{plugin} {status}: {(reason or 'no reason')[:120]}": count for plugin, status, reason, count in failed}
    if waiting:
        found["events not dispatched"] = waiting
    if outward:
        found["messages that would leave"] = outward
    return found


def compare(database: Database, labels: Labels) -> dict[str, dict[str, Any]]:
    """Return, for each figure and decision, what really happened to the records by what was decided about them.

    `<figure> by <plugin> <decision>, first` -> outcome -> records, and the share of yes or the median of the figure.
    `…, ever` counts a record under every outcome it had; it is left out where that is the same.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, outcomes in _outcomes(database).items():
        views = {"first": {record: said[:1] for record, said in outcomes.items()}, "ever": outcomes}
        if views["first"] == views["ever"]:
            del views["ever"]
        for figure, values in labels.items():
            for view, chosen in views.items():
                groups = _groups(chosen, values)
                if groups:
                    found[f"{figure} by {name}, {view}"] = groups
    return found


def _groups(outcomes: Mapping[str, list[str]], values: Mapping[str, float]) -> dict[str, Any]:
    figure, average = (
        ("share", statistics.mean) if set(values.values()) <= {0.0, 1.0} else ("median", statistics.median)
    )
    groups: dict[str, list[float]] = defaultdict(list)
    for record_id, said in outcomes.items():
        if record_id in values:
            for outcome in said:
                groups[outcome].append(values[record_id])
    return {
        outcome: {"records": len(group), figure: round(average(group), 4)} for outcome, group in sorted(groups.items())
    }


def _outcomes(database: Database) -> dict[str, dict[str, list[str]]]:
    """Return plugin and decision -> record -> its different outcomes, in the order in which they came."""
    table = tables.decisions.c
    statement = sa.select(table.plugin, table.decision, table.record_id, table.outcome).order_by(table.id)
    found: dict[str, dict[str, list[str]]] = defaultdict(dict)
    with database.read() as connection:
        for plugin, decision, record_id, outcome in connection.execute(statement):
            said = found[f"{plugin} {decision}"].setdefault(record_id, [])
            if outcome not in said:
                said.append(outcome)
    return dict(sorted(found.items()))
