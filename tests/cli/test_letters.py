"""What a person is told when something goes wrong: what, where and what to do, and never a trace unasked."""

from __future__ import annotations

import pytest

from core.cli import config as config_commands

from .conftest import Terminal


@pytest.mark.parametrize("command", [("events", "list"), ("migrate",), ("migrate", "--check"), ("config", "show")])
def test_a_file_that_is_no_database_is_a_letter(terminal: Terminal, command: tuple[str, ...]) -> None:
    file = terminal.write("notes.sqlite3", "This is a plain text, and no database at all.")
    terminal.environ["OUTRIGGER_DATABASE_URL"] = f"sqlite:///{file}"
    result = terminal.run(*command)
    assert result.exit_code == 1
    assert "Error: The database refused: file is not a database." in result.stderr
    assert "OUTRIGGER_DATABASE_URL" in result.stderr
    assert str(file) in result.stderr
    assert "(storage.unavailable)" in result.stderr
    assert "Traceback" not in result.output
    assert len(result.stderr.splitlines()) <= 4
    assert terminal.json(*command, code=1)["code"] == "storage.unavailable"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgres://host/name", "Write postgresql+psycopg:// instead."),
        ("mysql://host/name", 'not in "mysql"'),
        ("/var/lib/outrigger.sqlite3", "Examples: sqlite:////"),
        ("postgresql://postgres@127.0.0.1:1/none", "Start the database"),
    ],
)
def test_a_wrong_database_url_says_how_it_is_written(terminal: Terminal, url: str, said: str) -> None:
    terminal.environ["OUTRIGGER_DATABASE_URL"] = url
    result = terminal.run("events", "list")
    assert (result.exit_code, said in result.stderr) == (1, True), result.stderr


def test_the_plain_name_of_postgresql_works(terminal: Terminal, postgres_url: str) -> None:
    terminal.environ["OUTRIGGER_DATABASE_URL"] = postgres_url.replace("postgresql+psycopg://", "postgresql://")
    terminal.ok("migrate")
    assert terminal.json("events", "list")["items"] == []


def test_what_nobody_expected_is_one_letter_and_its_trace_is_shown_when_asked_for(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(text: str, around: object, **_: object) -> None:
        raise ZeroDivisionError("nobody thought of this")

    monkeypatch.setattr(config_commands, "resolve", broken)
    result = terminal.run("config", "check")
    assert result.exit_code == 1
    assert "Something unexpected happened: ZeroDivisionError: nobody thought of this." in result.stderr
    assert "OUTRIGGER_DEBUG=1" in result.stderr
    assert "(outrigger.error)" in result.stderr
    assert "Traceback" not in result.stderr
    assert terminal.json("config", "check", code=1)["code"] == "outrigger.error"
    terminal.environ["OUTRIGGER_DEBUG"] = "1"
    assert "Traceback" in terminal.run("config", "check").stderr


def test_a_fault_of_the_files_form_is_told_once(terminal: Terminal) -> None:
    terminal.write("plugins.toml", "[a\n")
    said = terminal.run("config", "check").stderr
    assert said.count("at line 1") == 1


def test_times_are_written_in_one_way(terminal: Terminal) -> None:
    for command in (("config", "history"), ("config", "show"), ("doctor",)):
        said = terminal.ok(*command)
        assert "+00:00" not in said
        assert "Z" in said
