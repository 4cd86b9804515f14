"""The index that finds what waited for a delivery, however many of its record stand open.

On PostgreSQL with rows in the table this runs outside a transaction, and old workers go on meanwhile.
"""

from __future__ import annotations

from alembic import op

from core.store.index_builds import Index, build_indexes

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BUILDS_INDEXES_ON = "deliveries"
"""Rows in this table are the sign that building takes long, so that writers must not wait for it."""

# By its status, PostgreSQL would also read by it whatever is asked of those that wait, and sort what it finds.
INDEXES: tuple[Index, ...] = (("ix_deliveries_waiting_for", "deliveries", ["waiting_for"], "waiting_for IS NOT NULL"),)


def upgrade() -> None:
    """Build it."""
    build_indexes(INDEXES)


def downgrade() -> None:
    """Drop it."""
    for name, table, *_ in INDEXES:
        op.drop_index(name, table)
