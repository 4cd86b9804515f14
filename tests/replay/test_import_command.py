"""`outrigger events import` as a person runs it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import core.cli.importing  # noqa: F401  # registers the command until the command line does
from core.cli.main import build
from core.model.errors import Conflict
from core.pipeline import import_place
from tests.replay.importing_kit import line, write
from wsgi import assembly

CONFIG = """
[sources.crm]
adapter = "standard"
secrets = ["env:NEVER_READ"]

[plugins.lead_scoring]
enabled = true
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder with a plugins.toml and the server's own database, which does not exist yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OUTRIGGER_CONFIG", "plugins.toml")
    monkeypatch.setenv("OUTRIGGER_DATABASE_URL", "sqlite:///live.sqlite3")
    (tmp_path / "plugins.toml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(build(assembly()), ["events", "import", *arguments], prog_name="outrigger")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def leads(folder: Path, count: int = 3) -> str:
    lines: list[Any] = [line("lead.created", f"L-{number}", number * 60, company="Firm") for number in range(count)]
    return str(write(folder / "leads.jsonl", [*lines, "{not json"]))


def whole(folder: Path) -> str:
    return str(write(folder / "whole.jsonl", [line("lead.created", "L-1", 0, company="Firm")]))


def test_a_configuration_that_is_refused_leaves_no_database_behind(folder):
    (folder / "wrong.toml").write_text("[sources.crm]\nadaptr = 'standard'\n", encoding="utf-8")
    result = run(whole(folder), "--into", "sqlite:///new/history.sqlite3", "--config", "wrong.toml")
    assert result.exit_code == 1 and "unknown key `adaptr`" in result.output
    assert not (folder / "new").exists()


def test_a_pipe_is_refused_with_what_to_do_instead_and_leaves_no_database_behind(folder):
    reading, writing = os.pipe()
    try:
        os.write(writing, json.dumps(line("lead.created", "L-1", 0, company="Firm")).encode())
        os.close(writing)
        result = run(f"/dev/fd/{reading}", "--into", "sqlite:///new/history.sqlite3")
    finally:
        os.close(reading)
    assert result.exit_code == 1
    assert f"/dev/fd/{reading} is no file but a pipe" in result.stderr
    assert "Write them to a file first" in result.stderr
    assert not (folder / "new").exists()


def test_history_is_imported_into_a_new_database_and_the_servers_own_is_left_alone(folder):
    result = run(leads(folder), "--into", "sqlite:///history.sqlite3", "--json")
    assert result.exit_code == 1, result.output
    said = json.loads(result.stdout[result.stdout.index("{") :])  # behind what was logged
    assert (said["lines"], said["accepted"], said["duplicates"], said["refused"]) == (4, 3, 0, 1)
    assert said["refusals"][0]["line"] == 4
    assert (said["from"], said["to"]) == ("2016-03-01T08:00:00Z", "2016-03-01T10:00:00Z")
    assert (folder / "history.sqlite3").exists()
    assert not (folder / "live.sqlite3").exists()


def test_what_was_refused_is_shown_with_its_line_and_reason(folder):
    result = run(leads(folder), "--into", "sqlite:///history.sqlite3")
    assert result.exit_code == 1
    assert "leads.jsonl" in result.stdout
    assert "not JSON" in result.stdout


def test_the_servers_own_database_is_refused_and_not_even_made(folder):
    again = run(leads(folder), "--into", f"sqlite:///{folder}/live.sqlite3")
    assert again.exit_code == 1
    assert "server's own database" in again.stderr
    assert "--into sqlite:///history.sqlite3" in again.stderr
    assert not (folder / "live.sqlite3").exists()


@pytest.mark.parametrize(
    ("into", "is_own"),
    [
        ("postgresql+psycopg://127.0.0.1/crm", True),
        ("postgresql+psycopg://somebody:secret@localhost:5432/crm?sslmode=disable", True),
        ("postgresql+psycopg://localhost/crm?options=-csearch_path%3Dhistory", False),
        ("postgresql+psycopg://localhost:1/history", False),
        ("postgresql+psycopg://127.0.0.2:1/crm", False),
    ],
)
def test_the_servers_own_database_is_known_by_any_of_its_names(folder, monkeypatch, into, is_own):
    monkeypatch.setenv("OUTRIGGER_DATABASE_URL", "postgresql+psycopg://outrigger@localhost:5432/crm")
    monkeypatch.setattr(import_place, "Database", not_opened)
    result = run(whole(folder), "--into", into)
    assert ("server's own database" in result.stderr) == is_own
    assert ("would be opened" in result.stderr) != is_own


def not_opened(*_: Any, **__: Any) -> Any:
    raise Conflict("It would be opened.")


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--source", "crn"), 1, 'Did you mean "crm"?'),
        (("--run-on", "soon"), 2, "no span of time"),
        (("--config", "gone.toml"), 1, "gone.toml"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(folder, options, code, said):
    result = run(leads(folder), "--into", "sqlite:///history.sqlite3", *options)
    assert result.exit_code == code, result.output
    assert said in result.stderr


def test_a_file_without_one_line_that_fits_ends_with_exit_code_1(folder):
    path = write(folder / "bad.jsonl", ["{", "[]"])
    assert run(str(path), "--into", "sqlite:///history.sqlite3").exit_code == 1
