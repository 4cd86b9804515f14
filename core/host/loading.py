"""Imports one plugin's code and takes its hooks, its configuration schema and its tables; nothing of it escapes.

Public: `load_code(found, manifest)`, `load_schema(found, manifest)`, `hooks_of(module, place)`, `import_part(...)`.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy
import sqlalchemy as sa

from core.host import hookspecs
from core.host.plugin import HookCall, Manifest, Plugin
from core.host.plugin_schema import read_schema
from core.model.errors import PluginRefused, did_you_mean

LARGE_FILE = 1024 * 1024


def hook_names() -> tuple[str, ...]:
    """Return the names of all hooks a plugin may implement, in the order of the specification."""
    marker = f"{hookspecs.PROJECT}_spec"
    return tuple(name for name, item in vars(hookspecs).items() if hasattr(item, marker))


def import_part(folder: Path, module: str, part: str) -> ModuleType | None:
    """Import `<module>.<part>`, or return None when the plugin has no such file. Raises PluginRefused."""
    if not (folder / f"{part}.py").is_file():
        return None
    place = f"{folder.name}/{part}.py"
    search = str(_search_path(folder, module))
    if search not in sys.path:
        # At the end, so that a plugin's folder never hides a module of Python or of the server.
        sys.path.append(search)
    importlib.invalidate_caches()
    try:
        loaded = importlib.import_module(f"{module}.{part}")
    except ModuleNotFoundError as error:
        raise PluginRefused(f'{place} needs the module "{error.name}", which is not installed.') from error
    except (Exception, SystemExit) as error:
        # Whatever a plugin's module does while it is imported costs that plugin alone.
        raise PluginRefused(f"{place} cannot be imported: {_where(error)}{type(error).__name__}: {error}") from error
    origin = Path(loaded.__file__ or "")
    if origin.resolve().parent != folder.resolve():
        raise PluginRefused(f'{place} is hidden by another module named "{module}", in {origin.parent}; rename one.')
    return loaded


def _search_path(folder: Path, module: str) -> Path:
    """Return the directory from which Python finds `module` at `folder`."""
    path = folder
    for _ in module.split("."):
        path = path.parent
    return path


def _where(error: BaseException) -> str:
    """Return the file and line in which an import failed, as far as it is known."""
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: " if error.lineno else ""
    trace = error.__traceback__
    line = None
    while trace is not None:
        if "importlib" not in trace.tb_frame.f_code.co_filename:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"line {line}: " if line is not None else ""


def hooks_of(module: ModuleType, place: str) -> dict[str, HookCall]:
    """Return the hooks a module implements, each as a call for this module alone.

    A hook may take fewer arguments than its specification. Raises PluginRefused for a name or an argument that does
    not exist, with the nearest that does.
    """
    plugins = pluggy.PluginManager(hookspecs.PROJECT)
    plugins.add_hookspecs(hookspecs)
    try:
        plugins.register(module)
        plugins.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginRefused(_validation_letter(error, module, place)) from None
    hooks: dict[str, HookCall] = {}
    for caller in plugins.get_hookcallers(module) or ():
        if caller.spec is None:
            continue  # marked optional by its author: a hook of a later release
        implementations = caller.get_hookimpls()
        if len(implementations) > 1:
            names = " and ".join(sorted(item.function.__name__ for item in implementations))
            raise PluginRefused(f"{place}: {names} both implement {caller.name}; a plugin has one function a hook.")
        implementation = implementations[0]
        if implementation.hookwrapper or implementation.wrapper:
            raise PluginRefused(f"{place}: {caller.name} is a wrapper; plugins are called alone and wrap nobody.")
        if inspect.iscoroutinefunction(implementation.function):
            raise PluginRefused(f"{place}: {caller.name} is `async`; a handler is a plain function that decides.")
        hooks[caller.name] = _call(implementation.function, implementation.argnames, caller.spec.argnames)
    return dict(sorted(hooks.items()))


def _call(function: HookCall, taken: tuple[str, ...], offered: tuple[str, ...]) -> HookCall:
    """Return a call that takes all that is offered by keyword and passes on what the function takes."""
    if set(taken) == set(offered):
        return function

    def call(**arguments: Any) -> Any:
        return function(*[arguments[name] for name in taken])

    return call


def _validation_letter(error: pluggy.PluginValidationError, module: ModuleType, place: str) -> str:
    marker = f"{hookspecs.PROJECT}_impl"
    known = hook_names()
    for name, item in vars(module).items():
        options = getattr(item, marker, None)
        if not callable(item) or options is None:
            continue
        hook = options.get("specname") or name
        line = inspect.getsourcelines(item)[1]
        if hook not in known:
            if options.get("optionalhook"):
                continue
            return f"{place}, line {line}: there is no hook `{hook}`.{did_you_mean(hook, known)}".replace('"', "`")
        offered = tuple(inspect.signature(getattr(hookspecs, hook)).parameters)
        for argument in inspect.signature(item).parameters:
            if argument not in offered:
                near = did_you_mean(argument, offered).replace('"', "`")
                signature = f"{hook}({', '.join(offered)})"
                return f"{place}, line {line}: {hook} has no argument `{argument}`; it is `{signature}`.{near}"
    return f"{place}: {error}"


def load_schema(folder: Path, module: str, manifest: Manifest) -> Plugin:
    """Return the plugin with its configuration schema and without its hooks: plugin.py is not imported."""
    load_config, keys = read_schema(import_part(folder, module, "config"), f"{folder.name}/config.py")
    return Plugin(
        manifest=manifest, folder=folder, module=module, load_config=load_config, config_keys=keys,
        fingerprint=_fingerprint(folder),
    )  # fmt: skip


def load_code(folder: Path, module: str, manifest: Manifest) -> Plugin:
    """Return the whole plugin. Raises PluginRefused saying what is wrong with it and where."""
    part = import_part(folder, module, "plugin")
    if part is None:
        raise PluginRefused(f"{folder.name}/plugin.py is missing; it holds the plugin's hooks.")
    load_config, keys = read_schema(import_part(folder, module, "config"), f"{folder.name}/config.py")
    return Plugin(
        manifest=manifest,
        folder=folder,
        module=module,
        hooks=hooks_of(part, f"{folder.name}/plugin.py"),
        load_config=load_config,
        config_keys=keys,
        tables=_tables(import_part(folder, module, "models"), manifest.name),
        fingerprint=_fingerprint(folder),
    )


def _fingerprint(folder: Path) -> str:
    """Return the hash of what stands in a plugin's folder; of a large file its size and time are enough."""
    found = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if "__pycache__" not in path.parts and path.is_file()):
        found.update(f"\0{path.relative_to(folder)}\0".encode())
        about = path.stat()
        is_large = about.st_size > LARGE_FILE
        found.update(f"{about.st_size} {about.st_mtime_ns}".encode() if is_large else path.read_bytes())
    return found.hexdigest()


def _tables(models: ModuleType | None, name: str) -> sa.MetaData | None:
    """Return the tables models.py declares. Raises PluginRefused when one does not carry the plugin's name."""
    if models is None:
        return None
    metadata = getattr(models, "metadata", None) or getattr(getattr(models, "Base", None), "metadata", None)
    if not isinstance(metadata, sa.MetaData):
        raise PluginRefused(f"{name}/models.py needs a declarative `Base` or a `metadata`.")
    wrong = sorted(table for table in metadata.tables if not table.startswith(f"{name}_"))
    if wrong:
        raise PluginRefused(f'{name}/models.py: the table "{wrong[0]}" must be named "{name}_…".')
    return metadata


def contribution(plugin: Plugin, part: str, hook: str) -> Any:
    """Return what `hook` in the plugin's `part`.py contributes, or None; plugin.py is not imported for it.

    `register_api` lives in api.py and `register_commands` in cli.py. Raises PluginRefused.
    """
    module = import_part(plugin.folder, plugin.module, part)
    place = f"{plugin.name}/{part}.py"
    hooks: Mapping[str, HookCall] = hooks_of(module, place) if module is not None else plugin.hooks
    if hook not in hooks:
        return None
    try:
        return hooks[hook]()
    except Exception as error:
        # A contribution that fails is left out; the server and the other plugins go on.
        raise PluginRefused(f"{place}: {hook} failed: {type(error).__name__}: {error}") from error
