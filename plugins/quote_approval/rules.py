"""The decision on one quote: returned, approved by rule, or the levels of people to ask, with its explanation; pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.api import Customer, Quote

from .checks import Fault, check
from .facts import Facts, facts_of
from .settings import Config
from .states import Step
from .table import Level, decide

INCOMPLETE = "incomplete"
"""The rule that returns a quote, which stands above the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """What is to happen with a quote, by which rule and why. `near_misses` tell what nearly decided otherwise."""

    step: Step
    rule: str
    reason: str
    facts: Facts
    faults: tuple[Fault, ...] = ()
    levels: tuple[Level, ...] = ()
    near_misses: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()

    def route(self) -> list[dict[str, Any]]:
        """Return the levels as they are stored with the request."""
        return [{"who": list(level.who), "need": level.need} for level in self.levels]


def route(quote: Quote, customer: Customer | None, unit: str, config: Config, handed_in: datetime) -> Routing:
    """Decide on a quote: completeness first, then the table. Raises LookupError for a table with a gap.

    `handed_in` is in the unit's local time.

    The configuration refuses such a table, so that only a table built in code can have one.
    """
    facts = facts_of(quote, customer, unit, config)
    faults = check(quote, config, handed_in)
    if faults:
        told = "；".join(fault.zh for fault in faults) + " " + "; ".join(fault.en for fault in faults)
        return Routing(step=Step.RETURN, rule=INCOMPLETE, reason=told, facts=facts, faults=faults)
    answer = decide(config.rules, facts)
    if answer.rule is None:
        raise LookupError(f"no row of the decision table takes {facts.as_json()}")
    rule = answer.rule
    return Routing(
        step=Step.APPROVE_BY_RULE if rule.approves else Step.ASK,
        rule=rule.name,
        reason=rule.reason,
        facts=facts,
        levels=rule.levels,
        near_misses=answer.near_misses,
        unclear=answer.unclear,
    )
