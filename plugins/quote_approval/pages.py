"""The pages behind links in messages: an approver looks at a quote and decides, an owner answers a question.

A page is opened any number of times and changes nothing; the link is used up by the decision, in its transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flask import Response, request

from core.api import (
    Conflict,
    InvalidRequest,
    LinkClaims,
    NotAllowed,
    current_desk,
    hookimpl,
    open_link,
    page,
    page_blueprint,
    use_link,
)

from .deciding import PLUGIN, Said, decide, read_request
from .models import Asked, Request
from .reading import asked_about, steps_of
from .states import BY_PEOPLE, can
from .telling import grouped, money, name_of, percent

blueprint = page_blueprint(PLUGIN, __name__)

DECIDE, ANSWER = "decide", "answer"

FIRST_LINES = 5
"""So many lines of a quote stand on the page at once; the others unfold, so that the buttons are never far."""


@hookimpl
def register_pages() -> Any:
    """Contribute `/pages/quote-approval/…`."""
    return blueprint


@blueprint.route("/decide/<token>", methods=["GET"])
def show_quote(token: str) -> Response:
    """Show an approver the quote and why it came here."""
    return _show(open_link(token, plugin=PLUGIN, page=DECIDE), DECIDE)


@blueprint.route("/decide/<token>", methods=["POST"])
def decide_quote(token: str) -> Response:
    """Take an approver's decision."""
    claims = open_link(token, plugin=PLUGIN, page=DECIDE)
    return _say(token, claims, DECIDE, request.form.get("decision", ""))


@blueprint.route("/answer/<token>", methods=["GET"])
def show_question(token: str) -> Response:
    """Show the owner the question about the quote."""
    return _show(open_link(token, plugin=PLUGIN, page=ANSWER), ANSWER)


@blueprint.route("/answer/<token>", methods=["POST"])
def answer_question(token: str) -> Response:
    """Take the owner's answer."""
    claims = open_link(token, plugin=PLUGIN, page=ANSWER)
    return _say(token, claims, ANSWER, "answer")


def _say(token: str, claims: LinkClaims, name: str, decision: str) -> Response:
    said = Said(
        decision=decision,
        version=int(claims.subject["version"]),
        comment=request.form.get("comment", "").replace("\r\n", "\n").strip(),
        by=claims.person,
        actor=f"link:{claims.person}",
        how="link",
    )
    try:
        made = decide(str(claims.subject["request"]), said, also=lambda command: use_link(command, token))
    except InvalidRequest as error:
        return _show(claims, name, status=422, fault=error.message)
    except (Conflict, NotAllowed) as error:
        return _show(claims, name, status=error.http_status, refused=error.message)
    return page("done.html", decision=decision, status_now=made.status, quote=made.record_id)


def _show(claims: LinkClaims, name: str, *, status: int = 200, fault: str = "", refused: str = "") -> Response:
    desk = current_desk()
    with desk.read() as session:
        found = read_request(session, str(claims.subject["request"]))
        rows = asked_about(session, found.id)
    step = BY_PEOPLE["approve" if name == DECIDE else "answer"]
    is_open = found.version == claims.subject["version"] and can(found.status, step) and not refused
    local = desk.calendar(found.unit).local
    deadline = local(found.deadline_at).strftime("%Y-%m-%d %H:%M") if found.deadline_at else "–"
    valid_until = found.content["valid_until"]
    return page(
        f"{name}.html",
        status=status,
        is_open=is_open,
        fault=fault,
        refused=refused,
        request=found,
        content=found.content,
        facts={**found.facts, "discount": percent(found.facts["discount"]), "margin": percent(found.facts["margin"])},
        amount=money(found.content["amount"]),
        lines=[_line(line) for line in found.content["lines"]],
        owner=name_of(found.owner, desk.people(found.unit)),
        deadline=deadline,
        valid_until=local(datetime.fromisoformat(valid_until)).strftime("%Y-%m-%d") if valid_until else "–",
        first_lines=FIRST_LINES,
        why=_why(claims.person, found, rows),
        history=[
            {"name": row.name, "state": row.state, "comment": row.comment or "", "level": row.level,
             "at": local(row.decided_at or row.asked_at).strftime("%m-%d %H:%M")}
            for row in rows
        ],
    )  # fmt: skip


def _line(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line of the quote with its numbers as people read them."""
    numbers = {"quantity": grouped(line["quantity"]), "unit_price": money(line["unit_price"])}
    return {**line, **numbers, "discount": percent(line["discount"])}


def _why(person: str, found: Request, rows: list[Asked]) -> list[dict[str, str]]:
    """Return how the request led to this person, as it was found when people were asked."""
    mine = [row for row in rows if row.person == person and row.level == found.level]
    return [step for row in mine[:1] for step in steps_of(row)]
