"""What the three ledger plugins share: their table, their settings, and one row and one decision for every event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import marshmallow as ma
import sqlalchemy as sa

from core.api import Context, Decide, Effect, Event


@dataclass(frozen=True, slots=True)
class Config:
    """What a handled event leaves behind; a benchmark may want less than a crash campaign."""

    rows: bool
    decisions: bool
    every: int  # every so many events of a record start a timer or emit a follow-up; 0: never


class ConfigSchema(ma.Schema):
    """The keys of a ledger plugin."""

    rows = ma.fields.Boolean(load_default=True)
    decisions = ma.fields.Boolean(load_default=True)
    every = ma.fields.Integer(load_default=0, strict=True)


def ledger_table(plugin: str) -> sa.Table:
    """Describe a plugin's ledger. It has no unique key on purpose: a doubled effect must be able to show itself."""
    return sa.Table(
        f"{plugin}_rows",
        sa.MetaData(),
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("record_id", sa.Text, nullable=False),
    )


def keep(event: Event[Any], ctx: Context[Config], table: sa.Table) -> list[Effect]:
    """Write the event into the ledger and decide something about it."""
    if ctx.config.rows:
        ctx.session.insert(table, event_id=event.id, type=event.type, record_id=event.record_id)  # type: ignore[arg-type]
    if not ctx.config.decisions:
        return []
    return [Decide(kind="ledger", outcome="kept", summary=event.type, rule="ledger.keep", inputs={"type": event.type})]


def number_of(event: Event[Any]) -> int | None:
    """Return the number the sender gave the event among those of its record; None for follow-ups and timers."""
    extra = getattr(event.data, "extra", None)
    number = extra.get("n") if isinstance(extra, Mapping) else None
    return number if isinstance(number, int) else None


def is_chosen(event: Event[Any], ctx: Context[Config]) -> bool:
    """Whether this is one of the events that start something further."""
    number = number_of(event)
    return bool(ctx.config.every) and number is not None and number % ctx.config.every == 0
