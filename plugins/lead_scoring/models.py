"""The plugin's tables: what every lead was graded, and whose turn it is in every pool of reps."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from core.api import InstantColumn, JsonColumn


class Base(DeclarativeBase):
    """The plugin's own metadata, so that it migrates apart from every other table."""


class LeadScore(Base):
    """The newest grade of one lead; the whole history is in the decisions.

    `unit`, `pool`, `grid` and `grade` tell the next grading what it may leave as it is. `score`, `grade` and
    `owner` are empty for a lead that was closed before it was ever graded.
    """

    __tablename__ = "lead_scoring_scores"
    __table_args__ = (sa.Index("ix_lead_scoring_scores_listing", "unit", "grade", "score"),)

    source: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    record_id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    unit: Mapped[str] = mapped_column(sa.Text)
    score: Mapped[int | None] = mapped_column(sa.Integer)
    grade: Mapped[str | None] = mapped_column(sa.Text)
    owner: Mapped[str | None] = mapped_column(sa.Text)
    pool: Mapped[str | None] = mapped_column(sa.Text)
    grid: Mapped[str | None] = mapped_column(sa.Text)
    reasons: Mapped[Any] = mapped_column(JsonColumn)
    near_misses: Mapped[Any] = mapped_column(JsonColumn)
    assignment: Mapped[str] = mapped_column(sa.Text)
    first_scored_at: Mapped[datetime | None] = mapped_column(InstantColumn)
    scored_at: Mapped[datetime] = mapped_column(InstantColumn)
    event_id: Mapped[str] = mapped_column(sa.Text)
    closed_as: Mapped[str | None] = mapped_column(sa.Text)
    closed_at: Mapped[datetime | None] = mapped_column(InstantColumn)


class Rotation(Base):
    """How many leads a pool has handed out by turns; the next one goes to that number modulo its length."""

    __tablename__ = "lead_scoring_rotations"

    unit: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    pool: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    position: Mapped[int] = mapped_column(sa.Integer)
