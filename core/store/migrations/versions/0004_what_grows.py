"""Indexes that keep looking in, upkeep and pruning as fast with years of events as with none; retention.

On PostgreSQL with rows in the tables this runs outside a transaction, and old workers go on meanwhile.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.store.columns import BigId, InstantColumn, JsonColumn
from core.store.index_builds import Index, build_indexes, is_apart

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BUILDS_INDEXES_ON = "events"
"""Rows in this table are the sign that building takes long, so that writers must not wait for it."""

WAITING, QUARANTINED = "status = 'waiting'", "status = 'quarantined'"
REPLAYED, CAUSED, LEADS = "generation > 0", "caused_by IS NOT NULL", "kind = 'lead'"
OPEN = "status IN ('available', 'quarantined', 'retryable', 'scheduled', 'waiting')"
INDEXES: tuple[Index, ...] = (
    ("ix_events_type", "events", ["type", "seq"], None),
    ("ix_events_unit", "events", ["unit", "seq"], None),
    ("ix_events_caused_by", "events", ["caused_by"], CAUSED),
    ("ix_deliveries_replayed", "deliveries", ["kind", "record_id", "source", "id"], REPLAYED),
    ("ix_deliveries_standing", "deliveries", ["kind", "record_id", "source", "plugin", "unit", "event_seq"], OPEN),
    ("ix_deliveries_overdue", "deliveries", ["wait_until"], WAITING),
    ("ix_deliveries_quarantined", "deliveries", ["unit", "plugin", "id"], QUARANTINED),
    ("ix_records_name", "records", ["kind", "record_id"], None),
    ("ix_records_leads", "records", ["unit", "updated_at"], LEADS),
    ("ix_deliveries_unit", "deliveries", ["unit", "id"], None),
    ("ix_decisions_unit", "decisions", ["unit", "id"], None),
    ("ix_decisions_event", "decisions", ["event_seq"], None),
    ("ix_outbox_event", "outbox", ["event_seq"], None),
    ("ix_event_keys_removed_at", "event_keys", ["removed_at"], None),
    ("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"], None),
    ("ix_timers_standing", "timers", ["status", "due_at", "id"], None),
)
REPLACED: tuple[tuple[str, str, list[str], str], ...] = (
    ("ix_timers_due", "timers", ["due_at"], "status = 'pending'"),
    ("ix_deliveries_open", "deliveries", ["kind", "record_id", "source", "plugin", "unit"], OPEN),
)


def upgrade() -> None:
    """Build what is missing; a build that was broken off before is begun again."""
    bind = op.get_bind()
    if not sa.inspect(bind).has_table("retention_runs"):
        op.create_table(
            "retention_runs",
            sa.Column("day", sa.Text(), nullable=False),
            sa.Column("removed", JsonColumn(), nullable=False),
            sa.Column("up_to", BigId, nullable=False),
            sa.Column("held_by", sa.Text(), nullable=True),
            sa.Column("finished_at", InstantColumn(), nullable=True),
            sa.PrimaryKeyConstraint("day", name="pk_retention_runs"),
            comment="what retention removed, day by day",
        )
    if "removed_at" not in {column["name"] for column in sa.inspect(bind).get_columns("event_keys")}:
        op.add_column("event_keys", sa.Column("removed_at", InstantColumn(), nullable=True))
    if not sa.inspect(bind).has_table("record_baselines"):
        op.create_table(
            "record_baselines",
            sa.Column("source", sa.Text(), nullable=False),
            sa.Column("kind", sa.Text(), nullable=False),
            sa.Column("record_id", sa.Text(), nullable=False),
            sa.Column("seq", BigId, autoincrement=False, nullable=False),
            sa.Column("snapshot", sa.Text(), nullable=False),
            sa.Column("versions", sa.Text(), nullable=False),
            sa.Column("own", sa.Text(), nullable=False),
            sa.PrimaryKeyConstraint("source", "kind", "record_id", "seq", name="pk_record_baselines"),
            comment="records folded up to an event, so that folding begins there and what lies before can be pruned",
        )
    build_indexes(INDEXES)
    for name, table, *_ in REPLACED:
        op.drop_index(name, table, if_exists=True, postgresql_concurrently=is_apart())


def downgrade() -> None:
    """Put back what was replaced and drop the others; records fold from their first event again."""
    for name, table, columns, condition in REPLACED:
        where = sa.text(condition)
        op.create_index(name, table, columns, unique=False, sqlite_where=where, postgresql_where=where)
    for name, table, *_ in INDEXES:
        op.drop_index(name, table)
    op.drop_table("record_baselines")
    op.drop_table("retention_runs")
    op.drop_column("event_keys", "removed_at")
