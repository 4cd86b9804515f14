"""House rules about a plugin's own modules, read as syntax: what they import, say and declare."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from core.host.plugin import Plugin

SERVER = ("core", "webhooks", "wsgi")
DOOR = "core.api"
KIT = "core.testing"


def _modules(plugin: Plugin, *, with_tests: bool = False) -> Iterator[tuple[str, ast.Module]]:
    left_out = ("migrations",) if with_tests else ("tests", "migrations")
    for path in sorted(plugin.folder.rglob("*.py")):
        place = path.relative_to(plugin.folder)
        if place.parts[0] not in left_out:
            yield str(place), ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(plugin: Plugin) -> str:
    """A plugin enters by the one door, and its tests by one more, so that the rest of the server may change."""
    for place, tree in _modules(plugin, with_tests=True):
        is_test = place.startswith("tests/")
        for node in ast.walk(tree):
            if not isinstance(node, (ast.Import, ast.ImportFrom)):
                continue
            for name in _imported(node):
                if not _is_open(name, plugin.module, is_test=is_test):
                    doors = f"{DOOR}, {KIT}" if is_test else DOOR
                    return f"{place}, line {node.lineno}: imports {name}; only {doors} and the plugin itself are open"
    return ""


def _is_open(name: str, module: str, *, is_test: bool) -> bool:
    if name.partition(".")[0] in SERVER:
        return name == DOOR or (is_test and (name == KIT or name.startswith(f"{KIT}.")))
    is_neighbour = module.startswith("plugins.") and name.partition(".")[0] == "plugins" and not _is_own(name, module)
    return not is_neighbour


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if node.level or not node.module:
        return []
    if node.module in (*SERVER, "plugins"):  # `from core import api` imports core.api
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return [node.module]


def _is_own(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def docstrings(plugin: Plugin) -> str:
    """A reader knows from its first line what a module is for."""
    bare = [place for place, tree in _modules(plugin) if tree.body and not ast.get_docstring(tree)]
    return f"without a docstring: {', '.join(bare)}" if bare else ""


def types(plugin: Plugin) -> str:
    """Every function says what it takes and what it returns, so that mypy can find a misspelt setting."""
    for place, tree in _modules(plugin):
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and not _is_typed(node):
                return f"{place}, line {node.lineno}: {node.name} is not typed"
    return ""


def _is_typed(function: ast.FunctionDef) -> bool:
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    named = [item for item in arguments if item.arg not in ("self", "cls")]
    return function.returns is not None and all(item.annotation is not None for item in named)


def migrations(plugin: Plugin) -> str | None:
    """A table that no migration makes would be missing on every installation."""
    if plugin.tables is None:
        return None
    folder = plugin.folder / "migrations" / "versions"
    return "" if any(folder.glob("*.py")) else "models.py declares tables, but migrations/versions has no migration"
