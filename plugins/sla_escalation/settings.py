"""The settings as typed, frozen values: clocks, what starts and stops them, and the policies that give them time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from core.api import Span, parse_span

from .conditions import Check, Condition, Facts, failing, names

InBoth = Mapping[str, str]
"""A text in both languages, under `zh` and `en`, as rows keep it."""

NEW_ROUND = "new_round"
CONTINUE = "continue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Title:
    """What people call something, in both languages."""

    zh: str
    en: str

    def __str__(self) -> str:
        return f"{self.zh} {self.en}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """What moves a clock: an event of one of these types, or a change of one of these facts, under a condition.

    Without types and facts it looks at every event. `at` names the fact that tells when it happened.
    """

    events: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    when: Condition = ()
    at: str | None = None

    def facts(self) -> set[str]:
        """Return the names of the facts it looks at."""
        return {*self.changed, *names(self.when), *([self.at] if self.at else [])}


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """What is measured: on which kind of record, from what until what, and when it stands still."""

    name: str
    record: str
    title: Title
    start: tuple[Trigger, ...]
    stop: tuple[Trigger, ...]
    cancel: tuple[Trigger, ...] = ()
    restart: tuple[Trigger, ...] = ()
    restart_as: str = NEW_ROUND
    pause: Condition = ()

    def triggers(self) -> tuple[Trigger, ...]:
        """Return everything that moves it."""
        return (*self.start, *self.stop, *self.cancel, *self.restart)


@dataclass(frozen=True, slots=True, kw_only=True)
class Warn:
    """A warning: at a share of the target, or a span before it is over."""

    text: str  # as it was written: "50%" or "4h"
    percent: int | None = None
    before: Span | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One level of escalation: how long after the breach (None: at once), and who is told."""

    to: tuple[str, ...]
    after: Span | None = None
    key: str = "0"  # what the level is called among those of its policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How long a clock has, for which records, and who is told; without a target nothing is promised to them."""

    name: str
    clock: str
    order: int
    when: Condition
    target: Span | None
    before: str | None  # counts backwards: due so long before the instant in this fact
    warn: tuple[Warn, ...]
    warn_to: tuple[str, ...]
    levels: tuple[Level, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """A clock and one policy for it, with the text they are kept as while a clock runs."""

    clock: Clock
    policy: Policy
    body: Mapping[str, Any]
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings of one unit."""

    clocks: Mapping[str, Clock]
    rules: Mapping[str, tuple[Rule, ...]]  # clock -> its policies in their order
    watched: Mapping[str, frozenset[str]]  # record kind -> the facts that clocks and policies look at
    events: Mapping[str, frozenset[str]]  # record kind -> the event types that clocks name
    chosen_by: Mapping[str, frozenset[str]]  # clock -> the facts by which its policy is chosen
    unowned: str
    tell_within: Span
    emit: frozenset[str]
    flag_breaches: bool
    by_record: Mapping[str, tuple[Clock, ...]] = field(default_factory=lambda: MappingProxyType({}))
    stored: set[str] = field(default_factory=set, compare=False, repr=False)  # ids of rules known to be in the table

    def rule_for(self, clock: str, facts: Facts) -> tuple[Rule | None, tuple[InBoth, ...]]:
        """Return the first policy of a clock that fits, and why each before it did not."""
        missed: list[InBoth] = []
        for rule in self.rules.get(clock, ()):
            test = failing(rule.policy.when, facts)
            if test is None:
                return rule, tuple(missed)
            seen = facts.get(test.fact)
            name, zh, en = rule.policy.name, test.text("zh"), test.text("en")
            missed.append({
                "zh": f"{name}：需要 {zh}，实为 {'未知' if seen is None else seen}",
                "en": f"{name}: needs {en}, it is {'unknown' if seen is None else seen}",
            })  # fmt: skip
        return None, tuple(missed)


def config_of(values: Mapping[str, Any]) -> Config:
    """Make the typed settings of checked ones."""
    clocks = {name: clock_of(name, item) for name, item in values["clocks"].items() if item["enabled"]}
    rules: dict[str, list[Rule]] = {name: [] for name in clocks}
    for name, item in values["policies"].items():
        if item["enabled"] and item["clock"] in clocks:
            rules[item["clock"]].append(_rule(item["clock"], values["clocks"][item["clock"]], name, item))
    ordered = {
        name: tuple(sorted(found, key=lambda rule: (rule.policy.order, rule.policy.name)))
        for name, found in rules.items()
    }
    kinds = sorted({clock.record for clock in clocks.values()})
    of_kind = {kind: tuple(clock for clock in clocks.values() if clock.record == kind) for kind in kinds}
    return Config(
        clocks=MappingProxyType(clocks),
        rules=MappingProxyType(ordered),
        watched=MappingProxyType({kind: _watched(of_kind[kind], ordered) for kind in kinds}),
        events=MappingProxyType({
            kind: frozenset(name for clock in of_kind[kind] for trigger in clock.triggers() for name in trigger.events)
            for kind in kinds
        }),
        chosen_by=MappingProxyType(
            {name: frozenset().union(*(names(rule.policy.when) for rule in found)) for name, found in ordered.items()}
        ),
        unowned=values["unowned"],
        tell_within=values["tell_within"],
        emit=frozenset(values["emit"]),
        flag_breaches=values["flag_breaches"],
        by_record=MappingProxyType(of_kind),
    )  # fmt: skip


def _watched(clocks: tuple[Clock, ...], rules: Mapping[str, tuple[Rule, ...]]) -> frozenset[str]:
    found: set[str] = set()
    for clock in clocks:
        found |= names(clock.pause)
        for trigger in clock.triggers():
            found |= trigger.facts()
        for rule in rules[clock.name]:
            found |= names(rule.policy.when) | ({rule.policy.before} if rule.policy.before else set())
    return frozenset(found)


def _rule(clock: str, clock_values: Mapping[str, Any], policy: str, policy_values: Mapping[str, Any]) -> Rule:
    return rule_of({"clock": {"name": clock, **clock_values}, "policy": {"name": policy, **policy_values}})


def rule_of(body: Mapping[str, Any]) -> Rule:
    """Make a rule of the text it is kept as; one text is read once."""
    return _read_rule(json.dumps(body, sort_keys=True, ensure_ascii=False))


@lru_cache(maxsize=4096)
def _read_rule(text: str) -> Rule:
    body = json.loads(text)
    identity = hashlib.sha256(text.encode()).hexdigest()[:24]
    clock, policy = body["clock"], body["policy"]
    return Rule(clock_of(clock["name"], clock), policy_of(policy["name"], policy), body, identity)


def clock_of(name: str, values: Mapping[str, Any]) -> Clock:
    """Make a clock of its checked settings."""
    return Clock(
        name=name,
        record=values["record"],
        title=Title(**values["title"]),
        restart_as=values["restart_as"],
        pause=condition_of(values["pause"]),
        **{key: tuple(_trigger(item) for item in values[key]) for key in ("start", "stop", "cancel", "restart")},
    )


def policy_of(name: str, values: Mapping[str, Any]) -> Policy:
    """Make a policy of its checked settings."""
    levels = tuple(
        Level(
            to=tuple(item["to"]),
            after=parse_span(item["after"]) if item["after"] else None,
            key=item["after"] or "0",
        )
        for item in values["levels"]
    )
    return Policy(
        name=name,
        clock=values["clock"],
        order=values["order"],
        when=condition_of(values["when"]),
        target=parse_span(values["target"]) if values["target"] else None,
        before=values["before"],
        warn=tuple(warn_of(text) for text in values["warn"]),
        warn_to=tuple(values["warn_to"]),
        levels=levels,
    )


def warn_of(text: str) -> Warn:
    """Read "80%" or a span such as "4h". Raises ValueError."""
    if text.rstrip().endswith("%"):
        digits = text.rstrip()[:-1].strip()
        if not digits.isdecimal() or not 0 < int(digits) < 100:
            raise ValueError("A share of the target is between 1% and 99%.")
        return Warn(text=text, percent=int(digits))
    return Warn(text=text, before=parse_span(text))


def condition_of(values: Mapping[str, Any]) -> Condition:
    """Make a condition of its checked settings."""
    return tuple(_check(fact, item) for fact, item in values.items())


def _check(fact: str, item: Mapping[str, Any]) -> Check:
    return Check(
        fact=fact,
        one_of=tuple(item.get("one_of", ())),
        none_of=tuple(item.get("none_of", ())),
        at_least=Decimal(item["at_least"]) if "at_least" in item else None,
        at_most=Decimal(item["at_most"]) if "at_most" in item else None,
        known=item.get("known"),
        later_than=item.get("later_than"),
        not_later_than=item.get("not_later_than"),
    )


def _trigger(item: Mapping[str, Any]) -> Trigger:
    return Trigger(
        events=tuple(item["events"]),
        changed=tuple(item["changed"]),
        when=condition_of(item["when"]),
        at=item["at"],
    )
