"""The plugin's tables: cases, what happened to each, and the row that full-text search reads for each."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from core.api import InstantColumn, JsonColumn

BigNumber = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


class Base(DeclarativeBase):
    """The base of this plugin's tables only."""


class Case(Base):
    """One case of the library: what happened, and what the next person can learn from it."""

    __tablename__ = "case_capture_cases"
    __table_args__ = (
        sa.Index("ix_case_capture_cases_list", "unit", "status", "updated_at", "id"),
        sa.Index("ix_case_capture_cases_record", "source", "record_kind", "record_id"),
    )

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    unit: Mapped[str] = mapped_column(sa.Text)
    kind: Mapped[str] = mapped_column(sa.Text)  # complaint, won_deal, lost_deal
    status: Mapped[str] = mapped_column(sa.Text)
    version: Mapped[int] = mapped_column(sa.Integer)
    title: Mapped[str] = mapped_column(sa.Text)
    fields: Mapped[Any] = mapped_column(JsonColumn)
    edited: Mapped[Any] = mapped_column(JsonColumn)  # names of what a person wrote; the CRM never overwrites those
    missing: Mapped[Any] = mapped_column(JsonColumn)
    language: Mapped[str] = mapped_column(sa.Text)
    product: Mapped[str | None] = mapped_column(sa.Text)
    alloy: Mapped[str | None] = mapped_column(sa.Text)
    industry: Mapped[str | None] = mapped_column(sa.Text)
    source: Mapped[str] = mapped_column(sa.Text)
    record_kind: Mapped[str] = mapped_column(sa.Text)
    record_id: Mapped[str] = mapped_column(sa.Text)
    event_id: Mapped[str] = mapped_column(sa.Text)
    occurred_at: Mapped[datetime] = mapped_column(InstantColumn)
    created_at: Mapped[datetime] = mapped_column(InstantColumn)
    updated_at: Mapped[datetime] = mapped_column(InstantColumn)
    reviewed_by: Mapped[str | None] = mapped_column(sa.Text)
    published_by: Mapped[str | None] = mapped_column(sa.Text)
    published_at: Mapped[datetime | None] = mapped_column(InstantColumn)
    duplicate_of: Mapped[str | None] = mapped_column(sa.Text)  # the nearest of `duplicates`
    duplicates: Mapped[Any] = mapped_column(JsonColumn)  # possible duplicates: case_id, similarity
    doubt: Mapped[str | None] = mapped_column(sa.Text)  # why a person should look again
    proposed: Mapped[Any] = mapped_column(JsonColumn, nullable=True)  # what the CRM says since, not taken over


class CaseHistory(Base):
    """One change of one case: who, when, from which state to which, and why."""

    __tablename__ = "case_capture_history"

    case_id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    version: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    step: Mapped[str] = mapped_column(sa.Text)
    from_status: Mapped[str | None] = mapped_column(sa.Text)
    to_status: Mapped[str] = mapped_column(sa.Text)
    actor: Mapped[str] = mapped_column(sa.Text)
    reason: Mapped[str] = mapped_column(sa.Text)
    changed: Mapped[Any] = mapped_column(JsonColumn)  # names of the fields, never their texts
    at: Mapped[datetime] = mapped_column(InstantColumn)


class CaseSearch(Base):
    """What search knows of one case.

    The engine's index (FTS5 kept by triggers, or GIN) reads `tokens`, the ranking `terms` and `length`.
    The key is a whole number because FTS5 names its rows so; it is made from the case's id.
    """

    __tablename__ = "case_capture_search"
    __table_args__ = (sa.Index("ix_case_capture_search_scope", "unit", "status", "kind", "length"),)

    number: Mapped[int] = mapped_column(BigNumber, primary_key=True, autoincrement=False)
    case_id: Mapped[str] = mapped_column(sa.Text)
    unit: Mapped[str] = mapped_column(sa.Text)
    status: Mapped[str] = mapped_column(sa.Text)
    kind: Mapped[str] = mapped_column(sa.Text)
    length: Mapped[int] = mapped_column(sa.Integer)
    terms: Mapped[Any] = mapped_column(JsonColumn)  # term -> weight in this case
    tokens: Mapped[str] = mapped_column(sa.Text)
