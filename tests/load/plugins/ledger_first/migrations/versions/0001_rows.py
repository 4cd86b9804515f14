"""Creates the ledger."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "ledger_first_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; instants and keys are as everywhere else."""
    op.create_table(
        "ledger_first_rows",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sqlite_autoincrement=True,
    )
