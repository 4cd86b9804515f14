"""Tells which hooks a plugin implements; from its source text where its code is not loaded, as in web processes."""

from __future__ import annotations

import ast
from functools import lru_cache
from pathlib import Path

from core.host.loading import hook_names
from core.host.plugin import Plugin, hook_of


def hooks_implemented(plugin: Plugin) -> tuple[str, ...]:
    """Return the names of the hooks a plugin implements, sorted; none for one that cannot run."""
    if plugin.error is not None:
        return ()
    if plugin.hooks:
        return tuple(sorted(plugin.hooks))
    path = plugin.folder / "plugin.py"
    try:
        changed = path.stat().st_mtime_ns
    except OSError:
        return ()
    return _named_in(path, changed)


def hears(plugin: Plugin, event_type: str) -> bool:
    """Whether an event of this type calls the plugin."""
    hooks = hooks_implemented(plugin)
    own = hook_of(plugin.name, event_type)
    return own in hooks or ("on_event" in hooks and event_type != "timer.due")


@lru_cache(maxsize=256)
def _named_in(path: Path, _changed: int) -> tuple[str, ...]:
    """Return the hooks that a module defines or imports at its top level."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return ()
    known = set(hook_names())
    found: set[str] = set()
    for item in tree.body:
        if isinstance(item, ast.FunctionDef):
            found.add(_specname(item) or item.name)
        elif isinstance(item, ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in item.names}
        elif isinstance(item, ast.Assign):
            found |= {target.id for target in item.targets if isinstance(target, ast.Name)}
    return tuple(sorted(found & known))


def _specname(function: ast.FunctionDef) -> str | None:
    """Return the hook a decorator such as `@hookimpl(specname="on_event")` names."""
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call):
            for keyword in decorator.keywords:
                if keyword.arg == "specname" and isinstance(keyword.value, ast.Constant):
                    return str(keyword.value.value)
    return None
