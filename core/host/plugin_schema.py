"""A plugin's configuration schema: how values become its typed, frozen `Config`, and what keys there are.

config.py holds a dataclass `Config` and a marshmallow schema `ConfigSchema`; the schema may build the `Config` itself
or leave that to the host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from types import ModuleType
from typing import Any

import marshmallow as ma

from core.model.errors import PluginRefused
from core.model.spans import Span

LoadConfig = Callable[[Mapping[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class NoConfig:
    """What `ctx.config` is for a plugin without settings."""


class NoConfigSchema(ma.Schema):
    """Takes no keys at all."""


def read_schema(config: ModuleType | None, place: str) -> tuple[LoadConfig, dict[str, Any]]:
    """Return the loader and the keys of a plugin's configuration. Raises PluginRefused."""
    if config is None:
        return _loader(NoConfigSchema(), NoConfig), {}
    cls, schema_cls = getattr(config, "Config", None), getattr(config, "ConfigSchema", None)
    if not isinstance(cls, type) or not isinstance(schema_cls, type) or not issubclass(schema_cls, ma.Schema):
        raise PluginRefused(f"{place} needs a class `Config` and a marshmallow schema `ConfigSchema`.")
    if not is_dataclass(cls) or not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise PluginRefused(f"{place}: `Config` must be a frozen dataclass, so that no handler can change it.")
    try:
        schema = schema_cls()
    except Exception as error:
        raise PluginRefused(f"{place}: ConfigSchema cannot be made: {type(error).__name__}: {error}") from error
    return _loader(schema, cls), dict(_keys(schema))


def _loader(schema: ma.Schema, cls: type[Any]) -> LoadConfig:
    def load(values: Mapping[str, Any]) -> Any:
        loaded = schema.load(dict(values))
        if isinstance(loaded, cls):
            return loaded
        return cls(**loaded)

    return load


def _keys(schema: ma.Schema, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, what is known of it) for documentation, suggestions and defaults."""
    for name, field in schema.load_fields.items():
        key = f"{prefix}{field.data_key or name}"
        default = field.load_default() if callable(field.load_default) else field.load_default
        yield (
            key,
            {
                "type": type(field).__name__.lower(),
                "required": field.required,
                "default": None if default is ma.missing else plain(default),
                "has_default": default is not ma.missing,
                "description": str(field.metadata.get("description", "")),
            },
        )
        if isinstance(field, ma.fields.Nested) and not field.many:
            yield from _keys(field.schema, f"{key}.")


def plain(value: Any) -> Any:
    """Return a configuration value as JSON can carry it."""
    if isinstance(value, Span):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(plain(item) for item in value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
