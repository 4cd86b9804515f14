"""The API of the audit trail: who did what and when; a key of some units sees what was done in those."""

from __future__ import annotations

from typing import Any

from core.model.errors import NotFound
from core.store.audit import head
from core.store.reading.audit import AuditFilter, list_audit, show_audit
from core.web import schemas
from core.web import schemas_audit as shapes
from core.web.auth import allowed_units, require, require_all_units
from core.web.parsing import Blueprint
from core.web.services import services

blueprint = Blueprint("audit", __name__, url_prefix="/audit", description="Who did what, as a chain of hashes.")


@blueprint.route("")
@require("reader")
@blueprint.arguments(shapes.AuditQuery, location="query")
@blueprint.response(200, schemas.page_of(shapes.AuditRow))
def audit_list(query: dict[str, Any]) -> dict[str, Any]:
    """List what was done, newest first. A key of some units sees what was done in those only."""
    cursor, limit = query.pop("cursor", None), query.pop("limit")
    with services().database.read() as connection:
        chosen = AuditFilter(**query, units=allowed_units())
        return list_audit(connection, chosen, cursor=cursor, limit=limit).as_dict()


@blueprint.route("/head")
@require("reader")
@blueprint.response(200, shapes.AuditHead)
def audit_head() -> dict[str, Any]:
    """Show the newest row's number and hash, to be kept elsewhere. Needs a key of all units."""
    require_all_units()
    with services().database.read() as connection:
        found = head(connection)
    return {"seq": found.seq, "hash": found.hash, "anchor": str(found)}


@blueprint.route("/<seq>")
@require("reader")
@blueprint.response(200, shapes.AuditRow)
def audit_row(seq: str) -> dict[str, Any]:
    """Show one row with its hash and that of the row before."""
    if not seq.isascii() or not seq.isdigit() or len(seq) > 18:
        raise NotFound(f'There is no row "{seq[:80]}" in the audit trail.')
    with services().database.read() as connection:
        return show_audit(connection, int(seq), allowed_units())
