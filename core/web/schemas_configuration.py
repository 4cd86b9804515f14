"""The shapes of the API's answers about units, plugins and configuration versions."""

from __future__ import annotations

import marshmallow as ma
from marshmallow import fields

from core.model.schemas import Instant


def _text() -> fields.String:
    return fields.String(allow_none=True)


class Unit(ma.Schema):
    """A business unit and what is switched on there."""

    slug = fields.String()
    title = fields.String()
    match = fields.Raw()
    calendar = _text()
    plugins = fields.List(fields.String(), metadata={"description": "The plugins switched on."})


class PluginInUnit(ma.Schema):
    """One plugin in one unit: on or off, every value, and where each came from."""

    unit = fields.String()
    plugin = fields.String()
    enabled = fields.Boolean()
    config = fields.Raw()
    origins = fields.Raw()
    quarantine = fields.Raw(allow_none=True)
    config_version = fields.Integer()


class PluginInfo(ma.Schema):
    """An installed plugin, as its manifest describes it, or one that the configuration has and that is missing."""

    name = fields.String()
    version = fields.String()
    title = fields.String()
    summary = fields.String()
    owner = fields.String()
    api = fields.String()
    tier = fields.String()
    effects = fields.List(fields.String())
    hooks = fields.List(fields.String())
    installed = fields.Boolean()
    error = _text()


class ConfigVersion(ma.Schema):
    """One numbered, immutable configuration version."""

    number = fields.Integer()
    applied_at = Instant()
    applied_by = fields.String()
    reason = fields.String()
    origin = fields.String()
    file_hash = fields.String()
    document = _text()


class VersionDiff(ma.Schema):
    """How two configuration versions differ, as a unified diff of their documents."""

    number = fields.Integer()
    to = fields.Integer()
    differs = fields.Boolean()
    diff = fields.String()


class Quarantine(ma.Schema):
    """A plugin that crashed too often in a unit."""

    unit = fields.String()
    plugin = fields.String()
    crashes = fields.Integer()
    active = fields.Boolean()
    reason = fields.String()
    event_id = _text()
    changed_at = Instant()
    changed_by = fields.String()
