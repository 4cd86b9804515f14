"""Checks the options of the generic adapter: every expression, type and field, before anything is applied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.model.events import Completeness
from core.model.records import KINDS
from webhooks.adapter import Fault
from webhooks.adapters.expressions import compile_expression
from webhooks.adapters.generic_auth import auth_faults
from webhooks.mapping import flat, is_field
from webhooks.option_faults import table_fault, type_fault, unknown_keys, zone_fault

EXPRESSIONS = ("items", "type", "id", "event_id", "version", "occurred_at", "unit")
_OPTIONS = (*EXPRESSIONS, "types", "fields", "completeness", "timezone", "auth", "envelope")
COMPLETENESS = tuple(str(word) for word in Completeness)


def option_faults(options: Mapping[str, Any]) -> list[Fault]:
    """Return every fault: unknown keys, expressions that do not compile, types and fields not known."""
    faults = unknown_keys(options, _OPTIONS) + auth_faults(options.get("auth", {})) + zone_fault(options)
    for name in ("type", "id"):
        if name not in options:
            faults.append({"path": name, "message": f"Say by a JMESPath expression where the {name} stands."})
    texts = {name: options[name] for name in EXPRESSIONS if name in options}
    if options.get("completeness", "full") not in COMPLETENESS:
        texts["completeness"] = options["completeness"]
    fields = flat(options.get("fields", {}))
    table_faults = table_fault(fields, "fields")
    if not table_faults:
        texts |= {f"fields.{path}": text for path, text in fields.items()}
        faults += [fault for path in fields for fault in _field_faults(path)]
    faults += table_faults
    for where, text in texts.items():
        try:
            compile_expression(text, where)
        except ValueError as error:
            faults.append({"path": where, "message": str(error)})
    types = options.get("types", {})
    table_faults = table_fault(types, "types")
    if not table_faults:
        faults += [fault for key, name in types.items() for fault in type_fault(name, f"types.{key}")]
    envelope = options.get("envelope", [])
    if not isinstance(envelope, (list, tuple)) or not all(isinstance(name, str) for name in envelope):
        faults.append({"path": "envelope", "message": "This must be a list of names of top-level fields."})
    return faults + table_faults


def _field_faults(path: str) -> list[Fault]:
    if path != "id" and any(is_field(kind, path) for kind in KINDS):
        return []
    return [{"path": f"fields.{path}", "message": f'No kind of record has a field "{path}" to fill.'}]
