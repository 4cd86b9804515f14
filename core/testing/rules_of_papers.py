"""House rules about what surrounds a plugin's code: README, settings, tests and examples."""

from __future__ import annotations

import json
import re

import marshmallow as ma

from core.host.plugin import Plugin
from core.model.events import EVENT_TYPES
from core.pipeline.templates import check_templates

SECTIONS = ("What it does", "Settings", "Events", "Effects", "Example", "Limits")
_HEADING = re.compile(r"^##\s+(.+?)\s*$", re.MULTILINE)
_IMPORTS_RULES = re.compile(
    r"^\s*(from \S*\brules import|from \S+ import .*\brules\b|import \S*\.rules\b)", re.MULTILINE
)
_WITHOUT_EXAMPLE = ("on_event", "on_timer_due", "on_record_unit_changed")


def _readme(plugin: Plugin) -> str:
    path = plugin.folder / "README.md"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _tests(plugin: Plugin) -> dict[str, str]:
    folder = plugin.folder / "tests"
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("test_*.py"))}


def fact_hooks(plugin: Plugin) -> list[str]:
    """Return the hooks that react to facts."""
    return [name for name in plugin.hooks if name.startswith("on_")]


def sections(plugin: Plugin) -> str:
    """README.md has every section, so that people find things where they are in every plugin."""
    text = _readme(plugin)
    if not text:
        return "there is no README.md"
    found = " ".join(_HEADING.findall(text)).lower()
    missing = [name for name in SECTIONS if name.lower() not in found]
    return f"missing: {', '.join(missing)}" if missing else ""


def troubleshooting(plugin: Plugin) -> str:
    """README.md tells what to do when something does not work."""
    return "" if "troubleshooting" in _readme(plugin).lower() else "there is no section Troubleshooting"


def defaults_load(plugin: Plugin) -> str | None:
    """A plugin works as soon as it is switched on."""
    if plugin.load_config is None or not plugin.config_keys:
        return None
    try:
        plugin.load_config({})
    except ma.ValidationError as error:
        return f"without settings it is refused: {error.messages}"
    return ""


def settings_described(plugin: Plugin) -> str | None:
    """`outrigger plugins show` can say what each setting means."""
    if not plugin.config_keys:
        return None
    bare = [key for key, known in plugin.config_keys.items() if not known["description"] and "." not in key]
    return f"without a description: {', '.join(bare)}" if bare else ""


def settings_in_readme(plugin: Plugin) -> str | None:
    """Whoever reads the README knows every setting."""
    if not plugin.config_keys:
        return None
    text = _readme(plugin)
    missing = [key for key in plugin.config_keys if "." not in key and key not in text]
    return f"not named: {', '.join(missing)}" if missing else ""


def templates(plugin: Plugin) -> str | None:
    """Whoever is told something reads it in Chinese or English."""
    if "notify" not in plugin.manifest.effects:
        return None
    folder = plugin.folder / "templates"
    if not any(folder.glob("*.txt")):
        return "it notifies, but templates/ has no <template>.zh.txt and <template>.en.txt"
    return "; ".join(check_templates(plugin.folder))


def tests(plugin: Plugin) -> str:
    """There is at least one test file with a test."""
    return "" if any("def test_" in text for text in _tests(plugin).values()) else "tests/test_*.py have no tests"


def rules_tested(plugin: Plugin) -> str | None:
    """The decisions are tested by themselves."""
    if not (plugin.folder / "rules.py").is_file():
        return None
    tested = any(_IMPORTS_RULES.search(text) for text in _tests(plugin).values())
    return "" if tested else "no test imports rules.py"


def failures_tested(plugin: Plugin) -> str:
    """At least one test says what is refused."""
    has_one = any("raises(" in text for text in _tests(plugin).values())
    return "" if has_one else "no test uses pytest.raises"


def owner(plugin: Plugin) -> str:
    """Somebody can be asked."""
    named = plugin.manifest.owner.strip()
    return "" if named and named != "nobody yet" else "plugin.toml names no owner"


def hooks_tested(plugin: Plugin) -> str | None:
    """Each hook is called by a test, by its name or by the event that calls it."""
    hooks = fact_hooks(plugin)
    if not hooks:
        return None
    text = "\n".join(_tests(plugin).values()) + "\n".join(example_types(plugin))
    events = {item.hook: item.name for item in EVENT_TYPES.values()}
    bare = [hook for hook in hooks if hook not in text and events.get(hook, "\0") not in text]
    return f"not called by any test: {', '.join(bare)}" if bare else ""


def example_types(plugin: Plugin) -> list[str]:
    """Return the event types of the plugin's example files."""
    return [
        str(json.loads(path.read_text(encoding="utf-8")).get("type"))
        for path in sorted((plugin.folder / "tests" / "events").glob("*.json"))
    ]


def examples_complete(plugin: Plugin) -> str | None:
    """Every event a CRM sends and the plugin hears has an example file."""
    types = {item.hook: item.name for item in EVENT_TYPES.values()}
    wanted = [types[hook] for hook in fact_hooks(plugin) if hook in types and hook not in _WITHOUT_EXAMPLE]
    if not wanted:
        return None
    missing = [name for name in wanted if name not in example_types(plugin)]
    return f"no example of {', '.join(missing)} in tests/events" if missing else ""
