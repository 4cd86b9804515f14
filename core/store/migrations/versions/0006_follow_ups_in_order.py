"""The index that finds follow-up events in the order in which they were written, whatever clock they bear.

On PostgreSQL with rows in the table this runs outside a transaction, and old workers go on meanwhile.
"""

from __future__ import annotations

from alembic import op

from core.store.index_builds import Index, build_indexes, is_apart

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

BUILDS_INDEXES_ON = "outbox"
"""Rows in this table are the sign that building takes long, so that writers must not wait for it."""

_WAITING = "status IN ('available', 'retryable') AND target = 'inbox'"
INDEXES: tuple[Index, ...] = (("ix_outbox_inbox", "outbox", ["seq"], _WAITING),)
REPLACED: tuple[Index, ...] = (("ix_outbox_follow_ups", "outbox", ["due_at", "seq"], _WAITING),)


def upgrade() -> None:
    """Build it, and drop the one by the time; an older courier finds the same rows by the index of what is due."""
    build_indexes(INDEXES)
    for name, table, *_ in REPLACED:
        op.drop_index(name, table, if_exists=True, postgresql_concurrently=is_apart())


def downgrade() -> None:
    """Build the one before and drop this one."""
    build_indexes(REPLACED)
    for name, table, *_ in INDEXES:
        op.drop_index(name, table)
