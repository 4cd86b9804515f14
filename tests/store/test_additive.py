"""Migrations only add, so that processes of the release before go on working on what a newer one has migrated."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = [ROOT / "core/store/migrations/versions", *sorted(ROOT.glob("plugins/*/migrations/versions"))]
BEFORE_THE_RULE = {"0002_people_and_trail.py"}  # from before there were fleets: one server, stopped for the upgrade
TAKING_AWAY = {"drop_table", "drop_column", "drop_constraint", "alter_column", "rename_table", "batch_alter_table"}
TAKING_AWAY |= {"create_unique_constraint", "create_check_constraint", "create_foreign_key"}
WORDS = ("DROP TABLE", "DROP COLUMN", "RENAME", "SET NOT NULL", "ALTER COLUMN")


def offences(text: str) -> Iterator[str]:
    """Yield what a migration's `upgrade` does that a process of the release before would trip over."""
    upgrade = next(
        node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name == "upgrade"
    )
    for node in ast.walk(upgrade):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from (word for word in WORDS if word in node.value.upper())
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr in TAKING_AWAY:
            yield node.func.attr
        if node.func.attr == "add_column":
            column = node.args[1] if len(node.args) > 1 else None
            given = {word.arg: word.value for word in column.keywords} if isinstance(column, ast.Call) else {}
            is_optional = isinstance(given.get("nullable"), ast.Constant) and ast.literal_eval(given["nullable"])
            if not is_optional and "server_default" not in given:
                yield "add_column of one that an older process does not fill"


@pytest.mark.parametrize("path", [path for folder in FOLDERS for path in sorted(folder.glob("0*.py"))], ids=str)
def test_a_migration_only_adds(path: Path) -> None:
    if path.name not in BEFORE_THE_RULE:
        assert list(offences(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "step",
    [
        'op.drop_column("events", "unit")',
        'op.alter_column("events", "unit", nullable=False)',
        'op.execute("ALTER TABLE events RENAME COLUMN unit TO division")',
        'op.add_column("events", sa.Column("later", sa.Text(), nullable=False))',
    ],
)
def test_a_migration_that_takes_away_is_found(step: str) -> None:
    assert list(offences(f"def upgrade():\n    {step}\n"))


def test_a_column_that_may_be_empty_or_fills_itself_is_no_offence() -> None:
    steps = 'op.add_column("a", sa.Column("b", sa.Text(), nullable=True))\n    '
    steps += 'op.add_column("a", sa.Column("c", sa.Text(), nullable=False, server_default=""))'
    assert list(offences(f"def upgrade():\n    {steps}\n")) == []
