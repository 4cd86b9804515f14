"""Plans what the CRMs send and when: the facts in time, disturbed as networks and retrying senders disturb them."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from deploy.demo.facts import Fact

SEED = 7
REPEATED = 0.06
OVERTAKEN = 24
BATCH = 20


@dataclass(frozen=True, slots=True)
class Call:
    """One request to come: the facts it tells and why it is sent."""

    source: str
    facts: tuple[Fact, ...]
    why: str = "told"  # told, repeated, overtaken: sent after a later fact of the same record


def plan(facts: Sequence[Fact], batches: Mapping[str, int], seed: int = SEED) -> list[Call]:
    """Return the calls of one act in the order they are sent; the same facts and seed give the same plan.

    `batches` says for each source how many facts one request may carry. Some facts are overtaken by later ones of
    their record, and some requests are sent twice, as a sender does that saw no answer.
    """
    draw = random.Random(seed)
    arrival, overtaken = _disturb(list(facts), draw)
    calls = list(_grouped(arrival, overtaken, batches))
    return _repeat(calls, draw)


def _disturb(facts: list[Fact], draw: random.Random) -> tuple[list[Fact], frozenset[str]]:
    """Let chosen facts arrive right after the next fact of the same record."""
    following: dict[tuple[str, str, str], list[Fact]] = {}
    for fact in facts:
        following.setdefault((fact.source, fact.kind, fact.record_id), []).append(fact)
    pairs = [
        (early, late)
        for chain in following.values()
        for early, late in itertools.pairwise(chain)
        if early.type.endswith(".updated") or (early.type.endswith(".created") and late.type.endswith(".updated"))
    ]
    # Two updates that overtake each other show what is superseded, so those come first; a fact is moved only once.
    draw.shuffle(pairs)
    pairs.sort(key=lambda pair: pair[0].type != pair[1].type)
    moved: dict[str, Fact] = {}
    touched: set[str] = set()
    for early, late in pairs:
        if len(moved) < OVERTAKEN and not {early.id, late.id} & touched:
            moved[late.id] = early
            touched |= {early.id, late.id}
    overtaken = frozenset(early.id for early in moved.values())
    arrival: list[Fact] = []
    for fact in facts:
        if fact.id not in overtaken:
            arrival.append(fact)
        if fact.id in moved:
            arrival.append(moved[fact.id])
    return arrival, overtaken


def _grouped(facts: Iterable[Fact], overtaken: frozenset[str], batches: Mapping[str, int]) -> Iterable[Call]:
    waiting: dict[str, list[Fact]] = {}
    for fact in facts:
        size = batches[fact.source]
        if size == 1:
            yield Call(fact.source, (fact,), "overtaken" if fact.id in overtaken else "told")
            continue
        batch = waiting.setdefault(fact.source, [])
        batch.append(fact)
        if len(batch) == min(size, BATCH):
            yield Call(fact.source, tuple(waiting.pop(fact.source)))
    for source, batch in waiting.items():
        yield Call(source, tuple(batch))


def _repeat(calls: list[Call], draw: random.Random) -> list[Call]:
    chosen: set[int] = set()
    for source in sorted({call.source for call in calls}):
        places = [place for place, call in enumerate(calls) if call.source == source]
        chosen |= set(draw.sample(places, max(1, round(len(places) * REPEATED))))
    planned: list[Call] = []
    for place, call in enumerate(calls):
        planned.append(call)
        if place in chosen:
            planned.append(Call(call.source, call.facts, "repeated"))
    return planned
