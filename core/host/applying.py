"""Applies plugins.toml: the reviewed file becomes a new configuration version, or is refused as a whole.

Public: `apply(...)`, `apply_if_changed(...)` for `serve`, `rollback(...)`, `drift(...)`; `refuse_emptied` for
`config check`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import structlog
from sqlalchemy.engine import Connection

from core.host.calendar_overlays import edited_overlays, stored_overlays
from core.host.changes import ATTEMPTS, Who, changes_between, check_expected, overlaid
from core.host.checked_settings import same_settings
from core.host.configuration import Surroundings, resolve
from core.host.file_state import pending_changes, write_back
from core.host.plugin_schema import plain
from core.host.toml_document import digest, dotted, parse, read_text
from core.host.toml_editing import edit
from core.host.versions import (
    Version,
    check_reason,
    current_number,
    last_applied,
    newest,
    note_file,
    store_version,
    version,
)
from core.model.errors import ConfigurationConflict, ConfigurationRefused
from core.model.schemas import canonical_json
from core.store.database import Database
from core.time.clock import Clock

Winner = Literal["file", "server"]

_log = structlog.get_logger("outrigger.config")


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying did: the version now in force, and whether it is a new one."""

    number: int
    is_new: bool
    written_back: bool = False
    not_written: str = ""  # why the file could not follow
    absent: tuple[str, ...] = ()  # plugins that it has and that are not installed; they stayed as they were


@dataclass(frozen=True, slots=True)
class Drift:
    """How the file and the version in force differ."""

    in_step: bool
    text: str
    file_changed: bool = False
    changes: tuple[str, ...] = ()  # dotted keys that were changed on the server and not in the file


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

    A plugin that the version in force has and that is not installed any more is no fault: its section stays,
    unchecked, and is told in `absent`. Raises ConfigurationRefused with every fault; ConfigurationConflict when newer
    changes say otherwise than the file and `wins` does not tell which of the two counts.
    """
    with database.read() as connection:
        before = newest(connection)
        # Read after the version: a change that is written into the file meanwhile is met when this one is stored.
        text = read_text(path)
        refuse_emptied(path, text, before)
        conflicts = pending_changes(connection, before, parse(text, path.name)) if before else {}
    file_text = text
    if conflicts and wins is None:
        assert before is not None
        raise _conflict(path, before, conflicts)
    if conflicts and wins == "server":
        text = edit(text, conflicts, path.name)
    resolved = resolve(text, around, before=before.resolved if before else None)
    absent = tuple(resolved["absent"])
    if before is not None and same_settings(resolved, before.resolved) and text == before.document:
        if before.file_hash != digest(file_text):
            with database.write() as connection:
                note_file(connection, before.number, digest(file_text))
        if text == file_text:
            return Applied(before.number, is_new=False, absent=absent)
        # The server's changes win, and they are all that the file says otherwise.
        fault = write_back(database, path, before)
        return Applied(before.number, is_new=False, written_back=not fault, not_written=fault, absent=absent)
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
        return Applied(new.number, is_new=True, absent=absent)
    fault = write_back(database, path, new)
    return Applied(new.number, is_new=True, written_back=not fault, not_written=fault, absent=absent)


def refuse_emptied(path: Path, text: str, before: Version | None) -> None:
    """Refuse a file that has become empty, as a full disk or an editor half-way leaves it: it would take all away."""
    if before is not None and before.document.strip() and not text.strip():
        raise ConfigurationRefused(
            f"The configuration file {path} is empty, and version {before.number} is not; `outrigger config export` "
            "prints that one. If everything is to go, leave a comment in the file."
        )


def apply_if_changed(database: Database, path: Path, around: Surroundings, *, clock: Clock, by: str) -> Applied:
    """Apply the file only when it, its overlay files or what the environment overrides changed since; for `serve`.

    What is missing or unchanged leaves the version in force, and an unchanged file is no word against changes that
    were made on the server. Raises like `apply`, but not when others make versions meanwhile.
    """
    for _ in range(ATTEMPTS):
        with database.read() as connection:
            before = newest(connection)
            has_edited_days = before is not None and _has_edited_days(connection, before, around)
        wins: Winner | None = None
        if before is not None:
            if not path.exists():
                return Applied(before.number, is_new=False)
            if digest(read_text(path)) in (before.file_hash, digest(before.document)):
                if before.resolved["environment"] == plain(around.overrides) and not has_edited_days:
                    return Applied(before.number, is_new=False)
                wins = "server"
        reason = "the file changed" if before else "first start"
        try:
            return apply(database, path, around, clock=clock, by=by, reason=reason, wins=wins)
        except ConfigurationConflict:
            with database.read() as connection:
                if current_number(connection) == (before.number if before else 0):
                    raise
    raise ConfigurationConflict("The configuration keeps changing; the file was not applied. Try again.")


def _has_edited_days(connection: Connection, current: Version, around: Surroundings) -> bool:
    """Whether an overlay file says something that nobody applied yet; a rollback leaves such files as they are."""
    edited = {name: now for name, now in edited_overlays(current.resolved, around.folder).items() if now}
    applied = last_applied(connection) if edited else None
    known = stored_overlays(applied.resolved if applied else None)
    return any(name not in known or known[name].digest != now for name, now in edited.items())


def rollback(
    database: Database, path: Path, around: Surroundings, number: int, *, clock: Clock, by: str, reason: str,
    expected: int | None = None,
) -> Applied:  # fmt: skip
    """Make an older version's document the newest version, checked against today's plugins, and write it back.

    `expected` is the version that has to be in force, if any has. Raises NotFound, InvalidRequest for a reason that is
    missing or too long, ConfigurationRefused, ConfigurationConflict.
    """
    check_reason(reason)
    with database.read() as connection:
        old, before = version(connection, number), newest(connection)
    assert before is not None
    check_expected(before, expected)
    now = clock.now()
    stored = dataclasses.replace(around, overrides=before.resolved["environment"])
    # What it takes back is a change too, so that a file edited from what was there before does not undo it unseen.
    again = changes_between(before.document, old.document, Who(by, now, reason, f"back to version {number}"))
    changed = {**before.resolved, "changes": overlaid(old.changes, again)}
    resolved = resolve(old.document, stored, before=changed, files_of=old.resolved)
    resolved_before = {**before.resolved, "changes": resolved["changes"]}
    if old.document == before.document and same_settings(resolved, resolved_before):
        return Applied(before.number, is_new=False, absent=tuple(resolved["absent"]))
    new = dataclasses.replace(
        old, number=before.number + 1, applied_at=now, applied_by=by, origin="rollback",
        reason=reason, file_hash=before.file_hash, resolved=resolved,
    )  # fmt: skip
    with database.write() as connection:
        store_version(connection, new)
    fault = write_back(database, path, new)
    return Applied(new.number, is_new=True, written_back=not fault, not_written=fault, absent=tuple(resolved["absent"]))


def _conflict(path: Path, current: Version, conflicts: Mapping[tuple[str, ...], Any]) -> ConfigurationConflict:
    origins = {tuple(item["path"]): item["origin"] for item in current.changes}
    errors = [
        {
            "path": f"{path.name}, {dotted(keys)}",
            "message": f"the server has {_shown(value)} ({origins[keys]}), which the file does not say",
        }
        for keys, value in conflicts.items()
    ]
    listed = "\n".join(f"{error['path']}: {error['message']}" for error in errors)
    return ConfigurationConflict(
        f"{listed}\nThe file contradicts changes that are newer than it. Apply it with `--wins file` to drop the "
        "changes, or with `--wins server` to keep them and have them written into the file.",
        errors=errors,
    )


def _shown(value: Any) -> str:
    text = canonical_json(plain(value))
    return "no such key" if value is None else text if len(text) <= 80 else f"{text[:79]}…"


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
    edited = edited_overlays(current.resolved, path.parent)
    days = [f"{name} {'was edited' if now else 'cannot be read'}" for name, now in edited.items()]
    if text == current.document:
        said = f"the file is version {current.number}"
        return Drift(in_step=not days, text="; ".join([said, *days]))
    changes = tuple(map(dotted, pending_changes(connection, current, file)))
    changed = digest(text) != current.file_hash
    parts = []
    if changed:
        parts.append(f"the file was changed since version {current.number}; `outrigger config diff` shows how")
    if changes:
        parts.append(f"changed on the server, but not in the file: {', '.join(changes)}")
    if not parts:
        parts.append(f"version {current.number} is not what the file says; `outrigger config diff` shows how")
    return Drift(in_step=False, text="; ".join([*parts, *days]), file_changed=changed, changes=changes)
