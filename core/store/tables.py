"""The core's tables; what they hold is the truth, every process and message beside them is only a wake-up."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from core.model.outcomes import (
    ATTENTION,
    CLAIMABLE_DELIVERY,
    OPEN_DELIVERY,
    DeliveryStatus,
    EventStatus,
    OutboxStatus,
    TimerStatus,
)
from core.store.columns import BigId, InstantColumn, JsonColumn, status_in

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


Kind = sa.types.TypeEngine[Any] | type[sa.types.TypeEngine[Any]]


def _column(name: str, kind: Kind, **options: object) -> sa.Column[object]:
    options.setdefault("nullable", False)
    return sa.Column(name, kind, **options)  # type: ignore[arg-type]


def _partial(name: str, *columns: str, where: sa.TextClause) -> sa.Index:
    return sa.Index(name, *columns, sqlite_where=where, postgresql_where=where)


events = sa.Table(
    "events",
    metadata,
    sa.Column("seq", BigId, primary_key=True, autoincrement=True),
    _column("id", sa.Text),
    _column("source", sa.Text),
    _column("type", sa.Text),
    _column("kind", sa.Text),
    _column("record_id", sa.Text),
    _column("lane", sa.Integer),
    _column("status", sa.Text),
    _column("status_reason", sa.Text, nullable=True),
    _column("unit", sa.Text, nullable=True),  # what the sender said, then what dispatch found
    _column("unit_reason", sa.Text, nullable=True),
    _column("occurred_at", InstantColumn),
    _column("occurred_at_original", sa.Text, nullable=True),
    _column("accepted_at", InstantColumn),
    _column("version", sa.Text),
    _column("completeness", sa.Text),
    _column("origin", sa.Text),
    _column("depth", sa.Integer),
    _column("outward", sa.Boolean, server_default=sa.text("true")),  # False for what a quiet replay led to
    _column("caused_by", sa.Text, nullable=True),
    _column("data", sa.Text),  # canonical JSON; kept as text, since the hot path parses it itself
    _column("changed", sa.Text, nullable=True),  # JSON list of field names, set by dispatch
    _column("body_hash", sa.Text),
    _column("raw", sa.Text, nullable=True),  # what a rejected item looked like
    _column("conflicts", sa.Integer),  # how often the same id came with another body
    _column("conflict_raw", sa.Text, nullable=True),  # digest of the first differing body
    sa.UniqueConstraint("id"),
    _partial("ix_events_accepted", "seq", where=status_in(EventStatus.ACCEPTED)),
    sa.Index("ix_events_record", "kind", "record_id", "source", "seq"),
    sa.Index("ix_events_type", "type", "seq"),
    sa.Index("ix_events_unit", "unit", "seq"),
    _partial("ix_events_caused_by", "caused_by", where=sa.text("caused_by IS NOT NULL")),
    _partial("ix_events_not_dispatched", "status", "seq", where=status_in(EventStatus.REJECTED, EventStatus.SKIPPED)),
    sqlite_autoincrement=True,
)

event_keys = sa.Table(
    "event_keys",
    metadata,
    sa.Column("event_id", sa.Text, primary_key=True),
    _column("body_hash", sa.Text),
    _column("accepted_at", InstantColumn),
    _column("removed_at", InstantColumn, nullable=True),
    sa.Index("ix_event_keys_removed_at", "removed_at"),
    comment="ids of events that retention removed, so that duplicates are still known",
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    _column("event_seq", BigId),
    _column("event_id", sa.Text),
    _column("plugin", sa.Text),
    _column("unit", sa.Text),
    _column("generation", sa.Integer),
    _column("outward", sa.Boolean),  # whether a replay's messages go out
    _column("source", sa.Text),
    _column("kind", sa.Text),
    _column("record_id", sa.Text),
    _column("lane", sa.Integer),
    _column("status", sa.Text),
    _column("reason", sa.Text, nullable=True),  # the last error, or why it is skipped, snoozed, cancelled
    _column("trace", sa.Text, nullable=True),
    _column("attempts", sa.Integer),
    _column("due_at", InstantColumn),
    _column("waiting_for", BigId, nullable=True),  # event_seq of the earlier delivery that holds this one back
    _column("wait_until", InstantColumn, nullable=True),
    _column("out_of_order", sa.Boolean),
    _column("config_version", sa.Integer),
    _column("created_at", InstantColumn),
    _column("finished_at", InstantColumn, nullable=True),
    sa.UniqueConstraint("event_seq", "plugin", "unit", "generation"),
    _partial("ix_deliveries_claim", "due_at", "event_seq", where=status_in(*CLAIMABLE_DELIVERY)),
    _partial(
        "ix_deliveries_standing",
        *("kind", "record_id", "source", "plugin", "unit", "event_seq"),
        where=status_in(*OPEN_DELIVERY),
    ),
    _partial(
        "ix_deliveries_attention",
        "status",
        "id",
        where=status_in(*ATTENTION),
    ),
    sa.Index("ix_deliveries_unit", "unit", "id"),
    _partial("ix_deliveries_replayed", "kind", "record_id", "source", "id", where=sa.text("generation > 0")),
    _partial("ix_deliveries_overdue", "wait_until", where=status_in(DeliveryStatus.WAITING)),
    _partial("ix_deliveries_waiting_for", "waiting_for", where=sa.text("waiting_for IS NOT NULL")),
    _partial("ix_deliveries_quarantined", "unit", "plugin", "id", where=status_in(DeliveryStatus.QUARANTINED)),
    sqlite_autoincrement=True,
)

decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    _column("event_seq", BigId),
    _column("event_id", sa.Text),
    _column("plugin", sa.Text),
    _column("plugin_version", sa.Text),
    _column("unit", sa.Text),
    _column("generation", sa.Integer),
    _column("source", sa.Text),
    _column("kind", sa.Text),
    _column("record_id", sa.Text),
    _column("decision", sa.Text),
    _column("outcome", sa.Text),
    _column("summary", sa.Text),
    _column("rule", sa.Text),
    _column("reasons", JsonColumn),
    _column("inputs", JsonColumn),
    _column("near_misses", JsonColumn),
    _column("config_version", sa.Integer),
    _column("decided_by", sa.Text, nullable=True),  # a person, when it was one
    _column("decided_at", InstantColumn),
    sa.Index("ix_decisions_record", "kind", "record_id", "source", "id"),
    sa.Index("ix_decisions_unit", "unit", "id"),
    sa.Index("ix_decisions_event", "event_seq"),
    sqlite_autoincrement=True,
)

records = sa.Table(
    "records",
    metadata,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("record_id", sa.Text, primary_key=True),
    _column("unit", sa.Text, nullable=True),
    _column("unit_reason", sa.Text, nullable=True),
    _column("snapshot", sa.Text),
    _column("versions", sa.Text),
    _column("own", sa.Text),
    _column("last_seq", BigId),
    _column("created_at", InstantColumn),
    _column("updated_at", InstantColumn),
    sa.Index("ix_records_listing", "kind", "updated_at"),
    _partial("ix_records_leads", "unit", "updated_at", where=sa.text("kind = 'lead'")),
    sa.Index("ix_records_name", "kind", "record_id"),
)

record_updates = sa.Table(
    "record_updates",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    _column("source", sa.Text),
    _column("kind", sa.Text),
    _column("record_id", sa.Text),
    _column("applied_after_seq", BigId),
    _column("event_seq", BigId),
    _column("plugin", sa.Text),
    _column("fields", JsonColumn),
    _column("at", InstantColumn),
    sa.Index("ix_record_updates_record", "kind", "record_id", "source", "id"),
    comment="what plugins set on records; folded with the events it rebuilds a record as of any event",
    sqlite_autoincrement=True,
)

record_baselines = sa.Table(
    "record_baselines",
    metadata,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("record_id", sa.Text, primary_key=True),
    sa.Column("seq", BigId, primary_key=True, autoincrement=False),  # the last event that is folded in
    _column("snapshot", sa.Text),
    _column("versions", sa.Text),
    _column("own", sa.Text),
    comment="records folded up to an event, so that folding begins there and what lies before can be pruned",
)

timers = sa.Table(
    "timers",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    _column("plugin", sa.Text),
    _column("unit", sa.Text),
    _column("source", sa.Text),
    _column("kind", sa.Text),
    _column("record_id", sa.Text),
    _column("timer", sa.Text),
    _column("round", sa.Integer),  # how often a timer of this name was started
    _column("due_at", InstantColumn),
    _column("status", sa.Text),
    _column("data", JsonColumn),
    _column("started_by", sa.Text),  # event id
    _column("outward", sa.Boolean, server_default=sa.text("true")),
    _column("depth", sa.Integer),
    _column("fired_at", InstantColumn, nullable=True),
    sa.Index("ix_timers_standing", "status", "due_at", "id"),
    _partial("ix_timers_held", "plugin", "unit", where=status_in(TimerStatus.HELD)),
    sa.Index("ix_timers_record", "kind", "record_id", "source"),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("seq", BigId, primary_key=True, autoincrement=True),
    _column("id", sa.Text),
    _column("effect", sa.Text),  # update_record, send_webhook, notify, emit_event
    _column("target", sa.Text),  # source or endpoint or channel; `inbox` for a follow-up event
    _column("type", sa.Text),
    _column("body", sa.Text),  # captured once, sent unchanged on every attempt
    _column("event_seq", BigId),
    _column("event_id", sa.Text),
    _column("plugin", sa.Text),
    _column("unit", sa.Text),
    _column("source", sa.Text),
    _column("kind", sa.Text),
    _column("record_id", sa.Text),
    _column("status", sa.Text),
    _column("attempts", sa.Integer),
    _column("due_at", InstantColumn),
    _column("reason", sa.Text, nullable=True),
    _column("channel_data", sa.Text, nullable=True),  # JSON: what the channel needs to know beside the body
    _column("still_true", sa.Text, nullable=True),  # JSON: a condition that must hold when it is sent
    _column("created_at", InstantColumn),
    _column("sent_at", InstantColumn, nullable=True),
    sa.UniqueConstraint("id"),
    _partial("ix_outbox_due", "due_at", "seq", where=status_in(OutboxStatus.AVAILABLE, OutboxStatus.RETRYABLE)),
    _partial("ix_outbox_inbox", "seq", where=sa.text("status IN ('available', 'retryable') AND target = 'inbox'")),
    _partial("ix_outbox_discarded", "seq", where=status_in(OutboxStatus.DISCARDED)),
    sa.Index("ix_outbox_record", "kind", "record_id", "source"),
    sa.Index("ix_outbox_event", "event_seq"),
    sqlite_autoincrement=True,
)

dirty_lanes = sa.Table(
    "dirty_lanes",
    metadata,
    sa.Column("lane", sa.Integer, primary_key=True, autoincrement=False),
    _column("marked_at", InstantColumn),
)

config_versions = sa.Table(
    "config_versions",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    _column("applied_at", InstantColumn),
    _column("applied_by", sa.Text),
    _column("reason", sa.Text),
    _column("origin", sa.Text),  # file or switch
    _column("document", sa.Text),  # plugins.toml as it was applied, switches included
    _column("file_hash", sa.Text),  # of the file last applied, to tell drift
    _column("resolved", JsonColumn),  # every unit's effective plugins, values and where each came from
)

quarantines = sa.Table(
    "quarantines",
    metadata,
    sa.Column("unit", sa.Text, primary_key=True),
    sa.Column("plugin", sa.Text, primary_key=True),
    _column("crashes", sa.Integer),
    _column("active", sa.Boolean),
    _column("reason", sa.Text),
    _column("event_id", sa.Text, nullable=True),
    _column("changed_at", InstantColumn),
    _column("changed_by", sa.Text),
)

# On PostgreSQL it also keeps, for each channel with a rate, which attempts began lately: see `core.pipeline.turns`.
leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    _column("epoch", sa.Integer),
    _column("holder", sa.Text),
    _column("taken_at", InstantColumn),
    comment="who may write for a worker's place; the committing transaction checks the epoch",
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    _column("name", sa.Text),
    _column("hash", sa.Text),
    _column("role", sa.Text),
    _column("units", JsonColumn),  # slugs, or ["*"]
    _column("created_at", InstantColumn),
    _column("created_by", sa.Text),
    _column("revoked_at", InstantColumn, nullable=True),
    sa.UniqueConstraint("hash"),
)

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),  # hash of API key, route and Idempotency-Key
    _column("request_hash", sa.Text),
    _column("status", sa.Integer),
    _column("response", sa.Text),
    _column("created_at", InstantColumn),
    sa.Index("ix_idempotency_keys_created_at", "created_at"),
)

retention_runs = sa.Table(
    "retention_runs",
    metadata,
    sa.Column("day", sa.Text, primary_key=True),  # of the clock in UTC, 2026-11-27
    _column("removed", JsonColumn),  # how many of each
    _column("up_to", BigId),  # every event up to this number was removed, or stays without what came before it
    _column("held_by", sa.Text, nullable=True),  # what is open and keeps older events
    _column("finished_at", InstantColumn, nullable=True),
    comment="what retention removed, day by day",
)

links = sa.Table(
    "links",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # SHA-256 of the token, which only the receiver has
    _column("plugin", sa.Text),
    _column("page", sa.Text),
    _column("subject", JsonColumn),  # what the page is about
    _column("person", sa.Text),  # who may use it
    _column("unit", sa.Text),
    _column("event_id", sa.Text),
    _column("created_at", InstantColumn),
    _column("expires_at", InstantColumn),
    _column("used_at", InstantColumn, nullable=True),
    sa.Index("ix_links_expires_at", "expires_at"),
    comment="signed links to pages; each decides once",
)

server_keys = sa.Table(
    "server_keys",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    _column("value", sa.Text),
    _column("created_at", InstantColumn),
    comment="keys the server made for itself where none is configured",
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("seq", BigId, primary_key=True, autoincrement=False),  # the one before plus one, without gaps
    _column("at", InstantColumn),
    _column("actor", sa.Text),
    _column("action", sa.Text),
    _column("subject", sa.Text),
    _column("unit", sa.Text, nullable=True),  # None: it concerns every unit
    _column("details", sa.Text),  # canonical JSON; ids and names of settings, no personal values
    _column("previous", sa.Text),  # hash of the row before
    _column("hash", sa.Text),
    sa.UniqueConstraint("hash"),
    comment="who did what, as a chain of hashes; triggers made by the migration refuse to change it",
)
