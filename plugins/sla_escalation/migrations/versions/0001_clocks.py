"""Make the tables of watched records, clocks and kept rules."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "sla_escalation_0001"
down_revision = None
branch_labels = None
depends_on = None

CLOCKS = "sla_escalation_clocks"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "sla_escalation_records",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("source", "kind", "record_id")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("unit", "signals")),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        CLOCKS,
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("unit", "source", "kind", "record_id")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("clock", "policy")),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("started_by", sa.Text, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=True) for name in ("due_at", "anchor_at", "ended_at")),
        *(sa.Column(name, sa.Text, nullable=True) for name in ("ended_by", "ended_as")),
        sa.Column("learned_at", sa.BigInteger, nullable=True),
        sa.Column("reason", sa.Text, nullable=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("rule", "facts", "missed", "segments", "told")),
        sa.Column("timer_at", sa.BigInteger, nullable=True),
        sa.Column("month", sa.Text, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_sla_escalation_clocks_record", CLOCKS, ["source", "kind", "record_id"])
    op.create_index("ix_sla_escalation_clocks_list", CLOCKS, ["unit", "state", "due_at"])
    op.create_index("ix_sla_escalation_clocks_due", CLOCKS, ["state", "due_at"])
    op.create_index("ix_sla_escalation_clocks_month", CLOCKS, ["month", "unit", "policy"])
    op.create_table(
        "sla_escalation_rules",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("first_used_at", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in ("sla_escalation_rules", CLOCKS, "sla_escalation_records"):
        op.drop_table(table)
