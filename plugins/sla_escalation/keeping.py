"""Brings one clock's row up to date with where its round stands now, and says what follows: one decision a change."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from core.api import CancelTimer, Context, Decide, Effect, EmitEvent, Event, Notify, Reason, StartTimer, parse_span

from .conditions import instant
from .models import ClockRow, KeptRule
from .reckoning import Moment
from .rounds import Round
from .rules import FINAL, OPEN, Standing, stand
from .settings import Config, InBoth, Rule
from .telling import (
    Told,
    Why,
    audience,
    has_breach,
    key_of,
    message_key,
    next_moment,
    notices,
    to_tell,
    told_of,
    told_rows,
    withdraw,
)
from .words import STEPS, both, length, local

HISTORY = "已过去太久，只记录不通知 too long ago to tell anybody: recorded only"
LATE_NEWS = "超时通知发出时尚不知道回复 the breach was announced before this was known"


def clock_id(event: Event[Any], unit: str, clock: str, number: int) -> str:
    """Name a round of a clock: the same on every machine and in every replay."""
    text = "\x1f".join((event.source, event.kind, event.record_id, unit, clock, str(number)))
    return "clk_" + hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(slots=True)
class Keeper:
    """Keeps the clocks of one record in one unit, for one event."""

    event: Event[Any]
    ctx: Context[Config]
    fired: str | None = None  # the clock whose timer brought the event
    recompute: str | None = None  # who asked for today's policy and calendar
    effects: list[Effect] = field(default_factory=list)
    written: list[tuple[str, str, str]] = field(default_factory=list)  # id, clock and state of each row written

    def keep(
        self, round_: Round, rule: Rule, missed: Sequence[InBoth], row: ClockRow | None, before: ClockRow | None
    ) -> None:
        """Bring the row of a round up to date; `before` is the row it had in the unit it came from."""
        known = row or before
        standing = stand(round_, rule.policy, self.ctx.calendar, self.ctx.now)
        told = [told_of(item) for item in known.told] if known is not None else []
        kept_told, withdrawn = withdraw(told, standing, self.ctx.now)
        if standing.state in ("running", "paused") and has_breach(kept_told):
            standing = replace(standing, state="breached")  # told is told: a clock set back does not take it back
        values = self._values(round_, rule, missed, standing, row)
        step = self._step(values, row, before)
        if step is not None:
            self._decide(step, rule, values, standing, missed=missed, row=known, kept=kept_told)
        if withdrawn:
            self._withdrawn(rule, values, withdrawn)
        if standing.state in OPEN:
            kept_told = self._tell(rule, values, standing, kept_told)
        values["told"] = [item.as_json() for item in kept_told]
        self._set_timer(rule, values, standing, kept_told, row)
        if row is None or any(getattr(row, name) != value for name, value in values.items()):
            if row is None or row.rule != rule.id:
                self._keep_rule(rule)
            self._write({**values, "updated_at": self.ctx.now})

    def end(self, row: ClockRow, rule: Rule, state: str, reason: str, facts: Mapping[str, Any] | None = None) -> None:
        """End an open clock that no event ended: no policy fits these facts any more, or another unit took over."""
        is_here = row.unit == self.ctx.unit.slug
        values = {
            **{column.name: getattr(row, column.name) for column in ClockRow.__table__.columns},
            "state": state,
            "reason": reason,
            "facts": row.facts if facts is None else dict(facts),
            "ended_at": self.event.occurred_at,
            "ended_as": "cancel",
            "ended_by": self.event.type,
            "learned_at": self.event.accepted_at,
            "timer_at": None if is_here else row.timer_at,  # only its own unit can cancel its timer
            "updated_at": self.ctx.now,
        }
        self._decide("handed_over" if state == "handed_over" else "cancelled", rule, values, None, row=row)
        if row.timer_at is not None and is_here:
            self.effects.append(CancelTimer(timer=row.clock))
        self._write(values)

    def _write(self, values: Mapping[str, Any]) -> None:
        self.ctx.session.upsert(ClockRow, **values)
        self.written.append((values["id"], values["clock"], values["state"]))

    def _values(
        self, round_: Round, rule: Rule, missed: Sequence[InBoth], standing: Standing, row: ClockRow | None
    ) -> dict[str, Any]:
        event, end = self.event, round_.end
        policy_facts = self.ctx.config.chosen_by.get(rule.clock.name, frozenset())
        anchor = instant(round_.facts.get(rule.policy.before)) if rule.policy.before else None
        return {
            "id": clock_id(event, self.ctx.unit.slug, rule.clock.name, round_.number),
            "unit": self.ctx.unit.slug,
            "source": event.source,
            "kind": event.kind,
            "record_id": event.record_id,
            "clock": rule.clock.name,
            "policy": rule.policy.name,
            "round": round_.number,
            "state": standing.state,
            "started_at": round_.start.at,
            "started_by": round_.start.type,
            "due_at": standing.due,
            "anchor_at": anchor,
            "ended_at": end.at if end else None,
            "ended_by": end.type if end else None,
            "ended_as": round_.ended_as,
            "learned_at": end.seen if end else None,
            "reason": None,
            "rule": rule.id,
            "facts": chosen_by(policy_facts, round_.facts),
            "missed": list(missed),
            "segments": [item.as_json() for item in round_.stretches],
            "timer_at": row.timer_at if row is not None else None,
            "month": self.ctx.calendar.local(round_.start.at).strftime("%Y-%m"),
        }

    def _step(self, values: Mapping[str, Any], row: ClockRow | None, before: ClockRow | None) -> str | None:
        """Name what changed, in one word; None when nothing did that a person would call a change."""
        state = values["state"]
        if row is None:
            begun = "taken_over" if before is not None else "started"
            return state if state in FINAL else begun
        if row.state != state and state in FINAL:
            return str(state)
        if row.state not in OPEN:
            return "resumed" if state in OPEN else None
        if self.recompute and (row.rule != values["rule"] or row.due_at != values["due_at"]):
            return "recomputed"
        if row.policy != values["policy"]:
            return "retargeted"
        pauses = bool(row.segments) and not row.segments[-1]["counts"]
        is_paused = bool(values["segments"]) and not values["segments"][-1]["counts"]
        if pauses != is_paused:
            return "paused" if is_paused else "resumed"
        moved = row.due_at != values["due_at"] or row.started_at != values["started_at"]
        return "moved" if moved else None

    def _tell(self, rule: Rule, values: dict[str, Any], standing: Standing, told: list[Told]) -> list[Told]:
        """Tell people of the moments that have come; several at once make one message to each."""
        come = to_tell(standing.moments, rule.policy.name, told, self.ctx.now)
        if not come:
            return told
        last = come[-1]
        step = {"warn": "warned", "breach": "breached", "level": "escalated"}[last.kind]
        kinds = ("warn",) if last.kind == "warn" else ("breach", "level")
        told_now = [moment for moment in come if moment.kind in kinds]
        wanted = [who for moment in reversed(told_now) for who in moment.to] if last.kind != "warn" else last.to
        is_history = self.ctx.config.tell_within.due(last.at, self.ctx.calendar) < self.ctx.now
        people = audience([] if is_history else wanted, self.event, self.ctx)
        # A timer that fires late brings all clocks of the record up to date, whichever of them it was for.
        late = self.event.late and self.fired is not None and last.at < self.ctx.now
        told_by = tuple(f"{Notify.name}:{message_key(values, step, who)}" for who in people.asked)

        def entry(moment: Moment) -> Told:
            is_told, ways = moment in told_now, people.ways() if moment is last else ()
            why: Why = ""
            if is_history:
                why = "history"
            elif not is_told:
                why = "passed"
            elif not people.calls:
                why = "nobody" if wanted else "unnamed"
            elif moment is not last:
                why = "joined"
            return Told(
                key=key_of(rule.policy.name, moment), kind=moment.kind, name=moment.name,
                due=moment.at.isoformat(), at=self.ctx.now.isoformat(),
                to=people.names() if is_told else (), people=people.people() if is_told else (),
                path=tuple(way.path() for way in ways), path_zh=tuple(way.path_zh() for way in ways),
                late=late, why=why, event=self.event.id, unit=self.ctx.unit.slug,
                messages=told_by if moment is last else (),
            )  # fmt: skip

        self._decide(
            step, rule, values, standing, people=people.found, nobody=people.near_misses(), come=come, late=late,
            extra=(Reason(HISTORY),) if is_history else (),
        )  # fmt: skip
        working = rule.policy.target is not None and rule.policy.target.working
        more = {
            "level_zh": parse_span(last.name).text("zh") if last.kind == "level" else "",
            "level_en": parse_span(last.name).text("en") if last.kind == "level" else "",
            "elapsed_zh": length(standing.elapsed, "zh", working=working),
            "elapsed_en": length(standing.elapsed, "en", working=working),
            "overdue_zh": length(self.ctx.now - standing.due, "zh") if standing.due else "",
            "overdue_en": length(self.ctx.now - standing.due, "en") if standing.due else "",
            "late": late,
            "at_once": standing.due is not None and standing.due <= values["started_at"],
        }
        self.effects += notices(step, people, rule, values, more)
        self._emit(step, values, {"level": last.name, "to": list(people.names()), "late": late})
        return [*told, *map(entry, come)]

    def _withdrawn(self, rule: Rule, values: dict[str, Any], withdrawn: Sequence[Told]) -> None:
        """Tell those who were told of a breach that there is none: what was learned late moved it, or met it."""
        at = min(item.at for item in withdrawn)
        if values["state"] not in FINAL:
            self._decide("withdrawn", rule, values, None, extra=(Reason(f"{LATE_NEWS} ({at})"),))
        wanted = [who for item in withdrawn for who in item.to]
        people = audience(wanted, self.event, self.ctx)
        ended = values["ended_at"].isoformat() if values["ended_at"] else ""
        self.effects += notices("withdrawn", people, rule, values, {"announced_at": at, "ended_at": ended})
        self._emit("withdrawn", values, {"to": list(people.names()), "announced_at": at})

    def _set_timer(
        self, rule: Rule, values: dict[str, Any], standing: Standing, told: Sequence[Told], row: ClockRow | None
    ) -> None:
        """Keep one timer for the clock, at its next moment."""
        name, now = rule.clock.name, self.ctx.now
        pending = None if self.fired == name or row is None else row.timer_at
        at = next_moment(standing.moments, rule.policy.name, told, now) if standing.state in OPEN else None
        values["timer_at"] = at
        if at is not None and at != pending:
            self.effects.append(StartTimer(timer=name, due_at=at, data={"round": values["round"]}))
        elif at is None and pending is not None:
            self.effects.append(CancelTimer(timer=name))

    def _keep_rule(self, rule: Rule) -> None:
        stored = self.ctx.config.stored
        if rule.id not in stored:
            # Only committed rows count: what this batch is to write may yet be undone.
            stored.update(self.ctx.session.scalars(sa.select(KeptRule.id).where(KeptRule.id == rule.id)))
        if rule.id not in stored:
            body = dict(rule.body)
            self.ctx.session.upsert(KeptRule, id=rule.id, body=body, first_used_at=self.ctx.now)

    def _emit(self, step: str, values: Mapping[str, Any], more: Mapping[str, Any]) -> None:
        if step not in self.ctx.config.emit:
            return
        names = ("clock", "policy", "round", "state", "started_at", "due_at", "ended_at", "unit")
        data = {**{name: values[name] for name in names}, "clock_id": values["id"], **more}
        key = f"{values['clock']}.{values['round']}.{step}"
        self.effects.append(EmitEvent(type=f"sla_escalation.{step}", data=data, key=key))

    def _decide(
        self, step: str, rule: Rule, values: Mapping[str, Any], standing: Standing | None, *,
        missed: Sequence[InBoth] = (), row: ClockRow | None = None, kept: Sequence[Told] = (),
        people: Sequence[Any] = (), nobody: Sequence[str] = (), come: Sequence[Moment] = (), late: bool = False,
        extra: Sequence[Reason] = (),
    ) -> None:  # fmt: skip
        clock, policy = rule.clock, rule.policy
        announced = min((item.at for item in told_rows(row) if item.kind == "breach" and item.to), default=None)
        reasons = [*extra, *_reasons(step, values, late=late, recompute=self.recompute)]
        if step == "met" and announced is not None:
            reasons.append(Reason(f"{LATE_NEWS} ({announced})"))
        zh, en = STEPS[step]
        due = f"，到期 due {local(values['due_at'], self.ctx.calendar)}" if values["due_at"] else ""
        inputs = {
            "clock": clock.name, "policy": policy.name, "rule": rule.id, "round": values["round"],
            "started_at": values["started_at"], "due_at": values["due_at"], "ended_at": values["ended_at"],
            "facts": values["facts"], "calendar": self.ctx.calendar.slug, "segments": values["segments"],
        }  # fmt: skip
        if policy.target is not None:
            inputs["target"] = str(policy.target)
        if standing is not None:
            inputs["elapsed_s"] = standing.elapsed.total_seconds()
        if row is not None:
            inputs["before"] = {"state": row.state, "policy": row.policy, "due_at": row.due_at}
        if come:
            inputs["moments"] = [f"{item.kind} {item.name} at {item.at.isoformat()}" for item in come]
            inputs["people"] = [item.as_json() for item in people]
        self.effects.append(
            Decide(
                kind="sla_clock",
                outcome=step,
                summary=f"{clock.title}: {zh} {en}{due}",
                rule=policy.name,
                reasons=tuple(reasons),
                inputs=inputs,
                near_misses=(*(map(both, missed) if step in ("started", "retargeted", "taken_over") else ()), *nobody),
            )
        )
        if step in ("met", "missed"):
            self._emit(step, values, {"learned_at": values["learned_at"]})


def chosen_by(names: frozenset[str], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the known facts by which a policy is chosen."""
    return {name: facts[name] for name in sorted(names) if facts.get(name) is not None}


def _reasons(step: str, values: Mapping[str, Any], *, late: bool, recompute: str | None) -> list[Reason]:
    """Say why, as far as the step's name does not."""
    said = []
    if step in ("started", "taken_over") and values["due_at"] and values["due_at"] <= values["started_at"]:
        said.append(Reason("得知时已经过期 it was overdue when it became known"))
    if step == "paused":
        said.append(Reason(f"等待 waiting: {values['segments'][-1]['why']}"))
    if values["ended_by"] and step in FINAL:
        said.append(Reason(values["reason"] or f"{values['ended_by']}"))
    if step == "handed_over":
        said.append(Reason(values["reason"]))
    if late:
        said.append(Reason("系统或插件曾停用，补发 told late: the server or the plugin was not running"))
    if recompute and step == "recomputed":
        said.append(Reason(recompute))
    return said
