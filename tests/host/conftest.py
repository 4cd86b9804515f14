"""Writes small plugins and configurations for the host's tests, and forgets their modules afterwards."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.host.configuration import Surroundings
from core.host.discovery import load_plugins
from core.host.plugin import Plugin
from core.host.settings import SourceSettings
from core.model.errors import did_you_mean
from core.time.clock import FrozenClock

MANIFEST = """
name = "{name}"
version = "1.0"
title = "{name}"
summary = "A plugin of the tests."
owner = "tests@example.com"
api = "1"
effects = ["decide", "notify"]
"""

PLUGIN = """
from core.api import Decide, hookimpl

@hookimpl
def on_lead_created(event, ctx):
    return [Decide(kind="seen", outcome="yes", summary="seen", rule="always")]
"""

CONFIG = """
from dataclasses import dataclass, field
import marshmallow as ma

@dataclass(frozen=True)
class Config:
    hot_score: int = 70
    grades: dict = field(default_factory=dict)
    channel: str | None = None

class ConfigSchema(ma.Schema):
    hot_score = ma.fields.Integer(strict=True, load_default=70, validate=ma.validate.Range(0, 100))
    grades = ma.fields.Dict(keys=ma.fields.String(), values=ma.fields.Integer(strict=True),
                            load_default=lambda: {"A": 80, "B": 65})
    channel = ma.fields.String(load_default=None)
"""

WritePlugin = Callable[..., Path]


@pytest.fixture
def plugin_root(tmp_path: Path) -> Iterator[Path]:
    """Give a folder for plugins; what is imported from it is forgotten after the test."""
    root = tmp_path / "extra_plugins"
    root.mkdir()
    modules, search = set(sys.modules), list(sys.path)
    yield root
    for name in set(sys.modules) - modules:
        if str(root) in str(getattr(sys.modules[name], "__file__", "") or getattr(sys.modules[name], "__path__", "")):
            del sys.modules[name]
    sys.path[:] = search


@pytest.fixture
def write_plugin(plugin_root: Path) -> WritePlugin:
    """Give a function that writes a plugin's folder; `files` replaces or adds files."""

    def write(name: str, *, manifest: str = "", **files: str) -> Path:
        folder = plugin_root / name
        folder.mkdir()
        (folder / "plugin.toml").write_text(MANIFEST.format(name=name) + manifest, encoding="utf-8")
        for part, text in {"plugin": PLUGIN, "__init__": "", **files}.items():
            (folder / f"{part}.py").write_text(textwrap.dedent(text), encoding="utf-8")
        return folder

    return write


@pytest.fixture
def scorer(write_plugin: WritePlugin, plugin_root: Path) -> dict[str, Plugin]:
    """Give two loaded plugins: `host_scorer` with settings, `host_plain` without."""
    write_plugin("host_scorer", config=CONFIG)
    write_plugin("host_plain")
    return load_plugins([plugin_root], with_entry_points=False)


@pytest.fixture
def around(scorer: dict[str, Plugin]) -> Surroundings:
    """Give what plugins.toml is checked against: those plugins, and an adapter whose only option is `zone`."""

    def check(source: SourceSettings) -> list[dict[str, str]]:
        if source.adapter != "standard":
            near = did_you_mean(source.adapter, ["standard"])
            return [{"path": "adapter", "message": f'there is no adapter "{source.adapter}".{near}'}]
        return [{"path": "options", "message": f'unknown option "{key}"'} for key in source.options if key != "zone"]

    return Surroundings(scorer, check)


@pytest.fixture
def clock() -> FrozenClock:
    """Give a clock that stands at noon on 3 November 2026."""
    return FrozenClock(datetime(2026, 11, 3, 12, tzinfo=UTC))
