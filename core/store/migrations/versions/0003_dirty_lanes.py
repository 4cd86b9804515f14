"""A mark for each lane that has work, for workers on several machines. Old workers do not look at it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.store.columns import InstantColumn

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "dirty_lanes",
        sa.Column("lane", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("marked_at", InstantColumn(), nullable=False),
        sa.PrimaryKeyConstraint("lane", name="pk_dirty_lanes"),
    )


def downgrade() -> None:
    """Drop the table; marks are only wake-ups."""
    op.drop_table("dirty_lanes")
