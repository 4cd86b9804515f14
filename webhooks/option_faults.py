"""Finds what is wrong with a source's options; each fault has a path and says what would be right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from core.model.errors import ItemRejected, did_you_mean
from core.model.events import kind_of
from core.model.schemas import known_fields
from webhooks.adapter import Fault
from webhooks.mapping import flat, is_field, zone_of


def field_fault(kind: str, path: str, where: str) -> list[Fault]:
    """Return the fault of a field that a kind does not have, with the nearest one it has."""
    if is_field(kind, path):
        return []
    hint = did_you_mean(path, known_fields(kind))
    return [{"path": where, "message": f'A {kind} has no field "{path}".{hint}'}]


def type_fault(event_type: Any, where: str) -> list[Fault]:
    """Return the fault of a text that is no event type a CRM may send."""
    if not isinstance(event_type, str):
        return [{"path": where, "message": "An event type is a text such as lead.created."}]
    try:
        kind_of(event_type)
    except ItemRejected as error:
        return [{"path": where, "message": error.message}]
    return []


def unknown_keys(options: Mapping[str, Any], known: Iterable[str], where: str = "") -> list[Fault]:
    """Return a fault for every key that is not known, with the nearest one that is."""
    names = list(known)
    return [
        {"path": f"{where}{key}", "message": f'There is no option "{key}".{did_you_mean(key, names)}'}
        for key in options
        if key not in names
    ]


def table_fault(value: Any, where: str) -> list[Fault]:
    """Return the fault of an option that must be a table of texts."""
    if isinstance(value, Mapping) and all(isinstance(item, str) for item in value.values()):
        return []
    return [{"path": where, "message": "This must be a table whose values are texts."}]


def zone_fault(options: Mapping[str, Any]) -> list[Fault]:
    """Return the fault of a `timezone` that names no zone."""
    if "timezone" not in options or zone_of(options) is not None:
        return []
    return [{"path": "timezone", "message": "This must name a time zone such as Asia/Shanghai."}]


def type_table_faults(kind: str, table: Any, where: str) -> list[Fault]:
    """Return the faults of a table from a sender's states to event types of one kind."""
    faults = table_fault(table, where)
    if faults:
        return faults
    for state, event_type in table.items():
        wrong = type_fault(event_type, f"{where}.{state}")
        if not wrong and not event_type.startswith(kind + "."):
            wrong = [{"path": f"{where}.{state}", "message": f"This must be an event of a {kind}."}]
        faults += wrong
    return faults


def field_table_faults(kind: str, table: Any, where: str) -> list[Fault]:
    """Return the faults of a table from the fields of one kind to a sender's names."""
    table = flat(table)
    faults = table_fault(table, where)
    return faults or [fault for path in table for fault in field_fault(kind, path, f"{where}.{path}")]


def kind_table_faults(
    tables: Any, kinds: Mapping[str, str], option: str, check: Callable[[str, Any, str], list[Fault]]
) -> list[Fault]:
    """Return the faults of a table of tables, one for each of the sender's objects, whose kinds are given."""
    if not isinstance(tables, Mapping):
        return [{"path": option, "message": "This must be a table with one table for each object."}]
    faults = unknown_keys(tables, kinds, f"{option}.")
    for name, table in tables.items():
        if name in kinds:
            faults += check(kinds[name], table, f"{option}.{name}")
    return faults
