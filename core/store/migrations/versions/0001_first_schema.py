"""The first schema: events, deliveries, decisions, records, timers, outbox, configuration and access."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.store.columns import BigId, InstantColumn, JsonColumn

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table of the core."""
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("units", JsonColumn(), nullable=False),
        sa.Column("created_at", InstantColumn(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("revoked_at", InstantColumn(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("hash", name="uq_api_keys_hash"),
    )
    op.create_table(
        "config_versions",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("applied_at", InstantColumn(), nullable=False),
        sa.Column("applied_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("file_hash", sa.Text(), nullable=False),
        sa.Column("resolved", JsonColumn(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_config_versions"),
    )
    op.create_table(
        "decisions",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("event_seq", BigId, nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("plugin", sa.Text(), nullable=False),
        sa.Column("plugin_version", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("reasons", JsonColumn(), nullable=False),
        sa.Column("inputs", JsonColumn(), nullable=False),
        sa.Column("near_misses", JsonColumn(), nullable=False),
        sa.Column("config_version", sa.Integer(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", InstantColumn(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_decisions"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_decisions_record", "decisions", ["kind", "record_id", "source", "id"], unique=False)
    op.create_table(
        "deliveries",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("event_seq", BigId, nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("plugin", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("outward", sa.Boolean(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("trace", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", InstantColumn(), nullable=False),
        sa.Column("waiting_for", BigId, nullable=True),
        sa.Column("wait_until", InstantColumn(), nullable=True),
        sa.Column("out_of_order", sa.Boolean(), nullable=False),
        sa.Column("config_version", sa.Integer(), nullable=False),
        sa.Column("created_at", InstantColumn(), nullable=False),
        sa.Column("finished_at", InstantColumn(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sa.UniqueConstraint(
            "event_seq", "plugin", "unit", "generation", name="uq_deliveries_event_seq_plugin_unit_generation"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_deliveries_attention",
        "deliveries",
        ["status", "id"],
        unique=False,
        sqlite_where=sa.text("status IN ('cancelled', 'discarded', 'quarantined', 'waiting')"),
        postgresql_where=sa.text("status IN ('cancelled', 'discarded', 'quarantined', 'waiting')"),
    )
    op.create_index(
        "ix_deliveries_claim",
        "deliveries",
        ["due_at", "event_seq"],
        unique=False,
        sqlite_where=sa.text("status IN ('available', 'retryable', 'scheduled')"),
        postgresql_where=sa.text("status IN ('available', 'retryable', 'scheduled')"),
    )
    op.create_index(
        "ix_deliveries_open",
        "deliveries",
        ["kind", "record_id", "source", "plugin", "unit"],
        unique=False,
        sqlite_where=sa.text("status IN ('available', 'quarantined', 'retryable', 'scheduled', 'waiting')"),
        postgresql_where=sa.text("status IN ('available', 'quarantined', 'retryable', 'scheduled', 'waiting')"),
    )
    op.create_table(
        "event_keys",
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.Text(), nullable=False),
        sa.Column("accepted_at", InstantColumn(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name="pk_event_keys"),
        comment="ids of events that retention removed, so that duplicates are still known",
    )
    op.create_table(
        "events",
        sa.Column("seq", BigId, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("status_reason", sa.Text(), nullable=True),
        sa.Column("unit", sa.Text(), nullable=True),
        sa.Column("unit_reason", sa.Text(), nullable=True),
        sa.Column("occurred_at", InstantColumn(), nullable=False),
        sa.Column("occurred_at_original", sa.Text(), nullable=True),
        sa.Column("accepted_at", InstantColumn(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("completeness", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("outward", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("caused_by", sa.Text(), nullable=True),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("changed", sa.Text(), nullable=True),
        sa.Column("body_hash", sa.Text(), nullable=False),
        sa.Column("raw", sa.Text(), nullable=True),
        sa.Column("conflicts", sa.Integer(), nullable=False),
        sa.Column("conflict_raw", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("seq", name="pk_events"),
        sa.UniqueConstraint("id", name="uq_events_id"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_events_accepted",
        "events",
        ["seq"],
        unique=False,
        sqlite_where=sa.text("status = 'accepted'"),
        postgresql_where=sa.text("status = 'accepted'"),
    )
    op.create_index(
        "ix_events_not_dispatched",
        "events",
        ["status", "seq"],
        unique=False,
        sqlite_where=sa.text("status IN ('rejected', 'skipped')"),
        postgresql_where=sa.text("status IN ('rejected', 'skipped')"),
    )
    op.create_index("ix_events_record", "events", ["kind", "record_id", "source", "seq"], unique=False)
    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("response", sa.Text(), nullable=False),
        sa.Column("created_at", InstantColumn(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_idempotency_keys"),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("taken_at", InstantColumn(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
        comment="who may write for a worker's place; the committing transaction checks the epoch",
    )
    op.create_table(
        "outbox",
        sa.Column("seq", BigId, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("effect", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("event_seq", BigId, nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("plugin", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", InstantColumn(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", InstantColumn(), nullable=False),
        sa.Column("sent_at", InstantColumn(), nullable=True),
        sa.PrimaryKeyConstraint("seq", name="pk_outbox"),
        sa.UniqueConstraint("id", name="uq_outbox_id"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_outbox_discarded",
        "outbox",
        ["seq"],
        unique=False,
        sqlite_where=sa.text("status = 'discarded'"),
        postgresql_where=sa.text("status = 'discarded'"),
    )
    op.create_index(
        "ix_outbox_due",
        "outbox",
        ["due_at", "seq"],
        unique=False,
        sqlite_where=sa.text("status IN ('available', 'retryable')"),
        postgresql_where=sa.text("status IN ('available', 'retryable')"),
    )
    op.create_index(
        "ix_outbox_follow_ups",
        "outbox",
        ["due_at", "seq"],
        unique=False,
        sqlite_where=sa.text("status IN ('available', 'retryable') AND target = 'inbox'"),
        postgresql_where=sa.text("status IN ('available', 'retryable') AND target = 'inbox'"),
    )
    op.create_index("ix_outbox_record", "outbox", ["kind", "record_id", "source"], unique=False)
    op.create_table(
        "quarantines",
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("plugin", sa.Text(), nullable=False),
        sa.Column("crashes", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=True),
        sa.Column("changed_at", InstantColumn(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("unit", "plugin", name="pk_quarantines"),
    )
    op.create_table(
        "record_updates",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("applied_after_seq", BigId, nullable=False),
        sa.Column("event_seq", BigId, nullable=False),
        sa.Column("plugin", sa.Text(), nullable=False),
        sa.Column("fields", JsonColumn(), nullable=False),
        sa.Column("at", InstantColumn(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_record_updates"),
        comment="what plugins set on records; folded with the events it rebuilds a record as of any event",
        sqlite_autoincrement=True,
    )
    op.create_index("ix_record_updates_record", "record_updates", ["kind", "record_id", "source", "id"], unique=False)
    op.create_table(
        "records",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=True),
        sa.Column("unit_reason", sa.Text(), nullable=True),
        sa.Column("snapshot", sa.Text(), nullable=False),
        sa.Column("versions", sa.Text(), nullable=False),
        sa.Column("own", sa.Text(), nullable=False),
        sa.Column("last_seq", BigId, nullable=False),
        sa.Column("created_at", InstantColumn(), nullable=False),
        sa.Column("updated_at", InstantColumn(), nullable=False),
        sa.PrimaryKeyConstraint("source", "kind", "record_id", name="pk_records"),
    )
    op.create_index("ix_records_listing", "records", ["kind", "updated_at"], unique=False)
    op.create_table(
        "timers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("plugin", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("timer", sa.Text(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("due_at", InstantColumn(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("data", JsonColumn(), nullable=False),
        sa.Column("started_by", sa.Text(), nullable=False),
        sa.Column("outward", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("fired_at", InstantColumn(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_timers"),
    )
    op.create_index(
        "ix_timers_due",
        "timers",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index(
        "ix_timers_held",
        "timers",
        ["plugin", "unit"],
        unique=False,
        sqlite_where=sa.text("status = 'held'"),
        postgresql_where=sa.text("status = 'held'"),
    )
    op.create_index("ix_timers_record", "timers", ["kind", "record_id", "source"], unique=False)
