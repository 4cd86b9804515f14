"""`python -m tests.growth`: what years of events, a million timers and a million deliveries cost, against nothing."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tests.bench.machine import describe
from tests.growth.filling import fill, give_up_backlog, let_fall_due, own_database, size_mb
from tests.growth.installation import LARGE, SMALL
from tests.growth.measures import Figures, Lengths, Place, ask_in_turn
from tests.growth.rows import Amount
from tests.growth.table import misses, print_table, ratios
from tests.load.databases import KINDS, postgres_answers

SEED = Amount(events=40_000, timers=4000, backlog=2000, units=SMALL.units)
"""What the empty database holds, so that the pages of lists are as full as those of the grown one."""

PLACES = ("empty", "level", "grown")
"""The installations in the order they are asked; "level" has the units and plugins of the grown one and the rows of the
empty one, and tells what the rows cost apart from what the units cost."""


def main() -> int:
    """Measure and print; the last line is the answer as JSON. A ratio that is missed is said and is no failure."""
    parser = argparse.ArgumentParser(prog="python -m tests.growth", description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--timers", type=int, help="a tenth of the events, if not said")
    parser.add_argument("--backlog", type=int, help="a tenth of the events, if not said")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--database", choices=[*KINDS, "both"], default="both")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and drop the databases on the way out
    tenth = max(chosen.events // 10, 1000)
    amount = Amount(chosen.events, chosen.timers or tenth, chosen.backlog or tenth, LARGE.units)
    kinds = list(KINDS) if chosen.database == "both" else [chosen.database]
    if "postgresql" in kinds and not postgres_answers():
        print("!!! NO POSTGRESQL: measured on SQLite alone. Start one, or set OUTRIGGER_TEST_POSTGRES_URL. !!!")
        kinds.remove("postgresql")
    answer: dict[str, object] = {"events": amount.events, "timers": amount.timers, "backlog": amount.backlog}
    with tempfile.TemporaryDirectory(prefix="growth-") as folder:
        print(describe(Path(folder)), flush=True)
        for kind in kinds:
            figures = _one_database(kind, Path(folder), amount, chosen.repeat)
            empty, level, grown = (figures[name] for name in PLACES)
            print_table(kind, empty, level, grown)
            sys.stdout.flush()
            found = ratios(empty, grown)
            answer[f"ratios_{kind}"] = _rounded(found)
            answer[f"ratios_of_same_units_{kind}"] = _rounded(ratios(level, grown))
            answer[f"misses_{kind}"] = list(misses(found))
            answer[f"pss_mb_{kind}"] = {
                place: {name[7:]: round(each.get(name), 1) for name in each.values if name.startswith("pss_mb")}
                for place, each in figures.items()
            }
    print(json.dumps(answer))
    return 0


def _one_database(kind: str, folder: Path, amount: Amount, repeat: int) -> Mapping[str, Figures]:
    lengths = Lengths(burst_s=3.0, events=1500, latency_s=5.0)
    with contextlib.ExitStack() as stack:
        places = []
        level = replace(SEED, units=LARGE.units)
        for name, size, many in zip(PLACES, (SMALL, LARGE, LARGE), (SEED, level, amount), strict=True):
            (folder / kind / name).mkdir(parents=True)
            url = stack.enter_context(own_database(kind, folder / kind / name))
            place = Place(name, url, folder / kind / name, size, many)
            stack.callback(place.close)
            took = fill(url, many)
            _say(f"{kind}, {name}: {many.events} events in {took:.0f} s, {size_mb(url):.0f} MB")
            places.append(place)
        empty, _, grown = places
        for place in places:
            place.ask_for_work()
            place.start()
        for number in range(repeat):
            for place in places:
                _say(f"{kind}, repetition {number + 1} of {repeat}: {place.name}")
                place.acknowledge(lengths)
                place.dispatch(lengths)
                place.poll_timers()
            ask_in_turn(places)
        for _ in range(2):
            for place in places:
                place.latency(lengths)
        for place in places:
            place.memory()
        _while_due(kind, empty, grown, lengths)
        return {place.name: place.figures for place in places}


def _rounded(found: Mapping[str, float]) -> dict[str, float]:
    return {name: round(ratio, 2) for name, ratio in found.items()}


def _while_due(kind: str, empty: Place, grown: Place, lengths: Lengths) -> None:
    """Measure what new events wait for while all of the backlog is due, and then while what is old is removed."""
    for place in (empty, grown):
        began = time.monotonic()
        count = let_fall_due(place.url)
        _say(f"{kind}, {place.name}: {count} deliveries made due in {time.monotonic() - began:.0f} s")
        time.sleep(2.0)
        place.latency(lengths, "due_")
    _say(f"{kind}, grown: {grown.drain_rate(3.0):.0f} deliveries of the backlog a second")
    for place in (empty, grown):
        give_up_backlog(place.url)
        place.prune_beside(lengths)


def _say(text: str) -> None:
    print(f"-- {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
