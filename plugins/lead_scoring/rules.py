"""Scores a lead: the points of every rule, capped per group, and the grade they make; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.api import Customer, Lead, Reason
from plugins.lead_scoring.conditions import match, near_miss
from plugins.lead_scoring.facts import Facts, is_askable
from plugins.lead_scoring.settings import Config, Group

LOWEST, HIGHEST = 0, 100
_MOST_QUESTIONS = 3


@dataclass(frozen=True, slots=True)
class Score:
    """A lead's score with everything that explains it; the weights of the reasons add up to the total."""

    total: int
    grade: str
    reasons: tuple[Reason, ...]
    near_misses: tuple[str, ...]
    groups: Mapping[str, int]
    inputs: Mapping[str, Any]  # the facts that were looked at, and the moment they were looked at


def score(lead: Lead, config: Config, now: datetime, *, customer: Customer | None = None) -> Score:
    """Score a lead as of `now`; the same lead, configuration and moment give the same score."""
    facts = Facts(lead, now, customer=customer, rates=config.exchange_rates, currency=config.currency)
    reasons = [Reason("起评分 every lead starts with", config.base)]
    groups: dict[str, int] = {}
    for group in config.groups:
        points, found = _score_group(group, facts)
        groups[group.name] = points
        reasons.extend(found)
    raw = config.base + sum(groups.values())
    total = max(LOWEST, min(HIGHEST, raw))
    if total != raw:
        reasons.append(Reason(f"总分限制 kept between {LOWEST} and {HIGHEST}", total - raw))
    grade = config.grades.of(total)
    return Score(
        total=total,
        grade=grade,
        reasons=tuple(reason for reason in reasons if reason.weight),
        near_misses=_near_misses(total, grade, config, facts),
        groups=groups,
        inputs={
            "as_of": now.isoformat(),
            "facts": {field: facts.as_input(field) for field in config.fields if facts.is_known(field)},
            "thresholds": dict(config.grades.steps()),
            "groups": groups,
        },
    )


def _score_group(group: Group, facts: Facts) -> tuple[int, list[Reason]]:
    """Add up a group's rules and cap the sum; a cap that bites is a reason of its own."""
    found: list[Reason] = []
    for rule in group.rules:
        hit = match(rule, facts)
        if hit is not None:
            text = f"{rule.reason} ({hit.seen})" if hit.seen else rule.reason
            found.append(Reason(text, hit.points, rule.field))
    found.sort(key=lambda reason: (-abs(reason.weight or 0), reason.text))
    raw = sum(int(reason.weight or 0) for reason in found)
    points = max(group.floor, min(group.cap, raw))
    if points < raw:
        found.append(Reason(f"{group.title}: 上限 {group.cap} 分 capped at {group.cap}", points - raw))
    elif points > raw:
        found.append(Reason(f"{group.title}: 下限 {group.floor} 分 not below {group.floor}", points - raw))
    return points, found


def _near_misses(total: int, grade: str, config: Config, facts: Facts) -> tuple[str, ...]:
    """Say what nearly changed the grade: lines close by, numbers just short, and what is not known."""
    found = []
    steps = config.grades.steps()
    for name, threshold in steps:
        if 0 < threshold - total <= config.near_points:
            short = threshold - total
            found.append(f"差 {short} 分到 {name} 级 {short} {_points(short)} short of {name}")
        elif name == grade and total - threshold < config.near_points:
            spare = total - threshold
            found.append(f"仅高出 {name} 级 {spare} 分 only {spare} {_points(spare)} above the line of {name}")
    rules = [rule for group in config.groups for rule in group.rules]
    found.extend(text for rule in rules if (text := near_miss(rule, facts)) is not None)
    best: dict[str, int] = {}
    for field in (field for field in config.fields if is_askable(field) and not facts.is_known(field)):
        best[field] = max((rule.points for rule in rules if rule.field == field and not rule.missing), default=0)
    asked = sorted((field for field in best if best[field] > 0), key=lambda field: (-best[field], field))
    found.extend(f"未知 not known: {field} (+{best[field]})" for field in asked[:_MOST_QUESTIONS])
    return tuple(found)


def _points(number: int) -> str:
    return "point" if number == 1 else "points"
