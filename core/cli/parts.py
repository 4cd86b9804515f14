"""What the data commands work with: the session that the command line's root put into the click context."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol, cast

import click

from core.host.plugin import Plugin
from core.host.settings import Configuration
from core.model.instants import parse_instant
from core.pipeline.interventions import Interventions
from core.pipeline.replay import Remap, Replayer
from core.store.database import Database
from core.time.clock import Clock


class Session(Protocol):
    """The root's session. `plugins()` and `remap` may be missing; then replaying says so."""

    @property
    def database(self) -> Database:
        """The database."""
        ...

    @property
    def clock(self) -> Clock:
        """The clock."""
        ...

    def configuration(self) -> Configuration:
        """Return the configuration version in force."""
        ...


def session(ctx: click.Context) -> Session:
    """Return the session of this command line."""
    return cast(Session, ctx.obj)


def interventions(ctx: click.Context) -> Interventions:
    """Return what may be done to single deliveries and messages."""
    found = session(ctx)
    return Interventions(found.database, found.clock)


def replayer(ctx: click.Context) -> Replayer:
    """Return what replays events, with the plugins that are installed."""
    found = session(ctx)
    plugins = cast("Callable[[], Mapping[str, Plugin]]", getattr(found, "plugins", dict))
    remap = cast("Remap | None", getattr(found, "remap", None))
    return Replayer(found.database, found.clock, found.configuration, plugins, remap)


def person() -> str:
    """Return who sits at this command line, for the trail."""
    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # No variable tells, and a container's user id may have no name.
        name = str(os.getuid())
    return f"{name} (command line)"


class InstantType(click.ParamType[datetime]):
    """An RFC 3339 instant, such as 2026-11-22T08:30:00+08:00."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the instant in UTC."""
        if isinstance(value, datetime):
            return value
        try:
            return parse_instant(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


INSTANT = InstantType()


def paging(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a list command `--limit` and `--cursor`."""
    function = click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)(function)
    return click.option("--cursor", help="Where the page before ended.")(function)
