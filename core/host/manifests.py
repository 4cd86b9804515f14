"""Reads a plugin's plugin.toml: what IT can know of a plugin without running any of its code.

Public: `read_manifest(folder)`, `unreadable(name)`, `is_name(text)`, `MANIFEST_FILE`, `API_VERSION`, `TIERS`.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import marshmallow as ma

from core.host.faults import Faults, key_faults
from core.host.plugin import Manifest
from core.model.choices import OneOf
from core.model.effects import EFFECTS
from core.model.errors import PluginRefused, did_you_mean

MANIFEST_FILE = "plugin.toml"
API_VERSION = "1"
TIERS = ("bronze", "silver", "gold")
_NAME = re.compile(r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$")
MAX_NAME = 40  # a table's name starts with it, and PostgreSQL cuts names at 63 characters


def _effect_names(names: list[str]) -> None:
    for name in names:
        if name not in EFFECTS:
            raise ma.ValidationError(f'"{name}" is no effect.{did_you_mean(name, EFFECTS)}')


def is_name(value: str) -> bool:
    """Whether a text may name a plugin."""
    return _NAME.fullmatch(value) is not None and len(value) <= MAX_NAME


def _name(value: str) -> None:
    if not is_name(value):
        raise ma.ValidationError(f"A name is lower-case words joined by `_`, at most {MAX_NAME} characters.")


def _not_blank(value: str) -> None:
    if not value.strip():
        raise ma.ValidationError("Must say something.")


class ManifestSchema(ma.Schema):
    """The keys of plugin.toml."""

    name = ma.fields.String(required=True, validate=_name)
    version = ma.fields.String(required=True, validate=_not_blank)
    title = ma.fields.String(required=True, validate=_not_blank)
    summary = ma.fields.String(required=True, validate=_not_blank)
    owner = ma.fields.String(required=True)
    api = ma.fields.String(required=True)
    effects = ma.fields.List(ma.fields.String(), required=True, validate=_effect_names)
    tier = ma.fields.String(load_default="bronze", validate=OneOf(TIERS))
    default_enabled = ma.fields.Boolean(load_default=False, truthy={True}, falsy={False})


def read_manifest(folder: Path) -> Manifest:
    """Read and check `folder`/plugin.toml. Raises PluginRefused with every fault, its place and what would be right."""
    path = folder / MANIFEST_FILE
    place = f"{folder.name}/{MANIFEST_FILE}"
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PluginRefused(f"{place} is missing; it names the plugin and the effects it may ask for.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PluginRefused(f"{place} cannot be read: {error}") from None
    faults = Faults()
    try:
        loaded: dict[str, Any] = ManifestSchema().load(data)
    except ma.ValidationError as error:
        for key_path, message, _ in key_faults(error.messages, known=ManifestSchema().fields):
            faults.add(f"{place}, {key_path}" if key_path else place, message)
        raise PluginRefused(faults.letter(), errors=faults.as_errors()) from None
    if loaded["name"] != folder.name:
        raise PluginRefused(f'{place}: the name "{loaded["name"]}" must be the folder\'s name, "{folder.name}".')
    if loaded["api"] != API_VERSION:
        raise PluginRefused(
            f'{place}: it is written for plugin API "{loaded["api"]}"; this server offers "{API_VERSION}".'
        )
    loaded["effects"] = tuple(loaded["effects"])
    return Manifest(**loaded)


def unreadable(name: str) -> Manifest:
    """Return a stand-in for a manifest that cannot be read, so that the plugin is still listed with its error."""
    return Manifest(name=name, version="?", title=name, summary="", owner="", api="?", effects=())
