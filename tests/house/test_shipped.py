"""What ships works as it stands: the example configuration resolves, and each plugin is what it claims to be."""

from __future__ import annotations

from pathlib import Path

import pytest

import wsgi
from core.host.configuration import Surroundings, build, resolve
from core.host.discovery import load_plugins
from core.host.plugin import Plugin
from core.model.events import EVENT_TYPES
from core.testing.quality import check_plugin

PROJECT = Path(__file__).resolve().parents[2]
PLUGINS = load_plugins([PROJECT / "plugins"], with_entry_points=False)


@pytest.mark.parametrize("plugin", PLUGINS.values(), ids=lambda plugin: plugin.name)
def test_every_shipped_plugin_reaches_the_tier_it_claims(plugin: Plugin) -> None:
    report = check_plugin(plugin)
    assert report.holds, [item for item in report.findings if item.state == "todo"]


def test_the_shipped_configuration_is_right_and_has_the_four_units() -> None:
    around = Surroundings(PLUGINS, wsgi.assembly().check_source)
    resolved = resolve((PROJECT / "plugins.toml").read_text(encoding="utf-8"), around)
    configuration, faults = build(1, resolved, PLUGINS)
    assert faults == {}
    assert list(configuration.units) == ["new_energy", "high_end", "construction", "packaging", "default"]
    assert {source.adapter for source in configuration.sources.values()} == {"standard", "frappe", "hubspot", "generic"}
    assert configuration.plugins["new_energy", "lead_scoring"].config.grades.A == 75
    assert configuration.plugins["packaging", "lead_scoring"].config.grades.A == 80


def test_every_event_type_is_spelt_like_its_hook() -> None:
    assert all(item.hook == f"on_{name.replace('.', '_')}" for name, item in EVENT_TYPES.items())
