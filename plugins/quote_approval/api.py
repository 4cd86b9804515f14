"""Approvals over HTTP, below `/api/v1/approvals`: what waits, why it came to whom, and decisions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from flask import Response, jsonify, make_response, request

from core.api import (
    InvalidRequest,
    NotFound,
    actor,
    allowed_units,
    api_blueprint,
    current_desk,
    hookimpl,
    idempotent,
    require,
)

from . import schemas
from .deciding import Said, decide, read_request
from .models import Asked, Request
from .reading import Filters, as_json, asked_about, list_requests

blueprint = api_blueprint("quote_approval", description="Quotes that wait for approval, and decisions about them.")


@hookimpl
def register_api() -> Any:
    """Contribute `/api/v1/approvals`."""
    return blueprint


@blueprint.route("/approvals", methods=["GET"])
@require("reader")
@blueprint.arguments(schemas.ListArguments, location="query")
@blueprint.response(200, schemas.RequestPage)
def get_approvals(query: Mapping[str, Any]) -> dict[str, Any]:
    """List requests, the newest first; `person` and `status=pending` show what waits for whom."""
    filters = Filters(**{name: query.get(name) for name in Filters.__dataclass_fields__})
    units = allowed_units()
    if filters.unit is not None and units is not None and filters.unit not in units:
        raise NotFound(f'There is no unit "{filters.unit[:80]}".')
    with current_desk().read() as session:
        page, cursor = list_requests(session, filters, units=units, cursor=query.get("cursor"), limit=query["limit"])
        return {"items": [as_json(item) for item in page], "next": cursor}


@blueprint.route("/approvals/<request_id>", methods=["GET"])
@require("reader")
@blueprint.response(200, schemas.RequestDetail)
def get_approval(request_id: str) -> Response:
    """Show a request with everybody who was asked; its `version` is what a decision must name."""
    with current_desk().read() as session:
        found = read_request(session, request_id, allowed_units())
        shown = _shown(found, asked_about(session, request_id))
    tag, _ = shown.get_etag()
    if tag is not None and request.if_none_match.contains_weak(tag):
        shown = make_response("", 304)
        shown.set_etag(tag)
    return shown


@blueprint.route("/approvals/<request_id>/decisions", methods=["POST"])
@require("operator")
@idempotent
@blueprint.arguments(schemas.ApprovalDecision)
@blueprint.response(201, schemas.RequestDetail)
def post_decision(body: Mapping[str, Any], request_id: str) -> tuple[Response, int]:
    """Approve, reject, ask back or answer: for a person who was asked, or as an administrator with a reason.

    Takes the ETag of the request as If-Match, or its `version` in the body; and an Idempotency-Key.
    """
    if body["by"] is None:
        _only_admins()
    said = Said(**{**body, "version": _version_read(body["version"])}, actor=actor(), how="api")
    made = decide(request_id, said, units=allowed_units())
    with current_desk().read() as session:
        return _shown(made, asked_about(session, request_id)), 201


@require("admin")
def _only_admins() -> None:
    """Raise NotAllowed for a key that may not decide in nobody's name."""


def _version_read(said: int | None) -> int:
    """Return the version the caller read: what the body says, else what If-Match begins with.

    Only the version is compared. Others of a level agree without disturbing one another, though each changes the ETag.
    """
    tags = request.if_match.as_set(include_weak=True)
    named = {int(tag.partition(".")[0]) for tag in tags if tag.partition(".")[0].isdecimal()}
    if request.headers.get("If-Match") and (len(named) != 1 or said not in (None, *named)):
        message = "Send the ETag of the request as you read it, and no other `version` beside it."
        raise InvalidRequest(message, errors=[{"path": "If-Match", "message": message}])
    if said is None and not named:
        message = "Say which version you read: `version` in the body, or the request's ETag as If-Match."
        raise InvalidRequest(message, errors=[{"path": "version", "message": message}])
    return said if said is not None else named.pop()


def _shown(found: Request, asked: list[Asked]) -> Response:
    response = jsonify(as_json(found, asked))
    response.set_etag(f"{found.version}.{hashlib.sha256(response.get_data()).hexdigest()[:32]}")
    return response
