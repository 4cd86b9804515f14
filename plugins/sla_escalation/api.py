"""Clocks over HTTP: lists, one clock with its explanation, and how promises were kept, below `/api/v1/sla`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.api import NotFound, actor, allowed_units, api_blueprint, current_desk, hookimpl, require

from . import schemas
from .commands import recompute
from .reading import Filters, as_json, list_clocks, read_clock, rules_of, summary

blueprint = api_blueprint("sla_escalation", description="SLA clocks: where each stands, and why.")


@hookimpl
def register_api() -> Any:
    """Contribute `/api/v1/sla`."""
    return blueprint


@blueprint.route("/sla/clocks", methods=["GET"])
@require("reader")
@blueprint.arguments(schemas.ClockListArguments, location="query")
@blueprint.response(200, schemas.ClockPage)
def get_clocks(query: Mapping[str, Any]) -> dict[str, Any]:
    """List clocks, the earliest due first; `state=open` for all that are still to be fulfilled."""
    filters = Filters(**{name: query.get(name) for name in Filters.__dataclass_fields__})
    desk, units = current_desk(), _units(filters.unit)
    now = desk.now()
    with desk.read() as session:
        page, cursor = list_clocks(
            session, filters, now, units=units, cursor=query.get("cursor"), limit=query["limit"]
        )  # fmt: skip
        rules = rules_of(session, page)
        return {"items": [as_json(row, rules[row.rule], desk, now) for row in page], "next": cursor}


@blueprint.route("/sla/clocks/<clock_id>", methods=["GET"])
@require("reader")
@blueprint.response(200, schemas.ClockDetail)
def get_clock(clock_id: str) -> dict[str, Any]:
    """Show a clock with its explanation, as of now."""
    desk = current_desk()
    with desk.read() as session:
        row = read_clock(session, clock_id, allowed_units())
        return as_json(row, rules_of(session, [row])[row.rule], desk, desk.now(), explained=True)


@blueprint.route("/sla/summary", methods=["GET"])
@require("reader")
@blueprint.arguments(schemas.SummaryArguments, location="query")
@blueprint.response(200, schemas.Summary)
def get_summary(query: Mapping[str, Any]) -> dict[str, Any]:
    """Show how promises were kept, by month, unit and policy."""
    units = _units(query.get("unit"))
    desk = current_desk()
    with desk.read() as session:
        return {"items": summary(session, desk.now(), units=units, **query)}


@blueprint.route("/sla/recompute", methods=["POST"])
@require("operator")
@blueprint.arguments(schemas.RecomputeBody)
@blueprint.response(202, schemas.Recomputed)
def post_recompute(body: Mapping[str, Any]) -> dict[str, Any]:
    """Have a unit's open clocks recomputed by today's policies and calendar."""
    _units(body["unit"])
    records = recompute(current_desk(), body["unit"], actor=actor(), reason=body["reason"])
    return {"records": records, "unit": body["unit"]}


def _units(asked: str | None) -> frozenset[str] | None:
    """Return the units the caller may see. Raises NotFound for another: what is not yours is not there."""
    units = allowed_units()
    if asked is not None and units is not None and asked not in units:
        raise NotFound(f'There is no unit "{asked[:80]}".')
    return units
