"""What a person does with a case: each is one transaction that compares the version, writes and emits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.api import (
    Command,
    Conflict,
    Decide,
    EmitEvent,
    InvalidRequest,
    NotFound,
    Reason,
    current_desk,
    did_you_mean,
)

from .capture import find_duplicates
from .changes import change
from .config import Config
from .models import Case, CaseHistory, CaseSearch
from .rules import FIELDS, clean
from .states import Step

PLUGIN = "case_capture"
Units = frozenset[str] | None


def read_case(session: Session, case_id: str, units: Units = None) -> Case:
    """Return a case. Raises NotFound when there is none, or none in the caller's units."""
    case = session.get(Case, case_id)
    if case is None or (units is not None and case.unit not in units):
        raise NotFound(f"There is no case {case_id[:80]} here, or it is not yours to see.")
    return case


def read_history(session: Session, case_id: str) -> list[CaseHistory]:
    """Return what happened to a case, oldest first."""
    wanted = sa.select(CaseHistory).where(CaseHistory.case_id == case_id).order_by(CaseHistory.version)
    return list(session.scalars(wanted))


def edit(
    case_id: str,
    version: int,
    *,
    actor: str,
    fields: Mapping[str, str | None] | None = None,
    title: str | None = None,
    reason: str = "",
    units: Units = None,
) -> Case:
    """Change a case's title or fields; a None or empty field is taken away. The case becomes a draft again.

    Personal data is masked here too. What a person wrote is never overwritten by later news of the record.
    """
    with _open(case_id, actor, units) as (command, case):
        _compare(case, version)
        changed = _checked(case.kind, fields or {})
        merged = {name: text for name, text in {**case.fields, **changed}.items() if text}
        named = clean(title) if title is not None else case.title
        if not named:
            raise InvalidRequest("A case needs a title.", errors=[{"path": "title", "message": "Empty."}])
        touched = [name for name, text in changed.items() if case.fields.get(name, "") != text]
        touched += ["title"] if named != case.title else []
        if not touched:
            raise InvalidRequest("Nothing to change: the case already says this.")
        values = {
            "title": named,
            "fields": merged,
            "edited": sorted({*case.edited, *touched}),
            "doubt": None,
            "proposed": None,
        }
        return _step(command, case, Step.EDIT, values, reason)


def review(case_id: str, version: int, *, actor: str, reason: str = "", units: Units = None) -> Case:
    """Say that a draft is right and complete. Raises InvalidRequest naming what is missing.

    Possible duplicates are looked for once more, since other cases came and went after the draft.
    """
    with _open(case_id, actor, units) as (command, case):
        _compare(case, version)
        if case.status == "draft" and case.missing:
            raise InvalidRequest(
                f"The case lacks {', '.join(case.missing)}; add what is known with an edit, then review it.",
                errors=[{"path": f"fields.{name}", "message": "Missing."} for name in case.missing],
            )
        similar = find_duplicates(
            lambda statement: command.session.execute(statement).all(),
            _dialect(command.session),
            case_id=case.id,
            unit=case.unit,
            kind=case.kind,
            title=case.title,
            fields=case.fields,
            least=_config(case).duplicate_similarity,
        )
        values = {
            "reviewed_by": actor,
            "doubt": None,
            "proposed": None,
            "duplicates": similar,
            "duplicate_of": similar[0]["case_id"] if similar else None,
        }
        return _step(command, case, Step.REVIEW, values, reason)


def publish(case_id: str, version: int, *, actor: str, reason: str = "", units: Units = None) -> Case:
    """Let search find a reviewed case and complaints suggest it; or confirm a published one in doubt."""
    with _open(case_id, actor, units) as (command, case):
        _compare(case, version)
        if case.status == "published" and not case.doubt:
            raise Conflict("The case is published already, and nothing about it is in doubt.")
        values = {"published_by": actor, "published_at": command.now, "doubt": None, "proposed": None}
        return _step(command, case, Step.PUBLISH, values, reason)


def withdraw(case_id: str, version: int, *, actor: str, reason: str, units: Units = None) -> Case:
    """Take a case out of search; it is kept, and an edit makes it a draft again. A reason is needed."""
    if not reason.strip():
        raise InvalidRequest(
            "Say why the case is withdrawn; the next reader will ask.",
            errors=[{"path": "reason", "message": "Missing."}],
        )
    with _open(case_id, actor, units) as (command, case):
        _compare(case, version)
        return _step(command, case, Step.WITHDRAW, {}, reason)


@contextlib.contextmanager
def _open(case_id: str, actor: str, units: Units) -> Iterator[tuple[Command, Case]]:
    """Open a case for one command: found, visible to the caller, locked until the transaction ends."""
    desk = current_desk()
    with desk.read() as session:
        unit = read_case(session, case_id, units).unit
    # What was captured is the people's own, whether more is captured or not.
    with desk.command(plugin=PLUGIN, unit=unit, actor=actor, while_off=True) as command:
        case = command.session.scalars(sa.select(Case).where(Case.id == case_id).with_for_update()).one_or_none()
        if case is None or (units is not None and case.unit not in units):
            raise NotFound(f"There is no case {case_id[:80]} here, or it is not yours to see.")
        command.unit = case.unit  # it may have moved between the two reads
        yield command, case


def _compare(case: Case, version: int) -> None:
    if case.version != version:
        raise Conflict(
            f"The case changed since you read it: you have version {version}, it is now version {case.version}. "
            "Read it again and decide anew."
        )


def _step(command: Command, case: Case, step: Step, values: Mapping[str, Any], reason: str) -> Case:
    """Take one step: write its rows, record who decided it, and emit an event when readers are concerned."""
    before, version = case.status, case.version
    reason = clean(reason)
    made = change(case, step, values, actor=command.actor, reason=reason, now=command.now)
    for name, value in made.case.items():
        setattr(case, name, value)
    command.session.add(CaseHistory(**made.history))
    command.session.merge(CaseSearch(**made.search))
    command.session.flush()
    place = {"source": case.source, "kind": case.record_kind, "record_id": case.record_id}
    inputs = {"case_id": case.id, "version": version, "from": before, "to": case.status}
    command.decide(
        Decide(
            kind="case",
            outcome=case.status,
            summary=f"{case.title}: {before} → {case.status}",
            rule=f"person_{step}",
            reasons=(Reason(reason),) if reason else (),
            inputs=inputs,
        ),
        **place,
    )
    told = {"case_id": case.id, "case_kind": case.kind, "title": case.title, "version": case.version}
    if before != case.status and "published" in (before, case.status):
        name = "published" if case.status == "published" else "withdrawn"
        command.emit(EmitEvent(type=f"{PLUGIN}.{name}", data=told), **place)
    return case


def _checked(kind: str, fields: Mapping[str, str | None]) -> dict[str, str]:
    unknown = [name for name in fields if name not in FIELDS[kind]]
    if unknown:
        errors = [
            {"path": f"fields.{name}", "message": f"Unknown.{did_you_mean(name, FIELDS[kind])}"} for name in unknown
        ]
        listed = "; ".join(f'"{name}".{did_you_mean(name, FIELDS[kind])}' for name in unknown)
        raise InvalidRequest(f"A {kind} case has no field {listed}", errors=errors)
    return {name: clean(text or "") for name, text in fields.items()}


def _config(case: Case) -> Config:
    setting = current_desk().settings.get((case.unit, PLUGIN))
    config = getattr(setting, "config", setting)
    return config if isinstance(config, Config) else Config()


def _dialect(session: Session) -> str:
    return session.get_bind().dialect.name
