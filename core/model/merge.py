"""Merges what an event says into what is known of a record, field by field, whatever order events arrive in.

Every leaf field carries the version of the event that last set it; an older event never overwrites a newer value and
an omitted field is never nulled by a delta. The functions are pure, so the same history gives the same record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

NESTED = ("contact", "price_basis", "extra", "counters")
"""Fields whose members are versioned one by one, since senders send them one by one."""

FLOOR = "*"
"""The pseudo-path whose version is that of the newest full event: what that omitted is known to be absent.

Followed by a nested field's name it is the version at which that field was last emptied as a whole.
"""

UNIONS = ("activities",)
"""Lists that only grow: the union of what was sent, in the order of their time."""


@dataclass(frozen=True, slots=True)
class RecordState:
    """What is known of a record: canonical JSON values, the version of each, and which values we wrote ourselves."""

    snapshot: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    own: frozenset[str] = frozenset()  # paths we set and the CRM has not yet reported back


@dataclass(frozen=True, slots=True)
class Merged:
    """The outcome of one merge."""

    state: RecordState
    changed: frozenset[str]  # top-level names whose value is another now
    superseded: bool  # every field it carried was already known in a newer version
    echo: bool  # it only reports back what we wrote ourselves


def merge(state: RecordState, data: Mapping[str, Any], version: str, *, completeness: str) -> Merged:
    """Merge an event's `data` (canonical values) of this `version` into `state`.

    `completeness` is `full`, `delta` or `id_only`; only a full event removes what it omits, and never what we set.
    """
    snapshot = dict(state.snapshot)
    versions = dict(state.versions)
    own = set(state.own)
    changed: set[str] = set()
    floor = versions.get(FLOOR, "")
    newer = older = same_as_ours = 0
    for name in _emptied(data):
        # A null for the whole of a nested field says that each of its members is absent from now on.
        if max(versions.get(FLOOR + name, ""), floor) > version:
            older += 1
            continue
        newer += 1
        versions[FLOOR + name] = version
        changed |= _remove_older(snapshot, versions, own, name, version)
    for path, value in _leaves(data):
        top = path.partition(".")[0]
        if top in UNIONS:
            united = _union(snapshot.get(top), value)
            if united != snapshot.get(top):
                snapshot[top] = united
                changed.add(top)
            elif top in own:
                same_as_ours += 1
            own.discard(top)
            continue
        if path != "id" and max(versions.get(path, ""), versions.get(FLOOR + top, ""), floor) > version:
            older += 1
            continue
        if path in own and _get(snapshot, path) == value:
            same_as_ours += 1
            own.discard(path)
            versions[path] = version
            continue
        if path != "id":
            newer += 1
            versions[path] = version
        if _get(snapshot, path) != value or not _has(snapshot, path):
            _set(snapshot, path, value)
            changed.add(top)
        own.discard(path)
    if completeness == "full" and version >= floor:
        changed |= _remove_omitted(snapshot, versions, own, data, version)
        versions[FLOOR] = version
    return Merged(
        state=RecordState(snapshot=snapshot, versions=versions, own=frozenset(own)),
        changed=frozenset(changed),
        superseded=bool(older) and not newer and not changed,
        echo=bool(same_as_ours) and not changed,
    )


def set_own(state: RecordState, fields: Mapping[str, Any]) -> RecordState:
    """Set fields by our own decision; they keep the version they had, so the CRM's next word on them wins."""
    snapshot = dict(state.snapshot)
    own = set(state.own)
    for path, value in _leaves(fields):
        _set(snapshot, path, value)
        own.add(path)
    return RecordState(snapshot=snapshot, versions=dict(state.versions), own=frozenset(own))


def _leaves(data: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for name, value in data.items():
        if name not in NESTED:
            yield name, value
        elif isinstance(value, Mapping):
            for member, inner in value.items():
                yield f"{name}.{member}", inner


def _emptied(data: Mapping[str, Any]) -> list[str]:
    return [name for name in NESTED if name in data and data[name] is None]


def _get(snapshot: Mapping[str, Any], path: str) -> Any:
    top, _, member = path.partition(".")
    value = snapshot.get(top)
    if not member:
        return value
    return value.get(member) if isinstance(value, Mapping) else None


def _has(snapshot: Mapping[str, Any], path: str) -> bool:
    top, _, member = path.partition(".")
    if not member:
        return top in snapshot
    value = snapshot.get(top)
    return isinstance(value, Mapping) and member in value


def _set(snapshot: dict[str, Any], path: str, value: Any) -> None:
    top, _, member = path.partition(".")
    if member:
        inner = snapshot.get(top)
        snapshot[top] = {**(inner if isinstance(inner, Mapping) else {}), member: value}
    else:
        snapshot[top] = value


def _union(known: Any, sent: Any) -> list[Any]:
    items = {repr(sorted(item.items())): item for item in [*(known or []), *(sent or [])]}
    return [items[key] for key in sorted(items, key=lambda key: (str(items[key].get("at")), key))]


def _remove_omitted(
    snapshot: dict[str, Any], versions: dict[str, str], own: set[str], data: Mapping[str, Any], version: str
) -> set[str]:
    sent = {path for path, _ in _leaves(data)} | {"id"}
    return _remove(snapshot, versions, own, [path for path in versions if path not in sent], version)


def _remove_older(
    snapshot: dict[str, Any], versions: dict[str, str], own: set[str], name: str, version: str
) -> set[str]:
    members = [path for path in versions if path.startswith(name + ".")]
    return _remove(snapshot, versions, own, members, version)


def _remove(
    snapshot: dict[str, Any], versions: dict[str, str], own: set[str], paths: Iterable[str], version: str
) -> set[str]:
    """Remove what is older than `version` and not our own; return the top-level names that lost something."""
    changed: set[str] = set()
    for path in paths:
        if path in own or path.startswith(FLOOR) or versions[path] >= version:
            continue
        del versions[path]
        top, _, member = path.partition(".")
        if not _has(snapshot, path):
            continue
        changed.add(top)
        inner = {key: value for key, value in snapshot[top].items() if key != member} if member else {}
        if inner:
            snapshot[top] = inner
        else:
            del snapshot[top]
    return changed
