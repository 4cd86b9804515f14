"""Applies plugins.toml: the reviewed file becomes a new configuration version, or is refused as a whole.

Public: `apply(...)`, `apply_if_changed(...)` for `serve`, `rollback(...)`, `drift(...)`, `write_back(...)`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import structlog
from sqlalchemy.engine import Connection

from core.host.configuration import Surroundings, resolve
from core.host.toml_document import digest, edit, parse, read_text, value_at, write_text
from core.host.versions import Version, newest, note_file, store_version, version
from core.model.errors import ConfigurationConflict, ConfigurationRefused
from core.store.database import Database
from core.time.clock import Clock

Winner = Literal["file", "switches"]

_log = structlog.get_logger("outrigger.config")


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying did: the version now in force, and whether it is a new one."""

    number: int
    is_new: bool
    written_back: bool = False
    not_written: str = ""  # why the file could not follow


@dataclass(frozen=True, slots=True)
class Drift:
    """How the file and the version in force differ."""

    in_step: bool
    text: str
    file_changed: bool = False
    switches: tuple[str, ...] = field(default=())  # switched, but not in the file


def apply(
    database: Database,
    path: Path,
    around: Surroundings,
    *,
    clock: Clock,
    by: str,
    reason: str = "",
    wins: Winner | None = None,
) -> Applied:
    """Make the file a new version. Nothing is applied when it has faults, and nothing when it changes nothing.

    Raises ConfigurationRefused with every fault; ConfigurationConflict when newer switches say otherwise than the
    file and `wins` does not tell which of the two counts.
    """
    text = read_text(path)
    with database.read() as connection:
        before = newest(connection)
        conflicts = pending_switches(connection, before, parse(text, path.name)) if before else {}
    file_text = text
    if conflicts and wins is None:
        assert before is not None
        raise _conflict(path, before, conflicts)
    if conflicts and wins == "switches":
        text = edit(text, {tuple(dotted.split(".")): value for dotted, value in conflicts.items()}, path.name)
    resolved = resolve(text, around, switches=before.resolved["switches"] if before else None)
    if before is not None and resolved == before.resolved and text == before.document:
        if before.file_hash != digest(file_text) and file_text == text:
            with database.write() as connection:
                note_file(connection, before.number, digest(text))
        return Applied(before.number, is_new=False)
    new = Version(
        number=before.number + 1 if before else 1,
        applied_at=clock.now(),
        applied_by=by,
        reason=reason,
        origin="file",
        document=text,
        file_hash=digest(file_text),
        resolved=resolved,
    )
    with database.write() as connection:
        store_version(connection, new)
    _log.info("configuration applied", version=new.number, by=by)
    if text == file_text:
        return Applied(new.number, is_new=True)
    fault = write_back(database, path, new)
    return Applied(new.number, is_new=True, written_back=not fault, not_written=fault)


def apply_if_changed(database: Database, path: Path, around: Surroundings, *, clock: Clock, by: str) -> Applied:
    """Apply the file only when it, or what the environment overrides, is not what was last applied; for `serve`.

    A file that is missing or unchanged leaves the version in force. Raises like `apply`.
    """
    with database.read() as connection:
        before = newest(connection)
    if before is not None:
        if not path.exists():
            return Applied(before.number, is_new=False)
        same_file = digest(read_text(path)) in (before.file_hash, digest(before.document))
        if same_file and before.resolved["environment"] == dict(around.overrides):
            return Applied(before.number, is_new=False)
    return apply(database, path, around, clock=clock, by=by, reason="the file changed" if before else "first start")


def rollback(
    database: Database, path: Path, around: Surroundings, number: int, *, clock: Clock, by: str, reason: str
) -> Applied:
    """Make an older version's document the newest version, checked against today's plugins, and write it back."""
    with database.read() as connection:
        old, before = version(connection, number), newest(connection)
    assert before is not None
    stored = dataclasses.replace(around, overrides=before.resolved["environment"])
    resolved = resolve(old.document, stored, switches=old.resolved["switches"])
    if old.document == before.document and resolved == before.resolved:
        return Applied(before.number, is_new=False)
    new = dataclasses.replace(
        old, number=before.number + 1, applied_at=clock.now(), applied_by=by, origin="rollback",
        reason=reason or f"back to version {number}", file_hash=before.file_hash, resolved=resolved,
    )  # fmt: skip
    with database.write() as connection:
        store_version(connection, new)
    fault = write_back(database, path, new, previous=before)
    return Applied(new.number, is_new=True, written_back=not fault, not_written=fault)


def write_back(database: Database, path: Path, new: Version, *, previous: Version | None = None) -> str:
    """Write a version's document to the file when that is writable and was not edited; return why not, or ``.

    The version is committed before: should the process end in between, the file simply shows as drift.
    """
    known = {new.file_hash} | ({digest(previous.document)} if previous else set())
    try:
        text = read_text(path)
        if digest(text) not in known:
            return f"{path} was edited since it was last applied"
        write_text(path, new.document)
    except ConfigurationRefused as error:
        return error.message
    except OSError as error:
        return f"{path} is not writable: {error.strerror}"
    with database.write() as connection:
        note_file(connection, new.number, digest(new.document))
    return ""


def pending_switches(connection: Connection, current: Version, file: Mapping[str, Any]) -> dict[str, bool]:
    """Return the switches that are newer than the file last applied and that `file` contradicts, by dotted path."""
    if digest(current.document) == current.file_hash:
        return {}
    base = _last_applied_file(connection, current)
    found = {}
    for dotted, item in current.resolved["switches"].items():
        keys = dotted.split(".")
        is_newer = base is None or value_at(base, keys) is not item["enabled"]
        if is_newer and value_at(file, keys) is not item["enabled"]:
            found[dotted] = item["enabled"]
    return found


def _last_applied_file(connection: Connection, current: Version) -> dict[str, Any] | None:
    for number in range(current.number - 1, 0, -1):
        document = version(connection, number).document
        if digest(document) == current.file_hash:
            return parse(document, "an earlier version")
    return None


def _conflict(path: Path, current: Version, conflicts: Mapping[str, bool]) -> ConfigurationConflict:
    errors = []
    for dotted, enabled in conflicts.items():
        origin = current.resolved["switches"][dotted]["origin"]
        errors.append(
            {
                "path": f"{path.name}, {dotted}",
                "message": f"the server has {str(enabled).lower()} ({origin}), which the file does not say",
            }
        )
    listed = "\n".join(f"{error['path']}: {error['message']}" for error in errors)
    return ConfigurationConflict(
        f"{listed}\nThe file contradicts switches that are newer than it. Apply it with `--wins file` to drop the "
        "switches, or with `--wins switches` to keep them and have them written into the file.",
        errors=errors,
    )


def drift(connection: Connection, path: Path) -> Drift:
    """Say how the file and the version in force differ."""
    current = newest(connection)
    if current is None:
        return Drift(in_step=False, text="nothing was applied yet; run `outrigger config apply`", file_changed=True)
    try:
        text = read_text(path)
        file = parse(text, path.name)
    except ConfigurationRefused as error:
        return Drift(in_step=False, text=error.message, file_changed=True)
    if text == current.document:
        return Drift(in_step=True, text=f"the file is version {current.number}")
    switches = tuple(pending_switches(connection, current, file))
    changed = digest(text) != current.file_hash
    parts = []
    if changed:
        parts.append(f"the file was changed since version {current.number}; `outrigger config diff` shows how")
    if switches:
        parts.append(f"switched, but not in the file: {', '.join(switches)}")
    if not parts:
        parts.append(f"version {current.number} is not what the file says; `outrigger config diff` shows how")
    return Drift(in_step=False, text="; ".join(parts), file_changed=changed, switches=switches)
