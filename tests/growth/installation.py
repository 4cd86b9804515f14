"""Writes the installations that are compared: so many units and plugins, of which always the same three act."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ACTING = 3
FOR_EVER = 36_500
ACTS = '''"""Decides one thing about a reply."""

from __future__ import annotations

from typing import Any

from core.api import Context, Decide, Effect, Event, hookimpl


@hookimpl
def on_complaint_replied(event: Event[Any], ctx: Context[Any]) -> list[Effect]:
    """Decide."""
    return [Decide(kind="growth", outcome="kept", summary=event.type, rule="growth.keep", inputs={"type": event.type})]
'''
LISTENS_ELSEWHERE = '''"""Hears of orders alone."""

from __future__ import annotations

from typing import Any

from core.api import Context, Effect, Event, hookimpl


@hookimpl
def on_order_placed(event: Event[Any], ctx: Context[Any]) -> list[Effect]:
    """Ask for nothing."""
    return []
'''
CONFIG = '''"""The settings of this plugin."""

from __future__ import annotations

from dataclasses import dataclass

import marshmallow as ma


@dataclass(frozen=True, slots=True)
class Config:
    """What a unit may set."""

    threshold: int
    label: str


class ConfigSchema(ma.Schema):
    """The keys."""

    threshold = ma.fields.Integer(load_default=70, strict=True)
    label = ma.fields.String(load_default="")
'''


@dataclass(frozen=True, slots=True)
class Size:
    """How much one installation has; the shipped plugins are installed beside these, and switched off."""

    units: int
    plugins: int


SMALL, LARGE = Size(units=4, plugins=4), Size(units=200, plugins=20)


def plugin_name(number: int) -> str:
    """Name a plugin; the first three act."""
    return f"growth_{number:02d}"


def write_plugins(folder: Path, size: Size) -> Path:
    """Write the plugins' folders and return where they are."""
    place = folder / "plugins"
    for number in range(size.plugins):
        name = plugin_name(number)
        (place / name).mkdir(parents=True)
        (place / name / "plugin.toml").write_text(
            f'name = "{name}"\nversion = "1.0"\ntitle = "Growth {number}"\nsummary = "Measures growth."\n'
            'owner = "tests"\napi = "1"\neffects = ["decide"]\n',
            encoding="utf-8",
        )
        (place / name / "plugin.py").write_text(ACTS if number < ACTING else LISTENS_ELSEWHERE, encoding="utf-8")
        (place / name / "config.py").write_text(CONFIG, encoding="utf-8")
    return place


def configuration(size: Size) -> str:
    """Return plugins.toml: units found by a field of the record, each with a setting of its own."""
    text = '[sources.crm]\nadapter = "standard"\nsecrets = ["env:LEDGER_SECRET"]\nunit = "by_rule"\n'
    # Nothing is old enough until the campaign says so.
    text += f"[retention]\nevents_days = {FOR_EVER}\ndecisions_days = {FOR_EVER}\nmessages_days = {FOR_EVER}\n"
    for name in ("lead_scoring", "case_capture"):
        text += f"[plugins.{name}]\nenabled = false\n"
    for number in range(size.plugins):
        text += f"[plugins.{plugin_name(number)}]\nenabled = true\n"
    for number in range(size.units):
        text += f'[units.u{number}]\ntitle = "Unit {number}"\nmatch = {{ department = ["D-{number}"] }}\n'
        text += f"[units.u{number}.plugins.{plugin_name(number % size.plugins)}]\nconfig.threshold = {number % 90}\n"
    return text
