"""What a person decides about a request: each is one transaction that locks, compares, writes and emits.

What follows (the CRM, the owner, the next level) is asked for by the handler of `quote_approval.decided`, in the order
of the quote's own events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.api import (
    Command,
    Conflict,
    EmitEvent,
    InvalidRequest,
    NotAllowed,
    NotFound,
    Person,
    current_desk,
    did_you_mean,
)

from .asking import owns
from .following import DECIDED
from .models import Asked, Request
from .states import BY_PEOPLE, Status, Step, next_status
from .telling import decision

PLUGIN = "quote_approval"
ADMIN = "admin"
"""How a decision by nobody who was asked, but by an administrator with a reason, stands in the rows."""

MAX_COMMENT = 2_000

Units = frozenset[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What somebody said about a request, and by which way: `by` is None for an administrator with a reason.

    `actor` is the name in the trail, `how` is api, cli or link, `version` the one of the request that was read.
    """

    decision: str
    version: int
    comment: str = ""
    by: str | None = None
    actor: str = ""
    how: str = "api"


def read_request(session: Session, request_id: str, units: Units = None, *, lock: bool = False) -> Request:
    """Return a request. Raises NotFound when there is none, or none in the caller's units."""
    request = session.get(Request, request_id, with_for_update=lock)
    if request is None or (units is not None and request.unit not in units):
        raise NotFound(f"There is no request {request_id[:80]} here, or it is not yours to see.")
    return request


def decide(
    request_id: str, said: Said, *, units: Units = None, also: Callable[[Command], object] | None = None
) -> Request:
    """Decide, ask back or answer; return the request as it is then. `also` runs first, in the same transaction.

    Raises InvalidRequest for what was not said properly; NotFound; NotAllowed when the person was not asked, or would
    decide about an own quote; Conflict when the request moved on, somebody else was faster, the person has decided
    already, or the plugin is switched off in the unit.
    """
    _check(said)
    with current_desk().read() as session:
        unit = read_request(session, request_id, units).unit
    setting = current_desk().settings.get((unit, PLUGIN))
    if setting is None or not setting.enabled:
        raise Conflict(f"Quote approval is switched off in {unit}; what waits there is decided once it is on again.")
    with current_desk().command(plugin=PLUGIN, unit=unit, actor=said.actor) as command:
        if also is not None:
            also(command)
        request = read_request(command.session, request_id, units, lock=True)
        if request.unit != unit:
            raise Conflict("The quote moved to another unit meanwhile; read the request again.")
        _compare(request, said)
        made = _answer(command, request, said) if said.decision == "answer" else _judge(command, request, said)
        command.session.flush()
        command.session.expunge(made)
        return made


def _check(said: Said) -> None:
    if said.decision not in BY_PEOPLE:
        near = did_you_mean(said.decision, BY_PEOPLE)
        message = f'There is no decision "{said.decision[:40]}".{near} Known: {", ".join(BY_PEOPLE)}.'
        raise InvalidRequest(message, errors=[{"path": "decision", "message": message}])
    if len(said.comment) > MAX_COMMENT:
        raise InvalidRequest(errors=[{"path": "comment", "message": f"At most {MAX_COMMENT} characters."}])
    needed = {"ask": "the question", "answer": "the answer", "reject": "the reason"}.get(said.decision)
    if needed is None and said.by is None:
        needed = "the reason why you decide for those who were asked"
    if needed is not None and not said.comment.strip():
        message = f"Say {needed} in `comment`."
        raise InvalidRequest(message, errors=[{"path": "comment", "message": message}])


def _compare(request: Request, said: Said) -> None:
    """Compare what the person saw with what is. Raises Conflict telling both."""
    next_status(request.status, BY_PEOPLE[said.decision])
    if request.version != said.version:
        raise Conflict(f"You read version {said.version}, it is now version {request.version}; read it again.")


def _judge(command: Command, request: Request, said: Said) -> Request:
    """Record one approver's decision and move the request as far as it takes it."""
    rows = list(command.session.scalars(sa.select(Asked).where(Asked.request_id == request.id)))
    here = [row for row in rows if row.level == request.level]
    row = _seat(command, request, said, rows)
    row.state = {"approve": "approved", "reject": "rejected", "ask": "open"}[said.decision]  # who asks decides later
    row.decided_at, row.comment, row.how = command.now, said.comment or None, said.how
    for other in here:
        if row.state == "approved" and other is not row and other.slot == row.slot and other.state == "open":
            other.state = "passed"
    step, advanced, level = BY_PEOPLE[said.decision], False, request.level
    if said.decision == "approve":
        step, advanced = _agreed(request, here if row in here else [*here, row], by_admin=row.via == ADMIN)
    request.status = str(next_status(request.status, step))
    if step is not Step.AGREE or advanced:
        request.version += 1
    if advanced:
        request.level += 1
    request.question = said.comment if said.decision == "ask" else request.question
    if request.status in (Status.APPROVED, Status.REJECTED):
        request.decided_by, request.comment = row.name, said.comment or None
    request.updated_at = command.now
    outcome = {Step.APPROVE: "approved", Step.AGREE: "agreed", Step.REJECT: "rejected", Step.ASK_BACK: "asked_back"}[
        step
    ]
    _record(command, request, said, outcome=outcome, name=row.name, level=level, advanced=advanced)
    return request


def _agreed(request: Request, here: list[Asked], *, by_admin: bool) -> tuple[Step, bool]:
    """Return the step an approval is, and whether the next level is to be asked; each place of a level counts once."""
    seats = {row.slot for row in here if row.state == "approved"}
    if not by_admin and len(seats) < request.route[request.level - 1]["need"]:
        return Step.AGREE, False
    is_last = request.level == len(request.route)
    return (Step.APPROVE, False) if is_last else (Step.AGREE, True)


def _seat(command: Command, request: Request, said: Said, rows: list[Asked]) -> Asked:
    """Return the row of who decides: one who was asked, stands in for one, or an administrator.

    Raises NotAllowed otherwise, and Conflict for one who decided already.
    """
    if said.by is None:
        admin = f"{ADMIN}:{said.actor}"
        asked_before = next((row for row in rows if (row.level, row.person) == (request.level, admin)), None)
        return asked_before or _add(command, request, slot=-1, person=admin, name=said.actor, via=ADMIN, asked=ADMIN)
    person = _known(command, said.by)
    if owns(person, request.owner):
        raise NotAllowed(f"{person} owns this quote; nobody approves their own (四眼原则 four-eyes principle).")
    mine = [row for row in rows if row.person == person.slug]
    if any(row.state == "approved" for row in mine):
        raise Conflict(f"{person} has decided about this request already; another pair of eyes is needed.")
    if any(row.state == "passed" and row.level == request.level for row in mine):
        raise Conflict(f"Somebody else decided in the place of {person} already; there is nothing left to do.")
    waiting = [row for row in rows if row.level == request.level and row.state == "open"]
    if not waiting:
        raise Conflict("This request is on its way to those who are asked next; read it again in a moment.")
    for row in waiting:
        if row.person == person.slug:
            return row
    taken = {row.person for row in rows if row.state == "approved"} | ({request.owner} if request.owner else set())
    for row in waiting:
        found = command.people.resolve(row.person, exclude=taken)
        if found.person is not None and found.person.slug == person.slug:
            return _add(
                command, request, slot=row.slot, person=person.slug, name=person.name, via="stand_in",
                asked=row.asked, path=found.steps(),
            )  # fmt: skip
    asked = ", ".join(sorted({row.name for row in waiting}))
    raise NotAllowed(f"{person} was not asked and stands in for nobody who was; asked: {asked}.")


def _known(command: Command, who: str) -> Person:
    person = command.people.person(who)
    if person is None:
        raise InvalidRequest(
            f'There is nobody "{who[:80]}" in the directory.', errors=[{"path": "by", "message": "Unknown."}]
        )
    people = command.people
    is_employed = people.is_available(person.slug) or any(person in people.team(unit=unit) for unit in person.units)
    if not is_employed:  # a link outlives its reader's contract; who is only away may decide all the same
        raise NotAllowed(f"{person} does not work here (any more) and decides nothing.")
    return person


def _add(
    command: Command, request: Request, *, slot: int, person: str, name: str, via: str, asked: str,
    path: Sequence[Mapping[str, str]] = (),
) -> Asked:  # fmt: skip
    row = Asked(
        request_id=request.id, level=request.level, slot=slot, person=person, name=name, via=via, asked=asked,
        path=list(path), asked_at=command.now, state="open", decided_at=None, comment=None, how=None,
    )  # fmt: skip
    command.session.add(row)
    return row


def _answer(command: Command, request: Request, said: Said) -> Request:
    """Record the owner's answer; those who were asked go on with it."""
    name = said.actor
    if said.by is not None:
        person = _known(command, said.by)
        known = command.people.person(request.owner) if request.owner else None
        whom = request.owner if request.owner and known is not None else command.config.fallback  # who got the question
        if person not in (known, command.people.resolve(whom).person):
            raise NotAllowed(
                f"{person} does not own this quote; the question is for {request.owner or 'nobody known'}."
            )
        name = person.name
    request.status = str(next_status(request.status, Step.ANSWER))
    request.version += 1
    request.answer = said.comment
    request.updated_at = command.now
    _record(command, request, said, outcome="answered", name=name, level=request.level, advanced=False)
    return request


def _record(
    command: Command, request: Request, said: Said, *, outcome: str, name: str, level: int, advanced: bool
) -> None:
    place = {"source": request.source, "kind": "quote", "record_id": request.record_id}
    inputs: dict[str, Any] = {
        "by": said.by, "how": said.how, "level": level, "read_version": said.version, "advanced": advanced,
    }  # fmt: skip
    told = decision(
        request, outcome, f"{outcome} by {name}", rule="person", reasons=[said.comment] if said.comment else (),
        inputs=inputs,
    )  # fmt: skip
    command.decide(told, **place)
    data = {
        "request": request.id, "decision": said.decision, "status": request.status, "version": request.version,
        "level": level, "advanced": advanced, "by": said.by, "name": name, "comment": said.comment,
    }  # fmt: skip
    command.emit(EmitEvent(type=DECIDED, data=data), **place)
