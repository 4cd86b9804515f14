"""Reads and checks the settings on top of the built-in ones in `defaults.toml`; faults name their path."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import marshmallow as ma

from core.api import EventTypeField, OneOf, SpanField, Who, WhoList, did_you_mean, parse_span

from .facts import RECORDS, TEXTS, fact_names, is_fact
from .settings import CONTINUE, NEW_ROUND, Config, config_of, warn_of
from .strict import ConditionField, SpanText, Strict, Table, WarnText

__all__ = ["Config", "ConfigSchema"]

OWNER = "owner"
"""Stands for the record's owner; `manager_of:owner` for the owner's manager."""

_NEEDED = {"clocks": "record", "policies": "clock"}
"""What a clock or policy of one's own must say."""

EMITTED = ("warned", "breached", "escalated", "met", "missed", "withdrawn")


def _texts(about: str, **options: Any) -> ma.fields.List[Any]:
    return ma.fields.List(ma.fields.String(), load_default=list, metadata={"description": about}, **options)


def _condition(about: str) -> ConditionField:
    return ConditionField(load_default=dict, metadata={"description": about})


def _switch(about: str, *, default: bool) -> ma.fields.Boolean:
    return ma.fields.Boolean(truthy={True}, falsy={False}, load_default=default, metadata={"description": about})


class TitleSchema(Strict):
    """A name in both languages."""

    zh = ma.fields.String(required=True)
    en = ma.fields.String(required=True)


class TriggerSchema(Strict):
    """What moves a clock."""

    events = ma.fields.List(
        EventTypeField(), load_default=list, metadata={"description": "event types, of which one must have come"}
    )
    changed = _texts("facts, of which one must have changed")
    when = _condition("what must hold then")
    at = ma.fields.String(load_default=None, metadata={"description": "the fact that tells when it happened"})

    @ma.validates_schema
    def _says_something(self, data: Mapping[str, Any], **_: Any) -> None:
        if not (data["events"] or data["changed"] or data["when"]):
            raise ma.ValidationError("Give `events`, `changed` or `when`; this would fire at everything.")


def _triggers(about: str) -> ma.fields.List[Any]:
    return ma.fields.List(ma.fields.Nested(TriggerSchema), load_default=list, metadata={"description": about})


class ClockSchema(Strict):
    """What is measured."""

    enabled = _switch("false leaves the clock out", default=True)
    record = ma.fields.String(required=True, metadata={"description": "lead, quote, order or complaint"})
    title = ma.fields.Nested(TitleSchema, required=True)
    start = _triggers("what starts it; one is enough")
    stop = _triggers("what fulfils it")
    cancel = _triggers("what makes it pointless")
    restart = _triggers("what starts it again after it ended")
    restart_as = ma.fields.String(load_default=NEW_ROUND, validate=OneOf((NEW_ROUND, CONTINUE)))
    pause = _condition("while this holds, time does not count")

    @ma.validates_schema
    def _fits(self, data: Mapping[str, Any], **_: Any) -> None:
        kind = data["record"]
        if kind not in RECORDS:
            raise ma.ValidationError(f'There is no record "{kind}".{did_you_mean(kind, RECORDS)}', "record")
        for key in ("start", "stop"):
            if not data[key]:
                raise ma.ValidationError("Needs at least one.", key)
        for key in ("start", "stop", "cancel", "restart"):
            for number, trigger in enumerate(data[key]):
                for place, name in enumerate(trigger["events"]):
                    other = name.partition(".")[0]
                    if other != kind and other in RECORDS:
                        fault = f"A {kind} never has this event; write one of its own, such as {kind}.updated."
                        raise ma.ValidationError({key: {number: {"events": {place: [fault]}}}})
                for fact in [*trigger["changed"], *([trigger["at"]] if trigger["at"] else [])]:
                    fault = _unknown(kind, fact)
                    if fault:
                        raise ma.ValidationError({key: {number: [fault]}})
                for wrong in _faults(kind, trigger["when"]):
                    raise ma.ValidationError({key: {number: {"when": [wrong]}}})
        for wrong in _faults(kind, data["pause"]):
            raise ma.ValidationError(wrong, "pause")


class LevelSchema(Strict):
    """One level of escalation."""

    after = SpanText(load_default=None, metadata={"description": "how long after the breach; at once when not given"})
    to = WhoList(words=(OWNER,), required=True, validate=ma.validate.Length(min=1))


class PolicySchema(Strict):
    """How long a clock has, for which records, and who is told."""

    enabled = _switch("false leaves the policy out", default=True)
    clock = ma.fields.String(required=True, metadata={"description": "the clock it is for"})
    order = ma.fields.Integer(strict=True, load_default=100, validate=ma.validate.Range(0, 10_000))
    when = _condition("for which records; for all when not given")
    target = SpanText(load_default=None, metadata={"description": "how long; without it nothing is promised"})
    before = ma.fields.String(load_default=None, metadata={"description": "counts back from the instant in this fact"})
    warn = ma.fields.List(WarnText(), load_default=list)
    warn_to = WhoList(words=(OWNER,), load_default=lambda: [OWNER])
    levels = ma.fields.List(ma.fields.Nested(LevelSchema), load_default=list)

    @ma.validates_schema
    def _one_kind_of_time(self, data: Mapping[str, Any], **_: Any) -> None:
        if data["target"] is None:
            if data["warn"] or data["levels"] or data["before"]:
                raise ma.ValidationError("Without a target there is nothing to warn of and nothing to break.", "target")
            return
        target = parse_span(data["target"])
        if data["before"] and target.working:
            raise ma.ValidationError("Counting back from an instant takes elapsed time, such as 48h.", "target")
        for number, text in enumerate(data["warn"]):
            span = warn_of(text).before
            if span is not None and span.working is not target.working:
                wanted = "working time" if target.working else "elapsed time"
                raise ma.ValidationError({"warn": {number: [f"The target is in {wanted}, so write this in it too."]}})
        after = [item for item in data["levels"] if item["after"]]
        if len(data["levels"]) - len(after) > 1:
            raise ma.ValidationError("Only one level is at once; give the others `after`.", "levels")


class ConfigSchema(Strict):
    """All settings; what is not given is as built in."""

    start_from = ma.fields.String(
        load_default="manufacturer",
        validate=OneOf(("manufacturer", "nothing")),
        metadata={"description": "the built-in clocks to start from: manufacturer, or nothing for your own only"},
    )
    clocks = Table(ClockSchema, load_default=dict, metadata={"description": "what is measured, each under a name"})
    policies = Table(PolicySchema, load_default=dict, metadata={"description": "how long each clock has, by name"})
    unowned = Who(metadata={"description": "who is told in place of the owner when a record has none"})
    tell_within = SpanField(
        metadata={"description": "people are not told of what came to pass longer ago than this; it is only recorded"}
    )
    emit = ma.fields.List(
        ma.fields.String(validate=OneOf(EMITTED)),
        metadata={"description": "what also becomes an event sla_escalation.<name> for other plugins"},
    )
    flag_breaches = ma.fields.Boolean(
        truthy={True}, falsy={False},
        metadata={"description": "write extra.sla_breached, the names of broken clocks, to the record and the CRM"},
    )  # fmt: skip

    @ma.pre_load
    def _on_top_of_defaults(self, data: Any, **_: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        defaults = built_in()
        if data.get("start_from") == "nothing":
            defaults = {**defaults, "clocks": {}, "policies": {}}
        for section, needed in _NEEDED.items():
            _refuse_misspelt(section, needed, data.get(section), defaults[section])
        return _merged(defaults, data)

    @ma.validates_schema
    def _consistent(self, data: Mapping[str, Any], **_: Any) -> None:
        faults = {}
        for name, policy in data["policies"].items():
            clock = data["clocks"].get(policy["clock"])
            if clock is None:
                near = did_you_mean(policy["clock"], data["clocks"])
                faults[name] = {"clock": [f'There is no clock "{policy["clock"]}".{near}']}
                continue
            wrong = list(_faults(clock["record"], policy["when"]))
            before = _unknown(clock["record"], policy["before"]) if policy["before"] else ""
            if wrong or before:
                faults[name] = {"when": wrong} if wrong else {"before": [before]}
        if faults:
            raise ma.ValidationError({"policies": faults})

    @ma.post_load
    def _build(self, data: dict[str, Any], **_: Any) -> Config:
        return config_of(data)


def _refuse_misspelt(section: str, needed: str, given: Any, known: Mapping[str, Any]) -> None:
    """Refuse a table that is most likely meant to change a built-in one, and names none."""
    if not isinstance(given, Mapping):
        return
    noun, faults = section.removesuffix("s").replace("policie", "policy"), {}
    for name, table in given.items():
        if name not in known and isinstance(table, Mapping) and needed not in table:
            near = did_you_mean(str(name), known)
            faults[name] = [f'There is no {noun} "{name}".{near} A {noun} of your own needs `{needed}`.']
    if faults:
        raise ma.ValidationError({section: faults})


@cache
def built_in() -> dict[str, Any]:
    """Return the built-in settings as they stand in `defaults.toml`; do not change what is returned."""
    return tomllib.loads(Path(__file__).with_name("defaults.toml").read_text(encoding="utf-8"))


def _merged(below: Any, above: Any) -> Any:
    """Lay one table over another, key by key; a condition is replaced as a whole."""
    if not isinstance(below, dict) or not isinstance(above, Mapping):
        return above
    whole = ("when", "pause")
    return {
        **below,
        **{key: value if key in whole else _merged(below.get(key), value) for key, value in above.items()},
    }


def _faults(kind: str, condition: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the facts of a condition on this kind of record."""
    for fact, test in condition.items():
        for name in [fact, *(test[key] for key in ("later_than", "not_later_than") if key in test)]:
            fault = _unknown(kind, name)
            if fault:
                yield fault
        if fact in TEXTS and set(test) != {"known"}:
            yield f'Of "{fact}" only `known` can be asked: texts are not kept with the clocks.'


def _unknown(kind: str, fact: str) -> str:
    if is_fact(kind, fact):
        return ""
    known = fact_names(kind)
    near = did_you_mean(f"customer.{fact}" if f"customer.{fact}" in known else fact, known)
    return f'A {kind} has no fact "{fact}".{near} Unmapped fields are extra.<name>.'
