"""Follows a record: takes an event in as a signal, folds the signals anew, and has every clock kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from core.api import CancelTimer, Context, Effect, Event, UpdateRecord

from .facts import record_facts, said_by
from .history import History, recall, remember
from .keeping import Keeper, chosen_by
from .models import ClockRow, KeptRule, Watch
from .rounds import Round
from .rules import FINAL, OPEN
from .settings import Config, InBoth, Rule, rule_of
from .signals import Signal, folded

NO_POLICY = "没有政策适用 no policy applies any more"
NO_START = "事件次序更正后不再起算 by the order of its events it never began"
MOVED = "移交事业部 moved to unit"


def follow(
    event: Event[Any], ctx: Context[Config], *, fired: str | None = None, recompute: str | None = None
) -> list[Effect]:
    """Bring all clocks of the event's record up to date, and return what follows."""
    if event.kind not in ctx.config.by_record and fired is None:
        return []
    if _is_plain(event) and not _may_matter(event, ctx.config):
        return []
    place = (event.source, event.kind, event.record_id)
    watch = ctx.session.get(Watch, place)
    known = recall(place, watch)
    new = _signal(event, known.signals, ctx)
    if watch is None and (new is None or (not _is_plain(event) and event.type not in ctx.config.events[event.kind])):
        return []
    if fired is not None and watch is not None and watch.unit != ctx.unit.slug:
        return []  # the record has moved on; what was still open here is handed over
    history = known.with_signal(new)
    rows = rows_of(event, ctx) if watch is not None else ()
    keeper = Keeper(event, ctx, fired, recompute)
    mine = [row for row in rows if row.unit == ctx.unit.slug]
    others = [row for row in rows if row.unit != ctx.unit.slug]
    for name in _clocks(event, mine, ctx.config):
        _follow_clock(name, keeper, history, [row for row in mine if row.clock == name],
                      [row for row in others if row.clock == name])  # fmt: skip
    for row in others:
        # At the move itself its own unit says so; here it is said when the plugin is switched off there.
        if row.state in OPEN and event.type != "record.unit_changed":
            keeper.end(row, kept_rule(row, ctx), "handed_over", f"{MOVED} {ctx.unit.slug}")
    remember(place, history)
    if new is not None or (watch is not None and watch.unit != ctx.unit.slug):
        ctx.session.upsert(
            Watch, source=event.source, kind=event.kind, record_id=event.record_id, unit=ctx.unit.slug,
            signals=history.to_store(), updated_at=ctx.now,
        )  # fmt: skip
    return [*keeper.effects, *_flag(keeper, rows)]


def leave(event: Event[Any], ctx: Context[Config], to_unit: str) -> list[Effect]:
    """Hand the record's open clocks in this unit over to another; their timers end here."""
    keeper = Keeper(event, ctx)
    for row in rows_of(event, ctx):
        if row.unit != ctx.unit.slug:
            continue
        if row.state in OPEN:
            keeper.end(row, kept_rule(row, ctx), "handed_over", f"{MOVED} {to_unit}")
        elif row.state == "handed_over" and row.timer_at is not None:
            keeper.effects.append(CancelTimer(timer=row.clock))
            ctx.session.update(ClockRow, row.id, {"timer_at": None})
    return keeper.effects


def rows_of(event: Event[Any], ctx: Context[Config]) -> Sequence[ClockRow]:
    """Return every clock of the event's record, in all units. A batch holds one event of a record, so all are there."""
    wanted = sa.select(ClockRow).where(
        ClockRow.source == event.source, ClockRow.kind == event.kind, ClockRow.record_id == event.record_id
    )
    return ctx.session.scalars(wanted.order_by(ClockRow.unit, ClockRow.clock, ClockRow.round))


def kept_rule(row: ClockRow, ctx: Context[Config]) -> Rule:
    """Return the rule a clock runs by: today's when it is the same, else the one that was kept when it started."""
    for rule in ctx.config.rules.get(row.clock, ()):
        if rule.id == row.rule:
            return rule
    kept = ctx.session.get(KeptRule, row.rule)
    assert kept is not None, f"the rule of clock {row.id} is gone"
    return rule_of(kept.body)


def _is_plain(event: Event[Any]) -> bool:
    """Whether an event says by itself what changed, as those of a CRM do."""
    return event.type.partition(".")[0] == event.kind


def _may_matter(event: Event[Any], config: Config) -> bool:
    """Whether a clock looks at anything in this event; most events of most records end here."""
    if event.type in config.events[event.kind] or event.completeness == "full":
        return True
    watched = config.watched[event.kind]
    return any(name in watched or name in ("extra", "activities") for name in event.raw)


def _signal(event: Event[Any], known: Sequence[Signal], ctx: Context[Config]) -> Signal | None:
    """Return the event as the clocks see it, or None when there is nothing in it for them.

    Of a plugin's event and of a timer that falls due, the record itself tells what plugins have decided meanwhile.
    """
    watched = ctx.config.watched.get(event.kind, frozenset())
    is_named = event.type in ctx.config.events.get(event.kind, ())
    if _is_plain(event):
        said = said_by(event, sorted(watched), ctx, named=is_named)
    else:
        before = folded(known)
        said = {name: value for name, value in record_facts(event, sorted(watched), ctx).items()
                if before.get(name) != value}  # fmt: skip
    if not said and not is_named:
        return None
    at = min(event.occurred_at, event.accepted_at)
    return Signal(at=at, seen=event.accepted_at, type=event.type, id=event.id, version=event.version, said=said)


def _clocks(event: Event[Any], mine: Sequence[ClockRow], config: Config) -> list[str]:
    names = [clock.name for clock in config.by_record.get(event.kind, ())]
    return names + sorted({row.clock for row in mine if row.state in OPEN and row.clock not in names})


def _follow_clock(
    name: str, keeper: Keeper, history: History, mine: Sequence[ClockRow], others: Sequence[ClockRow]
) -> None:
    ctx = keeper.ctx
    clock = ctx.config.clocks.get(name)
    last = mine[-1] if mine else next((row for row in reversed(others) if row.state in OPEN), None)
    if last is not None and last.state in OPEN and (not keeper.recompute or clock is None) and last in mine:
        clock = kept_rule(last, ctx).clock
    assert clock is not None
    rounds = history.rounds_of(clock)
    for round_ in rounds:
        row = next((item for item in mine if item.round == round_.number), None)
        elsewhere = [item for item in others if item.round == round_.number]
        is_here = row is not None and row.state != "handed_over"
        if not is_here and any(item.state in FINAL for item in elsewhere):
            continue
        rule, missed = _rule(round_, name, row, keeper)
        if rule is None or rule.policy.target is None:
            if row is not None and row.state in OPEN:
                facts = chosen_by(ctx.config.chosen_by.get(name, frozenset()), round_.facts)
                keeper.end(row, kept_rule(row, ctx), "cancelled", NO_POLICY, facts)
            continue
        before = next(iter(elsewhere), None)
        keeper.keep(round_, rule, missed, row, before)
    for row in mine:
        if row.round > len(rounds) and row.state in OPEN:
            keeper.end(row, kept_rule(row, ctx), "cancelled", NO_START)


def _rule(round_: Round, clock: str, row: ClockRow | None, keeper: Keeper) -> tuple[Rule | None, tuple[InBoth, ...]]:
    """Choose the policy of a round: the one it runs by, unless the facts that chose it are others now."""
    config = keeper.ctx.config
    facts = chosen_by(config.chosen_by.get(clock, frozenset()), round_.facts)
    is_anew = row is None or row.state == "handed_over" or row.reason == NO_START
    is_anew = is_anew or (keeper.recompute is not None and row is not None and row.state in OPEN)
    if row is not None and not is_anew and (clock not in config.clocks or row.facts == facts):
        # A clock that ended without an event (no policy, no start) stays ended until its facts change.
        return (kept_rule(row, keeper.ctx) if row.reason is None else None), tuple(row.missed)
    rule, missed = config.rule_for(clock, round_.facts)
    if row is not None and not is_anew and rule is not None and rule.policy.name == row.policy:
        rule = kept_rule(row, keeper.ctx)
    return rule, missed


def _flag(keeper: Keeper, rows: Sequence[ClockRow]) -> list[Effect]:
    """Write to the record which of its clocks are broken, when IT wants that and it is another set than before."""
    if not keeper.ctx.config.flag_breaches:
        return []
    before = {row.id: (row.clock, row.state) for row in rows if row.unit == keeper.ctx.unit.slug}
    after = dict(before)
    for identity, clock, state in keeper.written:
        after[identity] = (clock, state)
    names = [sorted({clock for clock, state in found.values() if state == "breached"}) for found in (before, after)]
    if names[0] == names[1]:
        return []
    return [UpdateRecord(fields={"extra": {"sla_breached": ", ".join(names[1]) or None}}, key="flag")]
