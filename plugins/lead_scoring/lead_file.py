"""Reads a lead from a JSON file, so that rules can be tried on it before any CRM sends it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC
from decimal import Decimal
from pathlib import Path
from typing import Any

import marshmallow as ma

from core.api import Activity, Contact, InvalidRequest, Lead


class _ContactSchema(ma.Schema):
    name = ma.fields.String()
    email = ma.fields.String()
    phone = ma.fields.String()


class _ActivitySchema(ma.Schema):
    type = ma.fields.String(required=True)
    at = ma.fields.AwareDateTime(format="iso", required=True, default_timezone=UTC)
    detail = ma.fields.String()


class _LeadSchema(ma.Schema):
    id = ma.fields.String(load_default="try")
    name = ma.fields.String()
    company = ma.fields.String()
    contact = ma.fields.Nested(_ContactSchema)
    source = ma.fields.String()
    industry = ma.fields.String()
    region = ma.fields.String()
    city = ma.fields.String()
    products = ma.fields.List(ma.fields.String())
    annual_volume = ma.fields.Decimal()
    budget = ma.fields.Decimal()
    currency = ma.fields.String()
    requirement = ma.fields.String()
    owner = ma.fields.String()
    status = ma.fields.String()
    created_at = ma.fields.AwareDateTime(format="iso", default_timezone=UTC)
    customer_id = ma.fields.String()
    lost_reason = ma.fields.String()
    counters = ma.fields.Dict(keys=ma.fields.String(), values=ma.fields.Integer(strict=True))
    activities = ma.fields.List(ma.fields.Nested(_ActivitySchema))
    extra = ma.fields.Dict(keys=ma.fields.String())


def read_lead(path: Path) -> Lead:
    """Read a lead from a file that holds one, or holds an event body with the lead under `data`.

    Fields that a lead does not have are kept in `extra`, as the server does. Raises InvalidRequest with
    every fault.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"{path.name} cannot be read as JSON: {error}") from None
    if isinstance(value, Mapping) and isinstance(value.get("data"), Mapping):
        value = value["data"]
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"{path.name} holds no lead: a JSON object with its fields is expected.")
    schema = _LeadSchema()
    known = {key: item for key, item in value.items() if key in schema.fields and item is not None}
    more = {key: item for key, item in value.items() if key not in schema.fields}
    try:
        loaded: dict[str, Any] = schema.load(known)
    except ma.ValidationError as error:
        faults = [{"path": f"lead.{path_}", "message": text} for path_, text in sorted(_flat(error.messages_dict))]
        told = "; ".join(f"{fault['path']}: {fault['message']}" for fault in faults)
        raise InvalidRequest(f"{path.name} does not hold a lead as it should be: {told}", errors=faults) from None
    return Lead(
        **loaded
        | {
            "contact": Contact(**loaded.get("contact", {})),
            "products": tuple(loaded.get("products", ())),
            "activities": tuple(Activity(**item) for item in loaded.get("activities", ())),
            "extra": {**more, **loaded.get("extra", {})},
        }
    )


def _flat(messages: Any, path: str = "") -> list[tuple[str, str]]:
    if isinstance(messages, Mapping):
        deeper = [_flat(value, f"{path}.{key}" if path else str(key)) for key, value in messages.items()]
        return [pair for pairs in deeper for pair in pairs]
    return [(path, str(text)) for text in messages]
