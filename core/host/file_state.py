"""What plugins.toml says beside the version in force: the changes it does not know yet, and writing them into it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.host.toml_document import digest, read, read_text, same, value_at, write_text
from core.host.versions import Version, current_number, lock_versions, note_file, version
from core.model.errors import ConfigurationRefused
from core.store.database import Database
from core.store.tables import config_versions

Path = tuple[str, ...]

MANY = 100
"""So many versions are looked at for one whose document the file may hold."""


def write_back(database: Database, path: FilePath, new: Version) -> str:
    """Write a version's document to the file when that is writable and was not edited; return why not, or \"\".

    The version is committed before: should the process end in between, the file simply shows as drift. When a newer
    version was made meanwhile, whoever made that one writes it, with this version's changes in it.
    """
    with database.write() as connection:
        lock_versions(connection)  # or the older of two versions could be written last
        if current_number(connection) != new.number:
            return ""
        new = version(connection, new.number)  # what is noted of the file may be newer than what the maker knew
        try:
            text = read_text(path)
            if digest(text) not in _written_by_us(connection, new):
                return f"{path} was edited since it was last applied"
            if text != new.document:
                write_text(path, new.document)
        except ConfigurationRefused as error:
            return error.message
        except OSError as error:
            return f"{path} is not writable: {error.strerror}"
        note_file(connection, new.number, digest(new.document))
    return ""


def _written_by_us(connection: Connection, new: Version) -> set[str]:
    """Return the hashes that an unedited file may have: the file last applied, and the versions made since."""
    table = config_versions.c
    rows = connection.execute(
        sa.select(table.origin, table.document, table.file_hash)
        .where(table.number < new.number)
        .order_by(table.number.desc())
        .limit(MANY)
    )
    known = {new.file_hash}
    for origin, document, file_hash in rows:
        known.add(digest(document))
        if new.file_hash in (digest(document), file_hash if origin == "file" else ""):
            break
    return known


def pending_changes(connection: Connection, current: Version, file: Mapping[str, Any]) -> dict[Path, Any]:
    """Return the changes that are newer than the file last applied and that `file` contradicts; None is a removal."""
    if digest(current.document) == current.file_hash:
        return {}
    base = _last_applied_file(connection, current)
    document = read(current.document, f"version {current.number}")
    found: dict[Path, Any] = {}
    for item in current.changes:
        path = tuple(item["path"])
        value = value_at(document, path)
        is_newer = base is None or not same(value_at(base, path), value)
        if is_newer and not same(value_at(file, path), value):
            found[path] = value
    return found


def _last_applied_file(connection: Connection, current: Version) -> Mapping[str, Any] | None:
    """Return what the file said when it was last applied; of many large versions only the documents are looked at."""
    for number in range(current.number - 1, 0, -1):
        row = connection.execute(
            sa.select(config_versions.c.document).where(config_versions.c.number == number)
        ).first()
        if row is not None and digest(row.document) == current.file_hash:
            return read(row.document, "an earlier version")
    return None
