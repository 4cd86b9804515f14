"""Creates the tables for grades and for the turns of every pool."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "lead_scoring_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create both tables; instants are microseconds and JSON is text on either database."""
    op.create_table(
        "lead_scoring_scores",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("score", sa.Integer(), nullable=True),
        sa.Column("grade", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("pool", sa.Text(), nullable=True),
        sa.Column("grid", sa.Text(), nullable=True),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("near_misses", sa.Text(), nullable=False),
        sa.Column("assignment", sa.Text(), nullable=False),
        sa.Column("first_scored_at", sa.BigInteger(), nullable=True),
        sa.Column("scored_at", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("closed_as", sa.Text(), nullable=True),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("source", "record_id"),
    )
    op.create_index("ix_lead_scoring_scores_listing", "lead_scoring_scores", ["unit", "grade", "score"])
    op.create_table(
        "lead_scoring_rotations",
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("unit", "pool"),
    )


def downgrade() -> None:
    """Drop both tables."""
    op.drop_table("lead_scoring_rotations")
    op.drop_index("ix_lead_scoring_scores_listing", "lead_scoring_scores")
    op.drop_table("lead_scoring_scores")
