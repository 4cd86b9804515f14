"""Judges many random cases of working time by the oracle: `python -m tests.time.campaign --cases 100000`.

Prints one line of JSON: how many cases, how many differences (the first ones in full), the seed, and the seconds.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from datetime import date

from tests.time.kit import STARTS, differences, random_day, window

CASES_PER_WINDOW = 100


def run(cases: int, seed: int) -> dict[str, object]:
    """Try so many cases; every make-up day and change of clocks comes in turn, random days between them."""
    found: list[str] = []
    began = time.monotonic()
    windows = -(-cases // CASES_PER_WINDOW)
    for number in range(windows):
        rng = random.Random(f"{seed}:{number}")
        near = date.fromisoformat(STARTS[number // 2 % len(STARTS)]) if number % 2 else random_day(rng)
        looked_at = window(rng, near)
        for _ in range(min(CASES_PER_WINDOW, cases - number * CASES_PER_WINDOW)):
            found += differences(looked_at, rng)
    return {
        "campaign": "working time against the oracle (R26)",
        "cases": cases,
        "calendars": windows,
        "years": "2018-2027",
        "differences": len(found),
        "first_differences": found[:3],
        "seed": seed,
        "seconds": round(time.monotonic() - began, 1),
    }


def main() -> int:
    """Run the campaign of the command line; exit code 1 when anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    result = run(options.cases, seed)
    print(json.dumps(result, ensure_ascii=False))
    return 1 if result["differences"] else 0


if __name__ == "__main__":
    sys.exit(main())
