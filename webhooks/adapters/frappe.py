"""Frappe, ERPNext, Helpdesk and Frappe CRM: one document a request, signed, with its doc event and status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from core.host.settings import SourceSettings
from core.model.errors import ItemRejected, did_you_mean
from core.model.events import Completeness
from core.model.inbound import InboundEvent, body_digest, inbound_event
from core.model.schemas import canonical_json
from webhooks.adapter import Adapter, Fault, InboundRequest, register_adapter
from webhooks.adapters.frappe_tables import DOCTYPES, LINE_FIELDS, PERCENTAGES, WAITING, Doctype
from webhooks.mapping import (
    canonical_instant,
    flat,
    instant_fields,
    object_of,
    put,
    read_instant,
    with_extra,
    zone_of,
)
from webhooks.option_faults import (
    field_table_faults,
    kind_table_faults,
    table_fault,
    type_table_faults,
    unknown_keys,
    zone_fault,
)
from webhooks.verifiers.known import FRAPPE

_ENVELOPE = frozenset({"doctype", "event", "name", "docstatus", "modified"})
_UTC = ZoneInfo("UTC")


@register_adapter("frappe")
class FrappeAdapter(Adapter):
    """A Frappe site. Its times are local and carry no offset, so `timezone` says where the site stands."""

    verifier = FRAPPE
    json_only = False  # without a configured header row, Frappe names no media type or a form's, and sends JSON

    def __init__(self, source: SourceSettings) -> None:
        super().__init__(source)
        options = source.options
        self._zone = zone_of(options) or _UTC
        self._doctypes = dict(DOCTYPES)
        for name, like in options.get("doctypes", {}).items():
            self._doctypes[name] = DOCTYPES[like]
        for name, statuses in options.get("statuses", {}).items():
            known = self._doctypes[name]
            self._doctypes[name] = replace(known, statuses={**known.statuses, **statuses})
        for name, fields in options.get("fields", {}).items():
            known = self._doctypes[name]
            self._doctypes[name] = replace(known, fields={**known.fields, **flat(fields)})

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> list[Fault]:
        """Return every fault of `timezone`, `doctypes`, `statuses` and `fields`."""
        faults = unknown_keys(options, ("timezone", "doctypes", "statuses", "fields")) + zone_fault(options)
        alike = options.get("doctypes", {})
        if table_fault(alike, "doctypes"):
            return faults + table_fault(alike, "doctypes")
        for name, like in alike.items():
            if like not in DOCTYPES:
                hint = did_you_mean(like, DOCTYPES)
                faults.append({"path": f"doctypes.{name}", "message": f"One of {', '.join(DOCTYPES)}.{hint}"})
        kinds = {name: doctype.kind for name, doctype in DOCTYPES.items()}
        kinds |= {name: kinds[like] for name, like in alike.items() if like in kinds}
        faults += kind_table_faults(options.get("statuses", {}), kinds, "statuses", type_table_faults)
        return faults + kind_table_faults(options.get("fields", {}), kinds, "fields", field_table_faults)

    def type_of(self, item: Any) -> str:
        """Show a rejected document as its doctype and doc event."""
        if not isinstance(item, dict):
            return ""
        return f"{item.get('doctype') or ''} {item.get('event') or ''}".strip()[:80]

    def event(self, item: Any, request: InboundRequest) -> InboundEvent:
        """Map one document; its doctype gives the kind, its doc event, docstatus and status the type."""
        document = object_of(item)
        name, doctype = document.get("doctype"), None
        if isinstance(name, str):
            doctype = self._doctypes.get(name)
        if name is None or name == "":
            raise ItemRejected('The document names no "doctype"; put it into the webhook\'s JSON: "{{ doc.doctype }}".')
        if doctype is None:
            hint = did_you_mean(str(name), self._doctypes)
            raise ItemRejected(f'The document\'s doctype is "{str(name)[:80]}", which is not mapped.{hint}')
        doc_event = str(document.get("event") or "on_update")[:80]
        modified = document.get("modified")
        occurred_at = request.received_at if modified is None else read_instant(modified, self._zone)
        if occurred_at is None:
            raise ItemRejected(f'modified: "{str(modified)[:40]}" is no time as Frappe writes it.')
        hint_of_version = canonical_json(document) if modified is None else str(modified)
        record_id = document.get("name")
        return inbound_event(
            source=self.source.slug,
            type=_event_type(doctype, doc_event, document),
            data=self._data(doctype, document),
            dedupe_key="doc:" + body_digest(f"{name}\x1f{record_id}\x1f{doc_event}\x1f{hint_of_version}".encode()),
            occurred_at=occurred_at,
            occurred_at_original=None if modified is None else str(modified)[:100],
            # The administrator chooses the fields, so what is not there is unknown, even of a new document.
            completeness=Completeness.DELTA,
            body_hash=body_digest(request.body),
        )

    def _data(self, doctype: Doctype, document: dict[str, Any]) -> dict[str, Any]:
        data: dict[str, Any] = {}
        if "name" in document:
            data["id"] = document["name"]
        instants = instant_fields(doctype.kind)
        used = set(_ENVELOPE)
        for path, theirs in doctype.fields.items():
            if theirs not in document:
                continue
            used.add(theirs)
            value = _value(theirs, document[theirs])
            if path == "lines":
                value = _lines(value)
            elif path in instants and value is not None:
                value = canonical_instant(path, value, self._zone)
            put(data, path, value)
        if document.get("doctype") == "Quotation" and "party_name" in document:
            used |= {"party_name", "quotation_to"}
            party = "lead_id" if document.get("quotation_to") == "Lead" else "customer_id"
            data.setdefault(party, _value("party_name", document["party_name"]))
        status = document.get("status")
        if doctype.kind == "complaint" and isinstance(status, str) and status in WAITING:
            data.setdefault("waiting_for", WAITING[status])
        extra = {key: value for key, value in document.items() if key not in used}
        if document.get("event") == "on_trash":
            extra["deleted"] = True
        return with_extra(data, extra)


def _event_type(doctype: Doctype, doc_event: str, document: Mapping[str, Any]) -> str:
    docstatus = str(document.get("docstatus", ""))
    status = document.get("status")
    if doc_event == "on_trash":
        return doctype.updated
    if doc_event == "on_cancel" or docstatus == "2":
        return doctype.cancelled
    if doc_event == "on_submit" or (doc_event == "after_insert" and docstatus == "1"):
        return doctype.submitted
    if doc_event == "after_insert":
        return doctype.created
    if doctype.kind == "lead" and document.get("converted") in (1, "1", True):
        return "lead.converted"
    return doctype.statuses.get(status, doctype.updated) if isinstance(status, str) else doctype.updated


def _value(theirs: str, value: Any) -> Any:
    """Frappe leaves a field that was emptied as an empty text; percentages become fractions."""
    if value == "":
        return None
    if theirs in PERCENTAGES and isinstance(value, (int, str, Decimal)) and not isinstance(value, bool):
        try:
            return Decimal(value) / 100
        except InvalidOperation:
            return value
    return value


def _lines(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [
        {ours: _value(theirs, row[theirs]) for ours, theirs in LINE_FIELDS.items() if theirs in row}
        if isinstance(row, dict)
        else row
        for row in value
    ]
