"""The case library over HTTP: lists, searches and the steps people take, below `/api/v1/cases`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response, jsonify, make_response, request

from core.api import InvalidRequest, NotFound, actor, allowed_units, api_blueprint, current_desk, hookimpl, require

from . import cases, schemas
from .models import Case
from .reading import Filters, as_json, list_cases, search_cases

blueprint = api_blueprint("case_capture", description="Cases: drafts, reviews and the published library.")


@hookimpl
def register_api() -> Any:
    """Contribute `/api/v1/cases`."""
    return blueprint


@blueprint.route("/cases", methods=["GET"])
@require("reader")
@blueprint.arguments(schemas.CaseListArguments, location="query")
@blueprint.response(200, schemas.CasePage)
def get_cases(query: Mapping[str, Any]) -> dict[str, Any]:
    """List cases, the last changed first."""
    filters = Filters(**{name: query.get(name) for name in Filters.__dataclass_fields__})
    with current_desk().read() as session:
        page, cursor = list_cases(
            session, filters, units=_units(filters.unit), cursor=query.get("cursor"), limit=query["limit"]
        )
        return {"items": [as_json(case) for case in page], "next": cursor}


@blueprint.route("/cases/search", methods=["GET"])
@require("reader")
@blueprint.arguments(schemas.SearchArguments, location="query")
@blueprint.response(200, schemas.SearchResult)
def get_search(query: Mapping[str, Any]) -> dict[str, Any]:
    """Search cases in Chinese and English; text in quotation marks must stand there as it is."""
    unit = query.get("unit")
    units = _units(unit)
    with current_desk().read() as session:
        found = search_cases(
            session,
            query["q"],
            units=frozenset({unit}) if unit else units,
            drafts=query["drafts"],
            kind=query.get("kind"),
            limit=query["limit"],
        )
    return {"items": found}


@blueprint.route("/cases/<case_id>", methods=["GET"])
@require("reader")
@blueprint.response(200, schemas.CaseDetail)
def get_case(case_id: str) -> Response:
    """Show a case with its history; the ETag is what an edit must name."""
    with current_desk().read() as session:
        case = cases.read_case(session, case_id, allowed_units())
        shown = _shown(case, history=cases.read_history(session, case_id))
    if request.if_none_match.contains_weak(str(case.version)):
        shown = make_response("", 304)
        shown.set_etag(str(case.version))
    return shown


@blueprint.route("/cases/<case_id>", methods=["PATCH"])
@require("operator")
@blueprint.arguments(schemas.CaseEdit)
@blueprint.response(200, schemas.CaseDetail)
def patch_case(body: Mapping[str, Any], case_id: str) -> Response:
    """Change the title or fields of a case; it becomes a draft again."""
    changed = cases.edit(
        case_id,
        _version(body),
        actor=actor(),
        fields=body.get("fields"),
        title=body.get("title"),
        reason=body.get("reason", ""),
        units=allowed_units(),
    )
    return _shown(changed)


@blueprint.route("/cases/<case_id>/review", methods=["POST"])
@require("operator")
@blueprint.arguments(schemas.CaseStep)
@blueprint.response(200, schemas.CaseDetail)
def review_case(body: Mapping[str, Any], case_id: str) -> Response:
    """Say that a draft is right and complete."""
    return _shown(cases.review(case_id, _version(body), actor=actor(), reason=body["reason"], units=allowed_units()))


@blueprint.route("/cases/<case_id>/publish", methods=["POST"])
@require("operator")
@blueprint.arguments(schemas.CaseStep)
@blueprint.response(200, schemas.CaseDetail)
def publish_case(body: Mapping[str, Any], case_id: str) -> Response:
    """Let search find a reviewed case, or confirm a published one that is in doubt."""
    return _shown(cases.publish(case_id, _version(body), actor=actor(), reason=body["reason"], units=allowed_units()))


@blueprint.route("/cases/<case_id>/withdraw", methods=["POST"])
@require("operator")
@blueprint.arguments(schemas.CaseStep)
@blueprint.response(200, schemas.CaseDetail)
def withdraw_case(body: Mapping[str, Any], case_id: str) -> Response:
    """Take a case out of search, with a reason."""
    return _shown(cases.withdraw(case_id, _version(body), actor=actor(), reason=body["reason"], units=allowed_units()))


def _units(asked: str | None) -> frozenset[str] | None:
    """Return the units the caller may see. Raises NotFound for another: what is not yours is not there."""
    units = allowed_units()
    if asked is not None and units is not None and asked not in units:
        raise NotFound(f'There is no unit "{asked[:80]}".')
    return units


def _version(body: Mapping[str, Any]) -> int:
    """Return the version the caller read: from If-Match, else from the body."""
    named = [tag for tag in request.if_match.as_set(include_weak=True) if tag.isdecimal()]
    if len(named) == 1:
        return int(named[0])
    if not request.headers.get("If-Match") and "version" in body:
        return int(body["version"])
    raise InvalidRequest(
        "Say which version you read: send the ETag of the case as If-Match, or `version` in the body.",
        errors=[{"path": "If-Match", "message": "Missing, or not the ETag of one version."}],
    )


def _shown(case: Case, history: list[Any] | None = None) -> Response:
    response = jsonify(as_json(case, history))
    response.set_etag(str(case.version))
    return response
