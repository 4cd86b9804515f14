"""What the composition root hands to the core: where plugins are, which adapters there are, how a web app is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.host.configuration import Surroundings
from core.host.environment import Environment, overrides
from core.host.plugin import Plugin
from core.host.sections import CheckSource
from core.host.settings import SourceSettings
from core.host.toml_document import parse, read_text
from core.model.errors import ConfigurationRefused

CheckSecret = Callable[[SourceSettings, bytes], str | None]
"""Says what is wrong with the form of one of a source's secrets, or None."""


@dataclass(frozen=True, slots=True)
class Assembly:
    """The parts that live outside of core. `wsgi.py` builds one, so that core imports neither plugins nor webhooks."""

    plugin_roots: tuple[Path, ...]
    check_source: CheckSource
    check_secret: CheckSecret
    blueprint_factory: Callable[..., Any]
    remap_factory: Callable[..., Any]

    def roots(self, environment: Environment) -> tuple[Path, ...]:
        """Return every folder that may hold plugins: the shipped, the environment's, and those of plugins.toml."""
        return (*self.plugin_roots, *environment.plugin_directories, *configured_directories(environment.config_path))

    def surroundings(
        self, plugins: Mapping[str, Plugin], environment: Environment, environ: Mapping[str, str] | None = None
    ) -> Surroundings:
        """Return what plugins.toml is checked against."""
        path = environment.config_path
        return Surroundings(plugins, self.check_source, overrides(environ), path.name, path.parent)


def configured_directories(config_path: Path) -> tuple[Path, ...]:
    """Return `[server] plugin_directories` of plugins.toml, relative ones as seen from the file; none on any fault.

    The faults themselves are told when the file is checked as a whole.
    """
    try:
        server = parse(read_text(config_path), config_path.name).get("server", {})
    except ConfigurationRefused:
        return ()
    found = server.get("plugin_directories", []) if isinstance(server, Mapping) else []
    if not isinstance(found, list):
        return ()
    return tuple(config_path.parent / item for item in found if isinstance(item, str))
