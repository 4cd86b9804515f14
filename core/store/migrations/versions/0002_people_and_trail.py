"""People are reached and acts are kept: audit trail, links, server keys, channels; stored versions gain sections."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

from core.store.columns import BigId, InstantColumn, JsonColumn

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

APPEND_ONLY_SQLITE = (
    """
    CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only: UPDATE is refused'); END
    """,
    """
    CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only: DELETE is refused'); END
    """,
    # INSERT OR REPLACE takes a row away without any trigger for DELETE.
    """
    CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit
    WHEN EXISTS (SELECT 1 FROM audit WHERE seq = NEW.seq OR hash = NEW.hash)
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only: REPLACE is refused'); END
    """,
)
APPEND_ONLY_POSTGRESQL = (
    """
    CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION USING ERRCODE = 'restrict_violation',
            MESSAGE = 'the audit trail is append-only: ' || TG_OP || ' is refused';
    END $$
    """,
    """
    CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()
    """,
)
WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def upgrade() -> None:
    """Create the tables and columns, keep the trail as it is written, and let stored versions say what they lacked."""
    op.create_table(
        "audit",
        sa.Column("seq", BigId, autoincrement=False, nullable=False),
        sa.Column("at", InstantColumn(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=True),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("previous", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit"),
        sa.UniqueConstraint("hash", name="uq_audit_hash"),
        comment="who did what, as a chain of hashes; triggers made by the migration refuse to change it",
    )
    op.create_table(
        "links",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("plugin", sa.Text(), nullable=False),
        sa.Column("page", sa.Text(), nullable=False),
        sa.Column("subject", JsonColumn(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("created_at", InstantColumn(), nullable=False),
        sa.Column("expires_at", InstantColumn(), nullable=False),
        sa.Column("used_at", InstantColumn(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_links"),
        comment="signed links to pages; each decides once",
    )
    op.create_index("ix_links_expires_at", "links", ["expires_at"], unique=False)
    op.create_table(
        "server_keys",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("created_at", InstantColumn(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_server_keys"),
        comment="keys the server made for itself where none is configured",
    )
    op.add_column("outbox", sa.Column("channel_data", sa.Text(), nullable=True))
    op.add_column("outbox", sa.Column("still_true", sa.Text(), nullable=True))
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in APPEND_ONLY_SQLITE if is_sqlite else APPEND_ONLY_POSTGRESQL:
        op.execute(sa.text(statement))
    _complete_versions(op.get_bind())


def _complete_versions(connection: sa.Connection) -> None:
    """Give the configuration versions there are the sections that came with this release, and changes for switches."""
    versions = sa.table("config_versions", sa.column("number", sa.Integer), sa.column("resolved", sa.Text))
    for number, text in connection.execute(sa.select(versions.c.number, versions.c.resolved)).fetchall():
        resolved = json.loads(text)
        added: dict[str, Any] = {
            "calendars": {"cn": _calendar("CN", WEEK[:5]), "always": _calendar("none", ())},
            "overlays": {},
            "channels": {},
            "people": {},
            "roles": {},
            "changes": [_change(path, item) for path, item in resolved.pop("switches", {}).items()],
            "absent": [],
        }
        complete = json.dumps({**added, **resolved}, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        connection.execute(sa.update(versions).where(versions.c.number == number).values(resolved=complete))


def _change(path: str, switch: dict[str, Any]) -> dict[str, Any]:
    return {"path": path.split("."), "value": switch.pop("enabled"), **switch}


def _calendar(holidays: str, office_days: tuple[str, ...]) -> dict[str, Any]:
    """Return a built-in calendar as it was when these versions were made to name one."""
    hours = ["09:00-12:00", "13:00-18:00"]
    return {
        "zone": "Asia/Shanghai",
        "holidays": holidays,
        "hours": {day: (hours if day in office_days else [] if office_days else ["00:00-24:00"]) for day in WEEK},
        "make_up_hours": None,
        "confirmed": [],
        "days": {},
        "files": [],
    }
