"""Changes keys of plugins.toml on the running server: a new version with who, when and why, written into the file.

Public: `change(...)` for any keys; `switches.switch` is one use of it. `Who`, `changes_between`, `overlaid` and
`check_expected` are shared with `applying`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path as FilePath
from typing import Any

import structlog
from sqlalchemy.engine import Connection

from core.host.change_checks import check_changes, is_switch, needed
from core.host.configuration import Resolved, Surroundings, resolve
from core.host.file_state import write_back
from core.host.plugin_schema import plain
from core.host.toml_document import MAX_FILE, digest, dotted, read, same
from core.host.toml_editing import edit
from core.host.versions import (
    Version,
    check_reason,
    check_words,
    current_number,
    newest,
    nothing_applied,
    store_version,
)
from core.model.errors import ConfigurationConflict, ConfigurationRefused
from core.store.database import Database
from core.time.clock import Clock

ATTEMPTS = 20
"""How often a change is decided anew when others make versions meanwhile; each time one of them gets through."""

Path = tuple[str, ...]

_log = structlog.get_logger("outrigger.config")


@dataclass(frozen=True, slots=True)
class Who:
    """Who changed something, when and why; `done` says it in the past tense, such as `set`."""

    by: str
    at: datetime
    reason: str
    done: str = ""

    def origin(self, done: str) -> str:
        """Return what stands as a value's origin."""
        return f'{self.done or done} by {self.by}, {self.at.day} {self.at:%b %Y}, "{self.reason}"'


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change did: the version in force, the plugins switched by it, and whether the file followed."""

    number: int
    is_new: bool
    switched: tuple[tuple[str, str, bool], ...] = ()  # unit, plugin, whether it is on now
    written_back: bool = False
    not_written: str = ""  # why the file could not follow


def change(
    database: Database,
    path: FilePath,
    around: Surroundings,
    *,
    changes: Mapping[Path, Any],
    by: str,
    reason: str,
    clock: Clock,
    also: Callable[[Connection], object] | None = None,
    expected: int | None = None,
) -> Changed:
    """Set keys of plugins.toml, all of them or none; None removes a key. Saying what is there already changes nothing.

    `changes` has a value for each path of keys. A plugin's `enabled` is a switch: set in a unit it counts there, set
    for all it also replaces what single units say. `also` runs in the transaction that commits the change.
    `expected` is the version that has to be in force, if any has. Raises InvalidRequest for what TOML cannot hold and
    for a reason that is missing or too long, NotFound for an unknown plugin or unit, PluginRefused for a plugin that
    cannot run, ConfigurationRefused with every fault, ConfigurationConflict when somebody else was faster.
    """
    check_reason(reason)
    check_words(by, reason)
    for _ in range(ATTEMPTS):
        with database.read() as connection:
            before = newest(connection)
        if before is None:
            raise nothing_applied()
        check_expected(before, expected)
        new = _next_version(before, around, changes, Who(by, clock.now(), reason))
        try:
            with database.write() as connection:
                if new is not None:
                    store_version(connection, new)
                elif current_number(connection) != before.number:
                    continue  # what is there already may be so no more
                if also is not None:
                    also(connection)
        except ConfigurationConflict:
            continue  # somebody else made a version meanwhile: decide again on that one
        if new is None:
            return Changed(before.number, is_new=False)
        keys = [dotted(item) for item in changes]
        _log.info("configuration changed", version=new.number, keys=keys, by=by, reason=reason)
        fault = write_back(database, path, new)
        switched = tuple(_switched(before.resolved, new.resolved))
        return Changed(new.number, is_new=True, switched=switched, written_back=not fault, not_written=fault)
    raise ConfigurationConflict("The configuration keeps changing; nothing was changed. Try again.")


def check_expected(before: Version, expected: int | None) -> None:
    """Raise ConfigurationConflict when another version is in force than the one somebody looked at."""
    if expected is not None and before.number != expected:
        raise ConfigurationConflict(
            f"The configuration was changed meanwhile: version {before.number} is in force, not {expected}. Look at it "
            "and try again."
        )


def _next_version(before: Version, around: Surroundings, changes: Mapping[Path, Any], who: Who) -> Version | None:
    """Return the version that the changes make, or None when everything is as asked already."""
    check_changes(changes, before, around)
    wanted = needed(changes, before, around.file_name)
    text = edit(before.document, wanted, around.file_name)
    made = changes_between(before.document, text, who)
    if not made:
        return None
    if len(text.encode()) > MAX_FILE:
        raise ConfigurationRefused(f"{around.file_name} would be larger than {MAX_FILE} bytes.")
    # While the file says what is in force nobody need remember what was removed from both.
    is_in_step = digest(before.document) == before.file_hash
    earlier = [item for item in before.changes if item["value"] is not None or not is_in_step]
    stored = dataclasses.replace(around, overrides=before.resolved["environment"])
    changed = {**before.resolved, "changes": overlaid(earlier, made)}
    resolved = resolve(text, stored, before=changed, files_of=before.resolved)
    return Version(
        number=before.number + 1,
        applied_at=who.at,
        applied_by=who.by,
        reason=who.reason,
        origin="switch" if all(is_switch(item["path"]) for item in made) else "change",
        document=text,
        file_hash=before.file_hash,
        resolved=resolved,
    )


def changes_between(before: str, after: str, who: Who) -> list[dict[str, Any]]:
    """Return every key that differs between two documents, with its new value, or None where it is gone."""
    found = []
    for path, value in _differences(read(before, "the version before"), read(after, "the version after")):
        done = "removed" if value is None else "switched" if is_switch(path) else "set"
        found.append(
            {
                "path": list(path),
                "value": plain(value),
                "by": who.by,
                "at": who.at.isoformat(),
                "reason": who.reason,
                "origin": who.origin(done),
            }
        )
    return found


def overlaid(earlier: Sequence[dict[str, Any]], later: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Lay later changes over earlier ones; the last word on a key counts."""
    return list({tuple(item["path"]): item for item in [*earlier, *later]}.values())


def _differences(before: Any, after: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield the keys that differ, down to single values; a table that is gone is one key."""
    for key in dict.fromkeys([*before, *after]):
        here, old, new = (*path, key), before.get(key), after.get(key)
        if isinstance(new, Mapping) and new and (old is None or isinstance(old, Mapping)):
            yield from _differences(old or {}, new, here)
        elif isinstance(new, Mapping) and new:
            yield from _differences({}, new, here)
        elif not same(old, new):
            yield here, new


def _switched(before: Resolved, after: Resolved) -> Iterator[tuple[str, str, bool]]:
    for unit, plugins in after["plugins"].items():
        for name, item in plugins.items():
            if before["plugins"].get(unit, {}).get(name, {}).get("enabled", False) is not item["enabled"]:
                yield unit, name, item["enabled"]
