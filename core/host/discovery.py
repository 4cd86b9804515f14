"""Finds plugins in folders and installed distributions, and loads them; a broken one is listed with its error.

Public: `discover_manifests(roots)` runs no plugin code, `load_schemas(roots)` imports only each config.py, and
`load_plugins(roots)` imports everything. Each returns plugins by name, sorted.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

import structlog

from core.host.loading import load_code, load_schema
from core.host.manifests import MANIFEST_FILE, read_manifest, unreadable
from core.host.plugin import Manifest, Plugin
from core.model.errors import PluginRefused

ENTRY_POINT_GROUP = "outrigger.plugins"
SLOW_IMPORT_S = 1.0

_log = structlog.get_logger("outrigger.host")


@dataclass(frozen=True, slots=True)
class FoundPlugin:
    """A place where a plugin is: its folder, and the dotted name under which Python imports it."""

    folder: Path
    module: str
    error: str | None = None

    @property
    def name(self) -> str:
        """The folder's name, which must be the plugin's."""
        return self.folder.name


def find_plugins(roots: Sequence[Path], *, with_entry_points: bool = True) -> list[FoundPlugin]:
    """Return every plugin folder below `roots` and every installed one; a root that is missing has none."""
    found = [item for root in dict.fromkeys(root.resolve() for root in roots) for item in _in_root(root)]
    return found + (list(_installed()) if with_entry_points else [])


def _in_root(root: Path) -> Iterator[FoundPlugin]:
    if not root.is_dir():
        return
    # A root that is a package itself, as the shipped `plugins`, gives its plugins its name in front.
    prefix = f"{root.name}." if (root / "__init__.py").is_file() else ""
    for folder in sorted(root.iterdir()):
        if (folder / MANIFEST_FILE).is_file() or (folder / "plugin.py").is_file():
            yield FoundPlugin(folder, prefix + folder.name)


def _installed() -> Iterator[FoundPlugin]:
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda item: item.name):
        try:
            spec = importlib.util.find_spec(point.value)
        except (ImportError, ValueError) as error:
            yield FoundPlugin(Path(point.name), point.value, f'the entry point "{point.value}" fails: {error}')
            continue
        locations = list(spec.submodule_search_locations or ()) if spec is not None else []
        if not locations:
            yield FoundPlugin(Path(point.name), point.value, f'the entry point "{point.value}" is no package')
        else:
            yield FoundPlugin(Path(locations[0]), point.value)


Loader = Callable[[Path, str, Manifest], Plugin]


def _manifest_only(folder: Path, module: str, manifest: Manifest) -> Plugin:
    return Plugin(manifest=manifest, folder=folder, module=module)


def discover_manifests(roots: Sequence[Path], *, with_entry_points: bool = True) -> dict[str, Plugin]:
    """Return the plugins with their manifests alone; no plugin code runs."""
    return _load(find_plugins(roots, with_entry_points=with_entry_points), _manifest_only, None)


def load_schemas(roots: Sequence[Path], *, with_entry_points: bool = True) -> dict[str, Plugin]:
    """Return the plugins with manifest and configuration schema; of their code only config.py is imported."""
    return _load(find_plugins(roots, with_entry_points=with_entry_points), load_schema, None)


def load_plugins(
    roots: Sequence[Path], *, with_entry_points: bool = True, timings: dict[str, float] | None = None
) -> dict[str, Plugin]:
    """Return the plugins with their code; one that cannot be loaded has `error` and no hooks.

    `timings`, when given, receives how many seconds each took to load.
    """
    return _load(find_plugins(roots, with_entry_points=with_entry_points), load_code, timings)


def _load(found: Sequence[FoundPlugin], loader: Loader, timings: dict[str, float] | None) -> dict[str, Plugin]:
    plugins: dict[str, Plugin] = {}
    for item in found:
        began = time.perf_counter()
        key, plugin = item.name, _load_one(item, loader)
        if key in plugins:
            first = plugins[key].folder
            plugin = _broken(item, plugin.manifest, f"the name is taken by {first}; rename this one or remove it")
            key = f"{key}@{sum(name.partition('@')[0] == key for name in plugins) + 1}"
        plugins[key] = plugin
        took = time.perf_counter() - began
        if timings is not None:
            timings[key] = took
        if took > SLOW_IMPORT_S:
            _log.warning("a plugin takes long to import", plugin=key, seconds=round(took, 2))
    return dict(sorted(plugins.items()))


def _load_one(item: FoundPlugin, loader: Loader) -> Plugin:
    if item.error is not None:
        return _broken(item, unreadable(item.name), item.error)
    try:
        manifest = read_manifest(item.folder)
    except PluginRefused as error:
        return _broken(item, unreadable(item.name), error.message)
    try:
        return loader(item.folder, item.module, manifest)
    except PluginRefused as error:
        return _broken(item, manifest, error.message)


def _broken(item: FoundPlugin, manifest: Manifest, error: str) -> Plugin:
    return Plugin(manifest=manifest, folder=item.folder, module=item.module, error=error)
