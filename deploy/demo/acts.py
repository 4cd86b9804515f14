"""The acts of the demo: history, complaints that meet a published case, and a day of quotes, clocks and switches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy.demo import approving, switching
from deploy.demo.approving import AtOnce, ByLink
from deploy.demo.client import Client
from deploy.demo.facts import Fact, read_facts
from deploy.demo.place import Place
from deploy.demo.play import Stage, Tally, at_present, now, publish
from deploy.demo.progress import Progress
from deploy.demo.quiet import DECIDED, WATCHED, wait_until_quiet
from deploy.demo.receiver import read_ledger
from deploy.demo.refusals import Refusal
from deploy.demo.switching import Switched

HISTORY, NEXT_COMPLAINTS, TODAY = 1, 2, 3
"""The acts that are told whole; every later fact is told by itself, where IT's day needs it."""

PUBLISHED = ("CP-0001", "CP-0013")
"""The complaints whose cases a person publishes between the first two acts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """Everything that was done, for the report."""

    tallies: dict[str, Tally]
    refused: Sequence[tuple[Refusal, int]]
    echoes: int
    published: Sequence[dict[str, Any]]
    opened: list[str]
    agreed: str
    link: ByLink
    once: AtOnce
    switched: Switched
    unsettled: list[str] = field(default_factory=list)


def play(place: Place, port: int, url: str, key: str) -> Played:
    """Tell all acts, each when the server has nothing left to do about the one before."""
    facts = read_facts(now())
    stage, api = Stage(place, url), Client(url, key)
    unsettled: list[str] = []

    def tell(some: Sequence[Fact], text: str, then: str, watched: Sequence[str] = WATCHED) -> None:
        progress = Progress(text)
        stage.send(some, progress)
        progress.end()
        unsettled.extend(settle(api, then, watched))

    print(f"Four CRMs send {len(facts)} facts about {len({f.record_id for f in facts})} records …", flush=True)
    first = [fact for fact in facts if fact.act == HISTORY]
    tell(first, "requests", "deciding and writing back")
    refused = stage.misbehave(first)
    stage.send_unmappable(first)
    unsettled += settle(api, "what does not map")
    echoes = stage.echo(read_ledger(place.directory))
    published = publish(api, PUBLISHED)
    switching.switch_on(api)
    later = at_present([fact for fact in facts if fact.act == NEXT_COMPLAINTS])
    today = [*(fact for fact in facts if fact.act == TODAY), *later]
    tell(today, "today's quotes, orders and complaints", "routing", DECIDED)
    agreed = approving.agree_on_first_level(api)
    link = approving.decide_by_link(api, url, place.directory)
    once = approving.decide_at_once(url, key)
    for quote in (approving.LEVELS, approving.BY_LINK, approving.AT_ONCE):
        if not approving.wait_until_followed(api, quote):
            unsettled.append(f"what a person decided about {quote} was not carried out")
    singles = {fact.record_id: fact for fact in facts if fact.act > TODAY}

    def tell_one(name: str) -> None:
        tell(at_present([singles[name]]), f"the quote {name}", "routing", DECIDED)

    switched = switching.play(place, port, api, tell_one)
    unsettled += settle(api, "the last messages")
    return Played(
        tallies=stage.tallies,
        refused=refused,
        echoes=echoes,
        published=published,
        opened=[fact.record_id for fact in later],
        agreed=agreed,
        link=link,
        once=once,
        switched=switched,
        unsettled=unsettled,
    )


def settle(api: Client, text: str, watched: Sequence[str] = WATCHED) -> list[str]:
    """Wait until the server has nothing left to do; return a line when that takes too long."""
    progress = Progress(text)
    is_quiet = wait_until_quiet(api, progress.waiting, watched=watched)
    progress.end()
    return [] if is_quiet else [f"{text}: some work was still open after a minute"]
