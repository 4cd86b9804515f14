"""Records a configuration version in the audit trail: the version itself, and each plugin it switched in a unit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import Connection

from core.host.toml_document import digest, dotted, read
from core.model.errors import printable
from core.store.audit import Act, append_all

if TYPE_CHECKING:
    from core.host.versions import Version

MAX_NAMES = 100
"""How many names of changed settings stand in the trail; the rest is counted."""

LONGEST_REASON = 500
_ACTIONS = {"file": "config.applied", "switch": "config.switched", "rollback": "config.rolled_back"}


def record_version(connection: Connection, before: Version | None, new: Version) -> None:
    """Write the rows of a new version: who and why, the hash of its document, names of what changed, no values."""
    changed = sorted(_changed(_document(before), _document(new)))
    reason = printable(new.reason, longest=LONGEST_REASON)
    details = {
        "version": new.number,
        "reason": reason,
        "document_sha256": digest(new.document),
        "changed": changed[:MAX_NAMES],
        "changed_count": len(changed),
    }
    acts = [Act(_ACTIONS.get(new.origin, "config.changed"), f"config {new.number}", details=details)]
    # Many units times many plugins are thousands of rows at a first start.
    acts += [
        Act(
            "plugin.enabled" if enabled else "plugin.disabled", f"{unit}/{plugin}", unit,
            {"version": new.number, "reason": reason},
        )
        for unit, plugin, enabled in _switched(before, new)
    ]  # fmt: skip
    append_all(connection, acts, actor=new.applied_by, now=new.applied_at)


def _document(version: Version | None) -> Mapping[str, Any]:
    return read(version.document, f"version {version.number}") if version is not None else {}


def _changed(before: Any, after: Any, *path: str) -> Iterator[str]:
    """Return the dotted names of the settings that differ."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in before.keys() | after.keys():
            yield from _changed(before.get(key, {}), after.get(key, {}), *path, key)
    elif before != after:
        yield dotted(path)


def _switched(before: Version | None, new: Version) -> list[tuple[str, str, bool]]:
    """Return (unit, plugin, whether it is on now) where that changed."""
    was, now = _states(before), _states(new)
    return [(*key, now.get(key, False)) for key in sorted(was | now) if was.get(key, False) != now.get(key, False)]


def _states(version: Version | None) -> dict[tuple[str, str], bool]:
    units = version.resolved.get("plugins", {}) if version is not None else {}
    return {(unit, name): bool(item["enabled"]) for unit, plugins in units.items() for name, item in plugins.items()}
