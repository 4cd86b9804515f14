"""The plugin's tables: every quote's newest request, the requests, and who was asked."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from core.api import InstantColumn, JsonColumn


class Base(DeclarativeBase):
    """The base of this plugin's tables only."""


class QuoteState(Base):
    """Which request of a quote is the newest, and whether the quote itself has come to its end."""

    __tablename__ = "quote_approval_quotes"

    source: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    record_id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    round: Mapped[int] = mapped_column(sa.Integer)  # how many requests there were
    request_id: Mapped[str | None] = mapped_column(sa.Text)
    ended_as: Mapped[str | None] = mapped_column(sa.Text)  # accepted, rejected or expired, as the CRM said
    ended_at: Mapped[datetime | None] = mapped_column(InstantColumn)
    submitted_at: Mapped[datetime | None] = mapped_column(InstantColumn)  # when it was last handed in, by the CRM


class Request(Base):
    """One content of one quote as it was handed in, how it was routed, and what became of it.

    `version` rises whenever what is asked changes: with every level, question, answer and end. A decision names the
    version it was made on. `route` holds the levels as the table gave them: `[{"who": […], "need": n}]`.
    """

    __tablename__ = "quote_approval_requests"
    __table_args__ = (
        sa.Index("ix_quote_approval_requests_list", "unit", "status", "created_at", "id"),
        sa.Index("ix_quote_approval_requests_record", "source", "record_id"),
    )

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    source: Mapped[str] = mapped_column(sa.Text)
    record_id: Mapped[str] = mapped_column(sa.Text)
    unit: Mapped[str] = mapped_column(sa.Text)
    status: Mapped[str] = mapped_column(sa.Text)
    version: Mapped[int] = mapped_column(sa.Integer)
    content_hash: Mapped[str] = mapped_column(sa.Text)
    content: Mapped[Any] = mapped_column(JsonColumn)
    owner: Mapped[str | None] = mapped_column(sa.Text)
    customer: Mapped[str | None] = mapped_column(sa.Text)
    facts: Mapped[Any] = mapped_column(JsonColumn)
    faults: Mapped[Any] = mapped_column(JsonColumn)  # why it was returned
    rule: Mapped[str] = mapped_column(sa.Text)
    reason: Mapped[str] = mapped_column(sa.Text)
    near_misses: Mapped[Any] = mapped_column(JsonColumn)
    route: Mapped[Any] = mapped_column(JsonColumn)
    level: Mapped[int] = mapped_column(sa.Integer)  # the one that is asked, from 1; 0 when nobody was
    stuck: Mapped[str | None] = mapped_column(sa.Text)  # why nobody can be asked
    asked_at: Mapped[datetime | None] = mapped_column(InstantColumn)
    deadline_at: Mapped[datetime | None] = mapped_column(InstantColumn)
    overdue: Mapped[bool] = mapped_column(sa.Boolean)
    question: Mapped[str | None] = mapped_column(sa.Text)
    answer: Mapped[str | None] = mapped_column(sa.Text)
    decided_by: Mapped[str | None] = mapped_column(sa.Text)
    comment: Mapped[str | None] = mapped_column(sa.Text)
    accepted_at: Mapped[datetime] = mapped_column(InstantColumn)  # of the event that made it
    created_at: Mapped[datetime] = mapped_column(InstantColumn)
    updated_at: Mapped[datetime] = mapped_column(InstantColumn)
    event_id: Mapped[str] = mapped_column(sa.Text)


class Asked(Base):
    """One person who was asked: for which place of which level, why this person, and what came of it."""

    __tablename__ = "quote_approval_steps"
    __table_args__ = (sa.Index("ix_quote_approval_steps_person", "person", "state"),)

    request_id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    level: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    slot: Mapped[int] = mapped_column(sa.Integer, primary_key=True)  # the place within the level's `who`
    person: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    name: Mapped[str] = mapped_column(sa.Text)
    via: Mapped[str] = mapped_column(sa.Text)  # level, manager, fallback, stand_in or admin
    asked: Mapped[str] = mapped_column(sa.Text)  # whom the table asked for
    path: Mapped[Any] = mapped_column(JsonColumn)  # how that led to this person
    asked_at: Mapped[datetime] = mapped_column(InstantColumn)
    state: Mapped[str] = mapped_column(sa.Text)  # open, approved, rejected, or passed: another decided in that place
    decided_at: Mapped[datetime | None] = mapped_column(InstantColumn)
    comment: Mapped[str | None] = mapped_column(sa.Text)
    how: Mapped[str | None] = mapped_column(sa.Text)  # api, cli or link
