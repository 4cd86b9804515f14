"""Lets a clock explain itself, in Chinese and English: its rule, its time, who was told, what would stop it.

Everything is made from the clock's own row, the rule it keeps, the calendar and the time of asking.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from core.api import Calendar

from .conditions import names
from .explain_told import next_lines, told_lines
from .models import ClockRow
from .reckoning import time_between
from .rounds import Stretch, stretch_of
from .rules import OPEN, Standing, judge
from .seen import Line, Seen
from .settings import Rule, Trigger
from .telling import told_of
from .words import STATES, length, local

LISTED_DAYS = 40
"""Of a longer stretch the days are not listed one by one; the sum says it all the same."""

_KINDS = {
    "rest": ("休息日", "day off"),
    "holiday": ("法定节假日", "public holiday"),
    "make_up": ("调休上班", "make-up working day"),
    "company": ("公司日历", "company day"),
}


def standing_of(row: ClockRow, rule: Rule, calendar: Calendar, now: datetime) -> Standing:
    """Return where a stored clock stands at `now`."""
    end = (row.ended_at, row.ended_as) if row.ended_at is not None else None
    stretches = tuple(stretch_of(item) for item in row.segments)
    return judge(rule.policy, row.started_at, end, stretches, row.anchor_at, calendar, now)


def state_now(row: ClockRow, standing: Standing) -> str:
    """Return a clock's state at the time of asking: an open one may have come to its due moment since."""
    if row.state not in OPEN or (row.state == "breached" and standing.state != "cancelled"):
        return row.state
    return standing.state


def explain(row: ClockRow, rule: Rule, seen: Seen) -> list[Line]:
    """Return the lines by which a clock explains where it stands at the time of asking."""
    calendar, now = seen.calendar, seen.now
    standing = standing_of(row, rule, calendar, now)
    return [
        *_head(row, rule, standing, seen),
        *_rule(row, rule, calendar),
        *_stretches(row, rule, calendar, now),
        *told_lines(row, seen),
        *next_lines(row, rule, standing, seen),
        *_end(row, rule, calendar),
    ]


def _head(row: ClockRow, rule: Rule, standing: Standing, seen: Seen) -> Iterator[Line]:
    calendar = seen.calendar
    title, (zh, en) = rule.clock.title, STATES[state_now(row, standing)]
    number = (f"（第 {row.round} 轮）", f" (round {row.round})") if row.round > 1 else ("", "")
    where, zone = f"{row.record_id} @ {seen.unit or row.unit}", calendar.zone
    yield Line(
        "clock",
        f"{title.zh}{number[0]}，{where}：{zh}（时间均为 {zone}）",
        f"{title.en}{number[1]}, {where}: {en} (times of {zone})",
    )
    assert rule.policy.target is not None
    working = rule.policy.target.working
    counted = _both(standing.elapsed, working=working)
    target = _both(standing.target, working=working)
    left = standing.target - standing.elapsed
    if rule.policy.before is not None and standing.due is not None:
        at = local(standing.due, calendar)
        yield Line("due", f"到期 {at}", f"due {at}")
    elif row.state in OPEN and left > timedelta(0):
        rest = _both(left, working=working)
        due = local(standing.due, calendar) if standing.due else None
        when = (f"，到期 {due}", f", due {due}") if due else ("，恢复后重新计算到期", ", due once it runs again")
        yield Line(
            "due",
            f"已计 {counted[0]}，共 {target[0]}，剩余 {rest[0]}{when[0]}",
            f"{counted[1]} of {target[1]} counted, {rest[1]} left{when[1]}",
        )
    else:
        excess = _both(-left, working=working)
        over = (f"，超出 {excess[0]}", f", {excess[1]} over") if left < timedelta(0) else ("", "")
        due = local(standing.due, calendar) if standing.due else None
        when = (f"，到期 {due}", f", due {due}") if due else ("", "")
        yield Line(
            "due",
            f"已计 {counted[0]}，共 {target[0]}{over[0]}{when[0]}",
            f"{counted[1]} of {target[1]} counted{over[1]}{when[1]}",
        )
    if working and row.state in OPEN and standing.due is not None:
        on = calendar.local(standing.due).date()
        if calendar.day(on).provisional:
            yield Line(
                "due",
                f"{on.year} 年的节假日和调休尚未公布，公布后到期时间可能变化",
                f"the holidays and make-up days of {on.year} are not published yet; the due moment may change",
            )


def _rule(row: ClockRow, rule: Rule, calendar: Calendar) -> Iterator[Line]:
    policy = rule.policy
    assert policy.target is not None
    looked_at = names(policy.when)
    why = ", ".join(f"{name} = {value}" for name, value in row.facts.items() if name in looked_at)
    because = (f"，因为 {why}", f", because {why}") if why else ("", "")
    if not policy.when:
        because = ("，适用于其余所有", ", for all others") if row.missed else ("，无条件", ", for all")
    span = (policy.target.text("zh"), policy.target.text("en"))
    if policy.before:
        at = local(row.anchor_at, calendar) if row.anchor_at is not None else ""
        span = (f"{policy.before} {at} 之前 {span[0]}", f"{span[1]} before {policy.before} {at}".rstrip())
    kind = (f"（按日历 {calendar.slug} 的工作时间）", f" (working time of {calendar.slug})")
    clock = kind if policy.target.working else ("（自然时间）", " (elapsed time)")
    yield Line(
        "policy",
        f"政策 {policy.name}：{span[0]}{clock[0]}{because[0]}",
        f"policy {policy.name}: {span[1]}{clock[1]}{because[1]}",
    )
    for item in row.missed:
        text = {"zh": item, "en": item} if isinstance(item, str) else item  # a row of old code
        yield Line("not", f"未采用 {text['zh']}", f"not taken: {text['en']}")
    at = local(row.started_at, calendar)
    yield Line("start", f"起算 {at}，事件 {row.started_by}", f"started {at} by {row.started_by}")


def _stretches(row: ClockRow, rule: Rule, calendar: Calendar, now: datetime) -> Iterator[Line]:
    assert rule.policy.target is not None
    working = rule.policy.target.working
    for stored in row.segments:
        stretch = stretch_of(stored)
        end = stretch.end if stretch.end is not None else max(now, stretch.start)
        open_ = stretch.end is None and row.state in OPEN
        til = (("现在" if open_ else local(end, calendar)), ("now" if open_ else local(end, calendar)))
        at = local(stretch.start, calendar)
        if not stretch.counts:
            waits = _both(end - stretch.start)
            yield Line(
                "pause",
                f"{at} 至 {til[0]} 暂停 {waits[0]}，不计时（{stretch.why}）",
                f"{at} to {til[1]} paused for {waits[1]}, not counted ({stretch.why})",
            )
            continue
        counted = _both(time_between(stretch.start, end, working=working, calendar=calendar), working=working)
        yield Line(
            "counted",
            f"{at} 至 {til[0]} 计 {counted[0]}",
            f"{at} to {til[1]} counted {counted[1]}",
        )
        if working:
            yield from _days(stretch, end, calendar)


def _days(stretch: Stretch, end: datetime, calendar: Calendar) -> Iterator[Line]:
    """Say of every day of a stretch how much of it counted, and why others did not."""
    first, last = calendar.local(stretch.start), calendar.local(end)
    if (last.date() - first.date()).days > LISTED_DAYS:
        return
    on = first.date()
    while on <= last.date():
        begins = max(stretch.start, datetime(on.year, on.month, on.day, tzinfo=first.tzinfo))
        following = on + timedelta(days=1)
        ends = min(end, datetime(following.year, following.month, following.day, tzinfo=first.tzinfo))
        day = calendar.day(on)
        counted = time_between(begins, ends, working=True, calendar=calendar)
        kind = _KINDS.get(day.kind)
        name = (f"，{kind[0]} {day.name}".rstrip(), f", {kind[1]} {day.name}".rstrip()) if kind else ("", "")
        if kind and kind[0] in day.name:
            name = (f"，{day.name}", name[1])  # 中秋节（调休上班） says it already
        hours = [f"{start}-{end}" for start, end in day.shifts]
        shifts = (f"（{'、'.join(hours)}）", f" ({', '.join(hours)})") if hours else ("", "")
        sure = ("（日历待公布）", " (calendar not published yet)") if day.provisional else ("", "")
        if counted > timedelta(0) or (kind is not None and begins < ends):
            said = _both(counted, working=True)
            yield Line(
                "day",
                f"  {on} 计 {said[0]}{shifts[0]}{name[0]}{sure[0]}",
                f"  {on} {said[1]}{shifts[1]}{name[1]}{sure[1]}",
            )
        on = following


def _both(span: timedelta, *, working: bool = False) -> tuple[str, str]:
    """Write a length of time in Chinese and in English."""
    return length(span, "zh", working=working, exact=True), length(span, "en", working=working, exact=True)


def _end(row: ClockRow, rule: Rule, calendar: Calendar) -> Iterator[Line]:
    if row.state in OPEN:
        stops = _triggers(rule.clock.stop, "zh"), _triggers(rule.clock.stop, "en")
        yield Line("stop", f"以下任一发生即停止：{stops[0]}", f"any of these would stop it: {stops[1]}")
        if rule.clock.pause:
            pause = [" 且 ".join(item.text("zh") for item in rule.clock.pause)]
            pause.append(" and ".join(item.text("en") for item in rule.clock.pause))
            yield Line("stop", f"以下情况暂停：{pause[0]}", f"it stands still while {pause[1]}")
        return
    at = local(row.ended_at, calendar) if row.ended_at else ""
    by = row.reason or row.ended_by or ""
    zh, en = STATES[row.state]
    yield Line("end", f"{at} {zh}：{by}", f"{at} {en}: {by}")
    wrong = [item for item in map(told_of, row.told) if item.withdrawn and item.kind == "breach" and item.to]
    if wrong and row.state == "met":
        told = local(datetime.fromisoformat(wrong[0].at), calendar)
        known = local(row.learned_at, calendar) if row.learned_at else ""
        yield Line(
            "end",
            f"曾于 {told} 发出超时通知，当时尚不知道已完成（{known} 得知）",
            f"the breach was announced at {told}, before the reply was known (at {known})",
        )


def _triggers(triggers: Iterable[Trigger], language: str) -> str:
    return ("；" if language == "zh" else "; ").join(_trigger(item, language) for item in triggers)


def _trigger(trigger: Trigger, language: str) -> str:
    changes, also = ("变更", " 且 ") if language == "zh" else ("changes", " and ")
    said = ["/".join(trigger.events)] if trigger.events else []
    if trigger.changed:
        said.append(f"{'/'.join(trigger.changed)} {changes}")
    return also.join([*said, *(check.text(language) for check in trigger.when)])
