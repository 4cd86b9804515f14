"""What every command works with: the environment, the database, the plugins and the configuration, each opened once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from core.host.assembly import Assembly
from core.host.configuration import Surroundings
from core.host.discovery import discover_manifests, load_plugins
from core.host.environment import Environment, read_environment
from core.host.plugin import Plugin
from core.host.settings import Configuration
from core.host.versions import Configurations
from core.model.errors import DatabaseNotReady
from core.pipeline.commands import Desk, use_desk
from core.store.database import Database
from core.store.migrate import pending
from core.time.clock import Clock, SystemClock


class Session:
    """One command line's surroundings; nothing is opened before a command asks for it."""

    def __init__(self, assembly: Assembly, environ: Mapping[str, str] | None = None) -> None:
        self.assembly = assembly
        self.clock: Clock = SystemClock()
        self.timings: dict[str, float] = {}
        self._environ = environ
        self._plugins: dict[str, Plugin] | None = None

    @cached_property
    def environment(self) -> Environment:
        """Where things are. Raises ConfigurationRefused."""
        return read_environment(self._environ)

    @cached_property
    def database(self) -> Database:
        """The database, brought to this release's version. Raises DatabaseNotReady when it is not."""
        if self.is_absent:
            raise DatabaseNotReady(
                f"There is no database {self.unchecked_database.url.database} yet; run `outrigger migrate` to make it, "
                "or set OUTRIGGER_DATABASE_URL to where it is."
            )
        database = self.unchecked_database
        missing = pending(database, [])
        if missing:
            database.close()
            raise DatabaseNotReady(
                f"The database lacks migrations of this release ({', '.join(missing)}); run `outrigger migrate`."
            )
        return database

    @cached_property
    def unchecked_database(self) -> Database:
        """The database as it is, migrated or not; ask `is_absent` before reading it."""
        return Database(self.environment.database_url, pool_size=2)

    @property
    def is_absent(self) -> bool:
        """Whether this is an SQLite database whose file was not made yet; looking into it would make the file."""
        opened = self.unchecked_database
        return opened.is_sqlite and not Path(str(opened.url.database)).exists()

    def plugins(self) -> dict[str, Plugin]:
        """Return the plugins with their code; a broken one has its error."""
        if self._plugins is None:
            self._plugins = load_plugins(self.assembly.roots(self.environment), timings=self.timings)
        return self._plugins

    def manifests(self) -> dict[str, Plugin]:
        """Return the plugins without running their code."""
        return discover_manifests(self.assembly.roots(self.environment))

    def surroundings(self) -> Surroundings:
        """Return what plugins.toml is checked against."""
        return self.assembly.surroundings(self.plugins(), self.environment, self._environ)

    @cached_property
    def configurations(self) -> Configurations:
        """The configuration versions, with the plugins of this installation."""
        return Configurations(self.database, self.plugins())

    def configuration(self) -> Configuration:
        """Return the version in force. Raises ConfigurationRefused when nothing was applied yet."""
        return self.configurations.read()

    @property
    def remap(self) -> Callable[..., Any]:
        """What maps a rejected item again, by its source's adapter as configured now."""
        found: Callable[..., Any] = self.assembly.remap_factory(lambda: self.configuration().sources, self.clock)
        return found

    def open_desk(self) -> None:
        """Give a plugin's own command its desk: the database, the clock and the plugins' settings."""
        use_desk(Desk(self.database, self.clock, self.configuration))

    def close(self) -> None:
        """Close the database when it was opened."""
        if "unchecked_database" in self.__dict__:
            self.unchecked_database.close()


def plugin_name(value: str) -> str:
    """Return the plugin's name for what was typed: `lead-scoring` and `lead_scoring` are the same plugin."""
    return value.replace("-", "_")
