"""Make the tables of quotes, requests and who was asked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "quote_approval_0001"
down_revision = None
branch_labels = None
depends_on = None


def _texts(*names: str, nullable: bool = False) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=nullable) for name in names]


def _keys(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, primary_key=True) for name in names]


def upgrade() -> None:
    """Make the tables; instants are microseconds and JSON is text on either database."""
    op.create_table(
        "quote_approval_quotes",
        *_keys("source", "record_id"),
        sa.Column("round", sa.Integer, nullable=False),
        *_texts("request_id", "ended_as", nullable=True),
        sa.Column("ended_at", sa.BigInteger, nullable=True),
        sa.Column("submitted_at", sa.BigInteger, nullable=True),
    )
    op.create_table(
        "quote_approval_requests",
        *_keys("id"),
        *_texts("source", "record_id", "unit", "status"),
        sa.Column("version", sa.Integer, nullable=False),
        *_texts("content_hash", "content"),
        *_texts("owner", "customer", nullable=True),
        *_texts("facts", "faults", "rule", "reason", "near_misses", "route"),
        sa.Column("level", sa.Integer, nullable=False),
        *_texts("stuck", nullable=True),
        sa.Column("asked_at", sa.BigInteger, nullable=True),
        sa.Column("deadline_at", sa.BigInteger, nullable=True),
        sa.Column("overdue", sa.Boolean, nullable=False),
        *_texts("question", "answer", "decided_by", "comment", nullable=True),
        sa.Column("accepted_at", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        *_texts("event_id"),
    )
    columns = ["unit", "status", "created_at", "id"]
    op.create_index("ix_quote_approval_requests_list", "quote_approval_requests", columns)
    op.create_index("ix_quote_approval_requests_record", "quote_approval_requests", ["source", "record_id"])
    op.create_table(
        "quote_approval_steps",
        *_keys("request_id"),
        sa.Column("level", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("slot", sa.Integer, primary_key=True, autoincrement=False),
        *_keys("person"),
        *_texts("name", "via", "asked", "path"),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        *_texts("state"),
        sa.Column("decided_at", sa.BigInteger, nullable=True),
        *_texts("comment", "how", nullable=True),
    )
    op.create_index("ix_quote_approval_steps_person", "quote_approval_steps", ["person", "state"])


def downgrade() -> None:
    """Drop the tables."""
    for table in ("quote_approval_steps", "quote_approval_requests", "quote_approval_quotes"):
        op.drop_table(table)
