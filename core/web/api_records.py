"""The API of what is known and decided: records with their journey, leads, decisions."""

from __future__ import annotations

from typing import Any

from core.pipeline.undelivered import add_to_journey
from core.store.reading.decisions import DecisionFilter, list_decisions
from core.store.reading.journey import show_record
from core.store.reading.records import list_leads
from core.web import requests, schemas
from core.web.auth import allowed_units, require
from core.web.parsing import Blueprint
from core.web.services import services

records = Blueprint("records", __name__, url_prefix="/records", description="What is known of a record, and why.")
decisions = Blueprint("decisions", __name__, url_prefix="/decisions", description="What was decided, and why.")
leads = Blueprint("leads", __name__, url_prefix="/leads", description="Leads with score, grade and owner.")


@records.route("/<kind>/<path:record_id>")
@require("reader")
@records.arguments(requests.RecordQuery, location="query")
@records.response(200, schemas.RecordDetail)
def record(query: dict[str, Any], kind: str, record_id: str) -> dict[str, Any]:
    """Show a record: its snapshot, each field's version and origin, and its journey."""
    with services().database.read() as connection:
        found = show_record(connection, kind, record_id, **query, units=allowed_units())
        add_to_journey(connection, found["journey"], services().plugins())
        return found


@decisions.route("")
@require("reader")
@decisions.arguments(requests.DecisionQuery, location="query")
@decisions.response(200, schemas.page_of(schemas.Decision))
def decision_list(query: dict[str, Any]) -> dict[str, Any]:
    """List decisions, newest first."""
    cursor, limit = query.pop("cursor", None), query.pop("limit")
    with services().database.read() as connection:
        chosen = DecisionFilter(**query, units=allowed_units())
        return list_decisions(connection, chosen, cursor=cursor, limit=limit).as_dict()


@leads.route("")
@require("reader")
@leads.arguments(requests.LeadQuery, location="query")
@leads.response(200, schemas.page_of(schemas.Lead))
def lead_list(query: dict[str, Any]) -> dict[str, Any]:
    """List leads, the last changed first, with the decision that graded them."""
    with services().database.read() as connection:
        return list_leads(connection, **query, units=allowed_units()).as_dict()
