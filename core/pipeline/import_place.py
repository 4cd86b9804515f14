"""The database of an import: made when it is new, refused when it is the server's or holds events of a CRM."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, make_url

from core.host.applying import apply
from core.host.assembly import Assembly
from core.host.configuration import resolve
from core.host.discovery import load_plugins
from core.host.environment import Environment, make_database_folder
from core.host.plugin import Plugin
from core.host.toml_document import read_text
from core.host.versions import Configurations
from core.model.errors import Conflict, DatabaseNotReady, NotFound, did_you_mean
from core.model.events import Origin
from core.model.instants import from_micros
from core.model.outcomes import EventStatus
from core.pipeline.import_lines import LINE_KEY, ImportFiles, earliest
from core.pipeline.importing import BATCH, Importer
from core.store.columns import status_in
from core.store.database import Database
from core.store.migrate import migrate, pending
from core.store.tables import events
from core.time.clock import Clock, FrozenClock

ADVICE = "Give the import a database of its own, such as --into sqlite:///history.sqlite3"


@dataclass(frozen=True, slots=True)
class ImportPlace:
    """An open database to import into, with the plugins and the configuration that the events meet there."""

    database: Database
    plugins: dict[str, Plugin]
    configurations: Configurations

    def files(self, paths: Sequence[Path], source: str | None = None) -> ImportFiles:
        """Check every line of the files. Raises NotFound for an unknown source, InvalidRequest for an unreadable file.

        `source` is that of lines which name none; without it the only configured source, if there is only one.
        """
        sources = list(self.configurations.read().sources)
        if source is not None and source not in sources:
            raise NotFound(f'There is no source "{source[:80]}".{did_you_mean(source, sources)}')
        found = ImportFiles(paths, sources, source or (sources[0] if len(sources) == 1 else None))
        found.scan()
        return found

    def importer(self, files: ImportFiles, now: Clock, *, batch: int = BATCH) -> Importer:
        """Return what imports the files: its clock begins at their first event, at `now` when there is none."""
        clock = FrozenClock(from_micros(earliest(files, now.now())))
        return Importer(self.database, clock, self.plugins, self.configurations, batch=batch)


@contextlib.contextmanager
def open_place(assembly: Assembly, environment: Environment, live_url: str, now: Clock) -> Iterator[ImportPlace]:
    """Open the database that `environment` names and apply its plugins.toml there; make the database when it is new.

    Raises Conflict for the server's own database, which `live_url` names, and for one with events of a CRM;
    DatabaseNotReady, ConfigurationRefused.
    """
    _refuse_the_servers_own(make_url(environment.database_url), make_url(live_url))
    plugins = load_plugins(assembly.roots(environment))
    around = assembly.surroundings(plugins, environment)
    if _is_new_file(make_url(environment.database_url)):
        resolve(read_text(environment.config_path), around)  # what is refused leaves no empty database behind
    make_database_folder(environment.database_url)
    database = Database(environment.database_url, pool_size=2)
    try:
        missing = pending(database, list(plugins.values()))
        if "core:0001" not in missing:
            with database.read() as connection:
                check_place(connection)
        _migrate(database, plugins, missing)
        apply(database, environment.config_path, around, clock=now, by="events import", reason="for an import")
        yield ImportPlace(database, plugins, Configurations(database, plugins))
    finally:
        database.close()


def _is_new_file(url: URL) -> bool:
    return url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists()


def _migrate(database: Database, plugins: dict[str, Plugin], missing: Sequence[str]) -> None:
    if "core:0001" in missing:
        migrate(database, list(plugins.values()))
    elif missing:
        raise DatabaseNotReady(
            f"That database lacks {len(missing)} migrations of this release ({', '.join(missing[:4])}); import into a "
            "new one, or run `outrigger migrate` with OUTRIGGER_DATABASE_URL set to it."
        )


def check_place(connection: Connection) -> None:
    """Refuse a database that holds events of a running business. Raises Conflict with what to do instead."""
    if connection.execute(sa.select(events.c.seq).limit(1)).first() is None:
        return
    sent = sa.and_(events.c.origin.in_([Origin.CRM, Origin.PERSON]), events.c.status != EventStatus.REJECTED)
    refused = sa.and_(status_in(EventStatus.REJECTED), events.c.raw.not_like(f'%"{LINE_KEY}"%'))
    for condition in (sent, refused):
        if connection.execute(sa.select(events.c.seq).where(condition).limit(1)).first() is not None:
            raise Conflict(f"That database holds events that came from a CRM and not by an import. {ADVICE}")


def _refuse_the_servers_own(url: URL, live_url: URL) -> None:
    # Also when it is empty: a server that runs on it would fire the timers of history by today's clock.
    if _same(url, live_url):
        raise Conflict(f"This is the server's own database, and its timers must not see old times. {ADVICE}")


def _same(one: URL, other: URL) -> bool:
    if "sqlite" in (one.get_backend_name(), other.get_backend_name()):
        return one.get_backend_name() == other.get_backend_name() and (
            Path(str(one.database)).resolve() == Path(str(other.database)).resolve()
        )
    return _server(one) == _server(other)


def _server(url: URL) -> tuple[str, int, str | None, Any]:
    """Return what tells databases apart on PostgreSQL; options may name a schema."""
    host = "localhost" if url.host in (None, "", "127.0.0.1", "::1") else str(url.host)
    return host, url.port or 5432, url.database, url.query.get("options")
