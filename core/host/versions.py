"""Keeps configuration versions: numbered, immutable, in the database, and picked up by every process.

Public: `Configurations(database, plugins).current(connection)` is the cached way for processes that run;
`current(database, plugins)` reads once; `current_number(connection)` is the cheap check; `newest`, `version` and
`history` read what is stored; `store_version` adds one. Applying and switching are in `applying` and `switches`.
"""

from __future__ import annotations

import dataclasses
import re
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.host.configuration import ConfigFaults, LoadedConfigs, Resolved, build
from core.host.plugin import Plugin
from core.host.settings import Configuration
from core.host.version_trail import record_version
from core.model.errors import ConfigurationConflict, ConfigurationRefused, InvalidRequest, NotFound
from core.model.instants import format_instant
from core.store.database import Database
from core.store.tables import config_versions

LONGEST_REASON = 500
LONGEST_NAME = 200
_NO_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_NUMBER = sa.select(sa.func.coalesce(sa.func.max(config_versions.c.number), 0))


@dataclass(frozen=True, slots=True)
class Version:
    """One row of the configuration's history."""

    number: int
    applied_at: datetime
    applied_by: str
    reason: str
    origin: str  # file, switch, change or rollback
    document: str
    file_hash: str
    resolved: Resolved

    @property
    def changes(self) -> list[dict[str, Any]]:
        """What was changed beside the file and still holds: path, value (None: removed), by, at, reason, origin."""
        return list(self.resolved.get("changes", ()))

    def outline(self) -> dict[str, Any]:
        """Return what a list shows of it."""
        return {
            "number": self.number,
            "applied_at": format_instant(self.applied_at),
            "applied_by": self.applied_by,
            "origin": self.origin,
            "reason": self.reason,
        }


def absent_plugins(found: Version | None, installed: Collection[str]) -> dict[str, list[str]]:
    """Return the plugins that a version switches on somewhere and that are not installed, each with those units."""
    absent: dict[str, list[str]] = {}
    for unit, plugins in (found.resolved["plugins"] if found is not None else {}).items():
        for name, item in plugins.items():
            if item["enabled"] and name not in installed:
                absent.setdefault(name, []).append(unit)
    return absent


def nothing_applied() -> ConfigurationRefused:
    """Return the letter for a server without a first version."""
    return ConfigurationRefused("No configuration was applied yet; run `outrigger config apply`.")


def current_number(connection: Connection) -> int:
    """Return the number of the version in force; 0 when nothing was applied yet. One look into an index."""
    return int(connection.execute(_NUMBER).scalar_one())


def newest(connection: Connection) -> Version | None:
    """Return the version in force, or None when nothing was applied yet."""
    row = connection.execute(sa.select(config_versions).order_by(config_versions.c.number.desc()).limit(1)).first()
    return None if row is None else Version(*row)


def last_applied(connection: Connection) -> Version | None:
    """Return the newest version that was made of the file, or None when nothing was applied yet."""
    table = config_versions.c
    found = sa.select(config_versions).where(table.origin == "file").order_by(table.number.desc()).limit(1)
    row = connection.execute(found).first()
    return None if row is None else Version(*row)


def version(connection: Connection, number: int) -> Version:
    """Return one version. Raises NotFound."""
    last = current_number(connection)
    if 0 < number <= last:  # and so one that the column can hold
        row = connection.execute(sa.select(config_versions).where(config_versions.c.number == number)).first()
        if row is not None:
            return Version(*row)
    newest_is = f"the newest is {last}" if last else "nothing was applied yet; run `outrigger config apply`"
    raise NotFound(f"There is no configuration version {number}: {newest_is}.")


def history(connection: Connection, limit: int = 50) -> list[dict[str, Any]]:
    """Return the newest versions without their documents, the newest first."""
    table = config_versions.c
    rows = connection.execute(
        sa.select(table.number, table.applied_at, table.applied_by, table.reason, table.origin)
        .order_by(table.number.desc())
        .limit(limit)
    )
    return [Version(*row, "", "", {}).outline() for row in rows]


def store_version(connection: Connection, new: Version) -> None:
    """Add a version inside the caller's write transaction. Raises ConfigurationConflict when another was faster.

    What is not made of the file keeps what is noted of it until now, not what was when the version was thought of.
    """
    check_words(new.applied_by, new.reason)
    lock_versions(connection)
    if current_number(connection) != new.number - 1:
        raise ConfigurationConflict("The configuration was changed meanwhile; look at it and try again.")
    before = newest(connection)
    if before is not None and new.origin != "file":
        new = dataclasses.replace(new, file_hash=before.file_hash)
    connection.execute(
        sa.insert(config_versions).values(
            number=new.number, applied_at=new.applied_at, applied_by=new.applied_by, reason=new.reason,
            origin=new.origin, document=new.document, file_hash=new.file_hash, resolved=new.resolved,
        )
    )  # fmt: skip
    record_version(connection, before, new)


def lock_versions(connection: Connection) -> None:
    """Let no other transaction make a version before this one ends."""
    if connection.dialect.name != "sqlite":  # where a write transaction is alone anyway
        connection.exec_driver_sql("LOCK TABLE config_versions IN SHARE ROW EXCLUSIVE MODE")


def check_reason(reason: str) -> None:
    """Refuse a change that nobody gave a reason for. Raises InvalidRequest."""
    if not reason.strip():
        raise InvalidRequest("Say why: the reason is missing.", errors=[{"path": "reason", "message": "Missing."}])


def check_words(by: str, reason: str) -> None:
    """Check who and why: each one line of text of limited length. Raises InvalidRequest."""
    for name, said, longest in (("by", by, LONGEST_NAME), ("reason", reason, LONGEST_REASON)):
        if len(said) > longest:
            raise InvalidRequest(
                f"The {name} has {len(said)} characters; at most {longest} are kept.",
                errors=[{"path": name, "message": f"Longer than {longest} characters."}],
            )
        if _NO_LINE.search(said):
            raise InvalidRequest(
                f"The {name} must be one line of text without control characters.",
                errors=[{"path": name, "message": "Only one line of text without control characters."}],
            )


def note_file(connection: Connection, number: int, file_hash: str) -> None:
    """Note that the file now says what version `number` says; the one thing of a version that may still change."""
    connection.execute(sa.update(config_versions).where(config_versions.c.number == number).values(file_hash=file_hash))


class Configurations:
    """Gives the version in force to a running process; built once per version, then shared.

    With `plugins` every setting's `config` is the plugin's own typed value; without, in processes that run no plugin
    code, it is None.
    """

    def __init__(self, database: Database, plugins: Mapping[str, Plugin] | None = None) -> None:
        self._database = database
        self._plugins = plugins
        self._held: tuple[Configuration, ConfigFaults] | None = None
        self._loaded: LoadedConfigs = {}
        self._building = threading.Lock()

    def current(self, connection: Connection, number: int | None = None) -> Configuration:
        """Return the version in force as this connection sees it. Raises ConfigurationRefused when there is none.

        `number` is its number where the caller has just looked.
        """
        if number is None:
            number = current_number(connection)
        held = self._held
        if held is not None and held[0].number == number:
            return held[0]
        found = newest(connection)
        if found is None:
            raise nothing_applied()
        with self._building:
            held = build(found.number, found.resolved, self._plugins, self._loaded)
        self._held = held  # one assignment, so that threads see the old one or the new one, never a mixture
        return held[0]

    def read(self) -> Configuration:
        """Return the version in force, over a connection of its own."""
        with self._database.read() as connection:
            return self.current(connection)

    @property
    def faults(self) -> ConfigFaults:
        """Why plugins cannot read their stored settings, by (unit, plugin); of the version last looked at."""
        return self._held[1] if self._held is not None else {}


def current(database: Database, plugins: Mapping[str, Plugin] | None = None) -> Configuration:
    """Return the version in force. Raises ConfigurationRefused when nothing was applied yet."""
    return Configurations(database, plugins).read()
