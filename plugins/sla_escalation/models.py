"""The plugin's tables: the signals of every record, its clocks, and the rules that running clocks keep."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from core.api import InstantColumn, JsonColumn


class Base(DeclarativeBase):
    """The base of this plugin's tables only."""


class Watch(Base):
    """A record that is watched: what its events said, in the order in which it happened."""

    __tablename__ = "sla_escalation_records"

    source: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    kind: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    record_id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    unit: Mapped[str] = mapped_column(sa.Text)
    signals: Mapped[Any] = mapped_column(JsonColumn)
    updated_at: Mapped[datetime] = mapped_column(InstantColumn)


class ClockRow(Base):
    """One round of one clock of one record in one unit."""

    __tablename__ = "sla_escalation_clocks"
    __table_args__ = (
        sa.Index("ix_sla_escalation_clocks_record", "source", "kind", "record_id"),
        sa.Index("ix_sla_escalation_clocks_list", "unit", "state", "due_at"),
        sa.Index("ix_sla_escalation_clocks_due", "state", "due_at"),
        sa.Index("ix_sla_escalation_clocks_month", "month", "unit", "policy"),
    )

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    unit: Mapped[str] = mapped_column(sa.Text)
    source: Mapped[str] = mapped_column(sa.Text)
    kind: Mapped[str] = mapped_column(sa.Text)
    record_id: Mapped[str] = mapped_column(sa.Text)
    clock: Mapped[str] = mapped_column(sa.Text)
    policy: Mapped[str] = mapped_column(sa.Text)
    round: Mapped[int] = mapped_column(sa.Integer)
    state: Mapped[str] = mapped_column(sa.Text)
    started_at: Mapped[datetime] = mapped_column(InstantColumn)
    started_by: Mapped[str] = mapped_column(sa.Text)
    due_at: Mapped[datetime | None] = mapped_column(InstantColumn)  # None while a pause leaves it open
    anchor_at: Mapped[datetime | None] = mapped_column(InstantColumn)  # what a clock that counts backwards counts from
    ended_at: Mapped[datetime | None] = mapped_column(InstantColumn)
    ended_by: Mapped[str | None] = mapped_column(sa.Text)
    ended_as: Mapped[str | None] = mapped_column(sa.Text)  # stop or cancel
    learned_at: Mapped[datetime | None] = mapped_column(InstantColumn)  # when the end was known here
    reason: Mapped[str | None] = mapped_column(sa.Text)  # why it was cancelled or handed over
    rule: Mapped[str] = mapped_column(sa.Text)  # of the rules' table
    facts: Mapped[Any] = mapped_column(JsonColumn)  # by which the policy was chosen
    missed: Mapped[Any] = mapped_column(JsonColumn)  # why each policy before it was not
    segments: Mapped[Any] = mapped_column(JsonColumn)
    told: Mapped[Any] = mapped_column(JsonColumn)  # moments that people were told of
    timer_at: Mapped[datetime | None] = mapped_column(InstantColumn)
    month: Mapped[str] = mapped_column(sa.Text)  # of its start, in the unit's calendar
    updated_at: Mapped[datetime] = mapped_column(InstantColumn)


class KeptRule(Base):
    """A clock's definition with one policy as it was when a clock started; the id is made from the text."""

    __tablename__ = "sla_escalation_rules"

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    body: Mapped[Any] = mapped_column(JsonColumn)
    first_used_at: Mapped[datetime] = mapped_column(InstantColumn)
