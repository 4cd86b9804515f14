"""The root of the command line: the server's own groups, and below them each plugin's own commands."""

from __future__ import annotations

import functools
import importlib
import logging
import sys
from typing import Any

import click
import structlog

from core.cli.output import LetterGroup
from core.cli.session import Session
from core.host.assembly import Assembly
from core.host.loading import contribution
from core.host.plugin import Plugin
from core.model.errors import OutriggerError, PluginRefused, did_you_mean

COMMANDS = {
    "serve": "core.cli.serve:serve",
    "web": "core.cli.serve:web",
    "worker": "core.cli.serve:worker",
    "migrate": "core.cli.operate:migrate",
    "doctor": "core.cli.doctor:doctor",
    "plugins": "core.cli.plugins:plugins",
    "config": "core.cli.config:config",
    "people": "core.cli.people:people",
    "calendar": "core.cli.calendar:calendar",
    "sources": "core.cli.sources:sources",
    "events": "core.cli.importing:events",
    "deliveries": "core.cli.deliveries:deliveries",
    "outbox": "core.cli.deliveries:outbox",
    "records": "core.cli.records:records",
    "decisions": "core.cli.records:decisions",
    "leads": "core.cli.records:leads",
    "audit": "core.cli.audit:audit",
    "retention": "core.cli.retention:retention",
    "keys": "core.cli.keys:keys",
}
"""Command -> where it is; each is imported only when it is used, so that `--help` and small commands stay quick."""


class Root(LetterGroup):
    """Finds commands when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the server's commands and those of plugins."""
        return [*COMMANDS, *sorted(set(_plugin_commands(_session(ctx))) - set(COMMANDS))]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import and return a command; a plugin's command that cannot be loaded says why when it is run."""
        if name in COMMANDS:
            module, _, attribute = COMMANDS[name].partition(":")
            found: click.Command = getattr(importlib.import_module(module), attribute)
            return found
        session = _session(ctx)
        plugin = _plugin_commands(session).get(name.replace("_", "-"))
        return None if plugin is None else _plugin_command(plugin, session)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was typed, or end with the nearest one there is."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            ctx.fail(f'There is no command "{name}".{did_you_mean(name, self.list_commands(ctx))}')
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, and close what it opened."""
        try:
            return super().invoke(ctx)
        finally:
            if isinstance(ctx.obj, Session):
                ctx.obj.close()


def _session(ctx: click.Context) -> Session:
    session = ctx.find_object(Session)
    assert session is not None
    return session


def _plugin_commands(session: Session) -> dict[str, Plugin]:
    """Return the plugins that bring commands, by their command's name; of their code nothing runs."""
    try:
        found = session.manifests()
    except OutriggerError:
        return {}  # the command that needs the configuration tells what is wrong with it
    return {name.replace("_", "-"): item for name, item in found.items() if (item.folder / "cli.py").is_file()}


def _plugin_command(plugin: Plugin, session: Session) -> click.Command:
    if plugin.error is not None:
        return _unloadable(plugin, PluginRefused(plugin.error))
    try:
        found = contribution(plugin, "cli", "register_commands")
    except PluginRefused as refused:
        return _unloadable(plugin, refused)
    if not isinstance(found, click.Command):
        wrong = f"{plugin.name}/cli.py: register_commands returned no click command."
        return _unloadable(plugin, PluginRefused(wrong))
    _open_desk_for(found)
    return found


def _open_desk_for(command: click.Command) -> None:
    """Have the desk opened when a command really runs: what it is for can be asked without any database."""
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            _open_desk_for(inner)
    if (
        command.callback is None
        or hasattr(command.callback, "opens_desk")
        or (isinstance(command, click.Group) and not command.invoke_without_command)
    ):
        return
    run = command.callback

    @functools.wraps(run)
    def callback(*arguments: Any, **options: Any) -> Any:
        session = click.get_current_context().find_object(Session)
        if session is not None:  # a plugin's own tests run its commands beside this command line, with a desk of theirs
            session.open_desk()
        return run(*arguments, **options)

    callback.opens_desk = True  # type: ignore[attr-defined]  # commands are looked up more than once
    command.callback = callback


def _unloadable(plugin: Plugin, refused: PluginRefused) -> click.Command:
    def tell(arguments: tuple[str, ...]) -> None:
        raise refused

    return click.Command(
        plugin.name.replace("_", "-"),
        callback=tell,
        params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
        context_settings={"ignore_unknown_options": True},
        short_help="Cannot be loaded; run it to see why.",
    )


def build(assembly: Assembly) -> click.Group:
    """Return the command line for an assembly."""

    @click.group(cls=Root, name="outrigger", context_settings={"help_option_names": ["-h", "--help"]})
    @click.version_option(package_name="crm-outrigger", prog_name="outrigger")
    def outrigger() -> None:
        """Extend the CRM you have: receive its webhooks, let plugins decide, bring the decisions back."""

    main = outrigger.make_context

    def make_context(info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> click.Context:
        extra.setdefault("obj", Session(assembly))
        return main(info_name, args, parent, **extra)

    outrigger.make_context = make_context  # type: ignore[method-assign]  # commands are listed before any callback runs
    return outrigger


def run(assembly: Assembly) -> None:
    """Run the command line of this process and exit."""
    # A person reads this terminal: what commands do is printed, and only warnings are logged, beside the output.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    build(assembly)(prog_name="outrigger")
