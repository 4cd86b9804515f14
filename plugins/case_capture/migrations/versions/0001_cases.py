"""Make the tables of cases, their history and their search index."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "case_capture_0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# FTS5 keeps only its index; the words stay in case_capture_search, and these triggers keep both together.
FTS5 = """
CREATE VIRTUAL TABLE case_capture_search_fts USING fts5(
    tokens, content='case_capture_search', content_rowid='number', detail=none, tokenize='ascii'
)
"""
FTS5_TRIGGERS = (
    """
    CREATE TRIGGER case_capture_search_added AFTER INSERT ON case_capture_search BEGIN
        INSERT INTO case_capture_search_fts (rowid, tokens) VALUES (new.number, new.tokens);
    END
    """,
    """
    CREATE TRIGGER case_capture_search_removed AFTER DELETE ON case_capture_search BEGIN
        INSERT INTO case_capture_search_fts (case_capture_search_fts, rowid, tokens)
        VALUES ('delete', old.number, old.tokens);
    END
    """,
    """
    CREATE TRIGGER case_capture_search_changed AFTER UPDATE OF tokens ON case_capture_search BEGIN
        INSERT INTO case_capture_search_fts (case_capture_search_fts, rowid, tokens)
        VALUES ('delete', old.number, old.tokens);
        INSERT INTO case_capture_search_fts (rowid, tokens) VALUES (new.number, new.tokens);
    END
    """,
)
# The words are given to PostgreSQL as they are, past its parser and dictionaries. The function says what the
# planner cannot guess: to make them anew for every row is dear, so the index is worth it even for common words.
# Its own search path keeps it from being inlined, which would lose the cost.
WORDS = """
CREATE FUNCTION case_capture_words(tokens text) RETURNS tsvector
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 200 SET search_path = pg_catalog
AS 'SELECT array_to_tsvector(string_to_array(tokens, '' ''))'
"""
GIN = """
CREATE INDEX ix_case_capture_search_tokens ON case_capture_search
USING gin (case_capture_words(tokens)) WITH (fastupdate = off)
"""


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "case_capture_cases",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("unit", "kind", "status")),
        sa.Column("version", sa.Integer, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("title", "fields", "edited", "missing", "language")),
        *(sa.Column(name, sa.Text, nullable=True) for name in ("product", "alloy", "industry")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("source", "record_kind", "record_id", "event_id")),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("occurred_at", "created_at", "updated_at")),
        *(sa.Column(name, sa.Text, nullable=True) for name in ("reviewed_by", "published_by")),
        sa.Column("published_at", sa.BigInteger, nullable=True),
        sa.Column("duplicate_of", sa.Text, nullable=True),
        sa.Column("duplicates", sa.Text, nullable=False),
        *(sa.Column(name, sa.Text, nullable=True) for name in ("doubt", "proposed")),
    )
    op.create_index("ix_case_capture_cases_list", "case_capture_cases", ["unit", "status", "updated_at", "id"])
    op.create_index("ix_case_capture_cases_record", "case_capture_cases", ["source", "record_kind", "record_id"])
    op.create_table(
        "case_capture_history",
        sa.Column("case_id", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("from_status", sa.Text, nullable=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("to_status", "actor", "reason", "changed")),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "case_capture_search",
        sa.Column("number", BIG, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("case_id", "unit", "status", "kind")),
        sa.Column("length", sa.Integer, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("terms", "tokens")),
    )
    op.create_index("ix_case_capture_search_scope", "case_capture_search", ["unit", "status", "kind", "length"])
    if op.get_bind().dialect.name == "sqlite":
        for statement in (FTS5, *FTS5_TRIGGERS):
            op.execute(sa.text(statement))
    else:
        for statement in (WORDS, GIN):
            op.execute(sa.text(statement))


def downgrade() -> None:
    """Drop the tables."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute(sa.text("DROP TABLE case_capture_search_fts"))
    for table in ("case_capture_search", "case_capture_history", "case_capture_cases"):
        op.drop_table(table)
    if op.get_bind().dialect.name != "sqlite":
        op.execute(sa.text("DROP FUNCTION case_capture_words(text)"))
