"""With what `serve` starts, and what it says when it does not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from core.cli.place import Place
from core.cli.preparing import prepare
from core.host.environment import read_environment
from core.model.errors import ConfigurationRefused

from .conftest import Terminal

ROOT = Path(__file__).parents[2]


def start(terminal: Terminal) -> list[tuple[str, str]]:
    """Prepare a start as `serve` does and return what was logged as an error: event and plugin."""
    terminal.forget_modules()
    with capture_logs() as logs:
        prepare(Place(terminal.assembly(), read_environment(terminal.environ)), apply_file=True)
    return [(entry["event"], entry.get("plugin", "")) for entry in logs if entry["log_level"] == "error"]


def test_a_plugin_that_is_gone_does_not_stop_the_server_and_is_shown(terminal: Terminal) -> None:
    assert start(terminal) == []
    shutil.rmtree(terminal.roots[0] / "cli_sizer")
    assert start(terminal) == [("plugin_missing", "cli_sizer")]
    rows = [item for item in terminal.json("plugins", "list")["items"] if item["plugin"] == "cli_sizer"]
    assert {(row["unit"], row["state"]) for row in rows} == {("new_energy", "missing"), ("default", "missing")}
    assert "not installed here" in terminal.ok("plugins", "list")
    assert "install it" in terminal.run("doctor").stdout


def test_a_changed_file_may_keep_a_plugin_that_is_missing_and_is_refused_for_one_that_never_was(
    terminal: Terminal,
) -> None:
    shutil.rmtree(terminal.roots[0] / "cli_sizer")
    path = terminal.folder / "plugins.toml"
    path.write_text(path.read_text() + "# changed\n")
    assert start(terminal) == [("plugin_missing", "cli_sizer")]
    assert terminal.json("config", "show")["number"] == 2
    assert "Not installed any more" in terminal.ok("config", "check")
    assert terminal.json("config", "apply")["absent"] == ["cli_sizer"]
    path.write_text(path.read_text() + "[plugins.cli_other]\n")
    assert start(terminal) == [("plugin_missing", "cli_sizer"), ("configuration_not_applied", "")]
    assert 'no plugin "cli_other"' in terminal.run("config", "apply").stderr
    assert terminal.json("config", "show")["number"] == 2


def test_a_faulty_file_leaves_the_version_in_force_and_the_server_starts(terminal: Terminal) -> None:
    terminal.write("plugins.toml", "[dispach]")
    assert start(terminal) == [("configuration_not_applied", "")]
    assert terminal.json("config", "show")["number"] == 1


def test_a_faulty_file_stops_the_first_start(terminal: Terminal) -> None:
    terminal.environ["OUTRIGGER_DATABASE_URL"] = f"sqlite:///{terminal.folder}/first.sqlite3"
    terminal.write("plugins.toml", "[dispach]")
    with pytest.raises(ConfigurationRefused, match="Did you mean `dispatch`"):
        start(terminal)


@pytest.mark.parametrize(
    ("file", "said"), [("This is a plain text, no database.", "file is not a database"), (None, "`dispach`")]
)
def test_a_refused_start_is_told_as_an_error(terminal: Terminal, file: str | None, said: str) -> None:
    path = terminal.folder / "started.sqlite3"
    terminal.environ["OUTRIGGER_DATABASE_URL"] = f"sqlite:///{path}"
    if file is not None:
        path.write_text(file)
    terminal.write("plugins.toml", "[dispach]")
    ended = subprocess.run(
        [sys.executable, "-m", "wsgi", "serve", "--port", "0"], cwd=terminal.folder, capture_output=True, text=True,
        env={**os.environ, **terminal.environ, "PYTHONPATH": str(ROOT)}, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    lines = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert lines[0].startswith("Error: ")
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
