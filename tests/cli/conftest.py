"""Runs the command line in a folder of its own, with a plugin, a file and a new database."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from core.cli.main import build
from core.host.assembly import Assembly
from core.host.scaffold import write_plugin
from webhooks import check_source
from webhooks.secret_forms import check_secret

BOTH = pytest.mark.parametrize("bare", ["sqlite", "postgresql"], indirect=True)

CONFIG = """
[sources.erp]
adapter = "standard"
secrets = ["env:CLI_TEST_SECRET"]

[units.new_energy]
title = "新能源事业部"

[plugins.cli_sizer]
enabled = true
"""


@dataclass
class Terminal:
    """A person at a terminal."""

    folder: Path
    roots: tuple[Path, ...]
    environ: dict[str, str]

    def assembly(self) -> Assembly:
        """Return what the composition root would hand over."""
        return Assembly(self.roots, check_source, check_secret, lambda **parts: None, lambda sources, clock: None)

    def run(self, *arguments: str) -> Result:
        """Run a command as a new process would; an exception that is no letter fails the test."""
        self.forget_modules()
        runner = CliRunner(env=self.environ)
        result = runner.invoke(build(self.assembly()), list(arguments), prog_name="outrigger")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def forget_modules(self) -> None:
        """Forget the plugins' modules."""
        importlib.invalidate_caches()
        for name, module in list(sys.modules.items()):
            places = [str(getattr(module, "__file__", "") or ""), *map(str, getattr(module, "__path__", ()))]
            if any(place.startswith(str(self.folder)) for place in places):
                del sys.modules[name]

    def ok(self, *arguments: str) -> str:
        """Run a command that must succeed and return what it printed."""
        result = self.run(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Run a command with --json and return what it printed."""
        result = self.run(*arguments, "--json")
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    def write(self, name: str, text: str) -> Path:
        """Write a file below the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        shutil.rmtree(path.parent / "__pycache__", ignore_errors=True)  # two edits within a second look alike to Python
        return path


@pytest.fixture
def bare(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """Give a terminal before anything was set up; on SQLite, or on both where a test is marked with BOTH."""
    kind = getattr(request, "param", "sqlite")
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "own_plugins"
    root.mkdir()
    search = list(sys.path)
    environ = {
        "OUTRIGGER_DATABASE_URL": request.getfixturevalue("sqlite_url" if kind == "sqlite" else "postgres_url"),
        "OUTRIGGER_CONFIG": "plugins.toml",
        "CLI_TEST_SECRET": "s3cret",
    }
    terminal = Terminal(tmp_path, (root,), environ)
    terminal.write("plugins.toml", CONFIG)
    yield terminal
    terminal.forget_modules()
    sys.path[:] = search


@pytest.fixture
def terminal(bare: Terminal) -> Terminal:
    """Give a terminal with a plugin installed, the database migrated and the file applied."""
    write_plugin(bare.roots[0], "cli_sizer", owner="tests")
    bare.ok("migrate")
    bare.ok("config", "apply")
    return bare
