"""Lets a clock say who was told of what, how they were found and what became of the messages; and who is told next."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from core.api import MessageState, parse_span

from .models import ClockRow
from .rules import OPEN, Standing
from .seen import Line, Seen
from .settings import Rule
from .telling import MANAGER_OF, OWNER, Told, to_come, told_of
from .words import STEPS, local

PROMPT = timedelta(minutes=1)
"""How soon after a moment people are told of it as a rule; what comes later is said with its time."""

_STEP = {"warn": "warned", "breach": "breached", "level": "escalated"}
_COMING = {"warn": ("预警", "warning"), "breach": ("超时", "breach"), "level": ("升级", "escalation")}
_WHY = {
    "passed": ("得知时已过，未单独通知", "it had passed when it became known, so nobody was told of it by itself"),
    "history": ("已过去太久，只记录不通知", "too long ago to tell anybody, only recorded"),
    "unnamed": ("政策未指定通知谁", "the policy names nobody to tell"),
    "nobody": ("找不到可以通知的人", "nobody was found to tell"),
    "": ("此条未发通知", "nobody was told of it by itself"),  # by old code, which did not note why
}


def told_lines(row: ClockRow, seen: Seen) -> Iterator[Line]:
    """Say of every moment that came who was told and when, why these people, and what became of the messages."""
    for item in map(told_of, row.told):
        zh, en = STEPS[_STEP[item.kind]]
        name, whom, late, back = name_of(item.kind, item.name), _whom(item), _late(item, seen), _back(item, row)
        way = (
            f"（{'；'.join(item.path_zh or item.path)}）" if item.path else "",
            f" ({'; '.join(item.path)})" if item.path else "",
        )
        due = local(datetime.fromisoformat(item.due), seen.calendar)
        yield Line(
            "told",
            f"{due} {zh}{name[0]}，{whom[0]}{late[0]}{back[0]}{way[0]}",
            f"{due} {en}{name[1]}, {whom[1]}{late[1]}{back[1]}{way[1]}",
        )
        for person, key in zip(item.people, item.messages, strict=False):
            state = seen.messages.get((item.event, key))
            if state is not None:
                said = _became(state, seen)
                yield Line("message", f"  {person}：{said[0]}", f"  {person}: {said[1]}")


def next_lines(row: ClockRow, rule: Rule, standing: Standing, seen: Seen) -> Iterator[Line]:
    """Say when people are told next, of what and who, as far as no pause leaves it open."""
    if row.state not in OPEN:
        return
    if not seen.is_on:
        yield Line(
            "next", "插件在本事业部已停用：到时不通知，重新启用后补发",
            "the plugin is switched off in this unit: nobody is told until it is on again, and then late",
        )  # fmt: skip
    for moment in to_come(standing.moments, rule.policy.name, [told_of(item) for item in row.told]):
        zh, en = _COMING[moment.kind]
        name, at = name_of(moment.kind, moment.name), local(moment.at, seen.calendar)
        whom = ["、".join(_titled(who, "zh", seen) for who in moment.to)]
        whom.append(", ".join(_titled(who, "en", seen) for who in moment.to))
        to = (f"通知{whom[0]}", f"to {whom[1]}") if moment.to else ("不通知任何人", "to nobody")
        yield Line("next", f"将于 {at} {zh}{name[0]}，{to[0]}", f"coming {at}: {en}{name[1]}, {to[1]}")


def name_of(kind: str, name: str) -> tuple[str, str]:
    """Name a moment: a warning's share or span, how long after the breach a level is; the breach needs no name."""
    if kind == "breach":
        return "", ""
    if name.endswith("%"):
        return f" {name}", f" {name}"
    span, (before, after) = parse_span(name), (("到期前", "超时后"), ("before it is due", "after the breach"))
    which = 0 if kind == "warn" else 1
    return f"（{before[which]} {span.text('zh')}）", f" {span.text('en')} {after[which]}"


def _whom(item: Told) -> tuple[str, str]:
    if not item.to:
        return _WHY[item.why]
    people = item.people or item.to
    joined = ("（与下一条合并）", " (in one message with the next)") if item.why == "joined" else ("", "")
    return f"通知 {'、'.join(people)}{joined[0]}", f"message to {', '.join(people)}{joined[1]}"


def _late(item: Told, seen: Seen) -> tuple[str, str]:
    told_at = datetime.fromisoformat(item.at)
    if not item.to or not (item.late or told_at - datetime.fromisoformat(item.due) > PROMPT):
        return "", ""
    at = local(told_at, seen.calendar)
    if item.late:
        return f"，于 {at} 补发（系统或插件曾停用）", f", late at {at} (the server or the plugin was not running)"
    return f"，于 {at} 补发（此前尚不知情）", f", late at {at} (it was not known before)"


def _back(item: Told, row: ClockRow) -> tuple[str, str]:
    if not item.to:
        return "", ""
    if item.withdrawn:
        return "，后撤回", ", withdrawn later"
    if row.ended_at is not None and datetime.fromisoformat(item.due) > row.ended_at:
        return "，当时尚不知已结束", ", when it was not known yet that it had ended"
    return "", ""


def _became(state: MessageState, seen: Seen) -> tuple[str, str]:
    """Say what became of a message; the reason is the outbox's own, in the words of who refused it."""
    if state.sent_at is not None:
        at = local(state.sent_at, seen.calendar)
        return f"{at} 经 {state.channel} 发出", f"sent by {state.channel} at {at}"
    reason = f" ({state.reason})" if state.reason else ""
    if state.status == "suppressed":
        dropped = ("未发送：发送时情况已变", f"not sent: it no longer held when it was to be sent{reason}")
        unreachable = ("未发送：没有可用的渠道", f"not sent{reason}")
        return dropped if state.was_dropped else unreachable
    if state.status == "discarded":
        return f"{state.channel} 未能送达，已放弃", f"given up by {state.channel}{reason}"
    waits = "重试中" if state.status == "retryable" else "待发送"
    words = "being tried again" if state.status == "retryable" else "waiting to be sent"
    return f"经 {state.channel} {waits}", f"{words} by {state.channel}{reason}"


def _titled(who: str, language: str, seen: Seen) -> str:
    """Name who a policy names: the owner, somebody's manager, or a role by its title."""
    name = who.removeprefix(MANAGER_OF)
    said = {"zh": "负责人", "en": "the owner"}[language] if name == OWNER else seen.title(name, language)
    if name == who:
        return said
    return f"{said}的上级" if language == "zh" else f"the manager of {said}"
