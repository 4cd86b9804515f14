"""`make replay DATA=DIR`: plays public data sets through the plugins and prints what they decided.

    python -m deploy.replay DIR [--sets a,b] [--rows n] [--json] [--jobs n] [--keep DIR] [--write-expected]

DIR holds the unpacked sets under their folder names. Nothing is sent anywhere. Exits with 1 when a delivery was not
completed, when the counts are not those of expected.json, or when a set could not be played.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import structlog

from deploy.replay.play import Job, all_sets, names_of, play
from deploy.replay.report import differences, lines_of, read_expected, summary, write_expected


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.replay", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with the unpacked sets")
    parser.add_argument("--sets", help="only these, separated by commas")
    parser.add_argument("--rows", type=int, help="only the first so many rows of each file; counts are not checked")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--jobs", type=int, default=max(1, min(4, os.cpu_count() or 1)), help="sets at the same time")
    parser.add_argument("--keep", type=Path, help="keep each set's events and database in this folder")
    parser.add_argument("--write-expected", action="store_true", help="write the counts down instead of checking them")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _arguments(argv)
    known = all_sets()
    try:
        chosen = names_of(options.sets, list(known))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    missing = [name for name in chosen if not (options.data / name).is_dir()]
    if missing:
        print(f"{options.data} has no folder {', '.join(missing)}; name the sets it has with --sets.", file=sys.stderr)
        return 2
    if options.write_expected and options.rows:
        print("--write-expected needs all rows, so leave --rows out.", file=sys.stderr)
        return 2
    results = _play_all([Job(name, options.data, options.rows, options.keep) for name in chosen], options.jobs)
    different: list[str] = []
    if options.write_expected:
        write_expected(results)
    elif not options.rows:
        different = differences(results, read_expected())
    closing = summary(results, different)
    if options.json:
        print(json.dumps({"sets": results, "differences": different}, ensure_ascii=False, indent=1))
    else:
        for result in results:
            print("\n".join(lines_of(result)))
        for line in different:
            print(f"DIFFERENCE {line}")
    print(json.dumps(closing, ensure_ascii=False))
    return 1 if closing["problems"] or different or closing["skipped"] else 0


def _play_all(jobs: Sequence[Job], at_once: int) -> list[dict[str, Any]]:
    """Play the sets, so many at the same time in processes of their own; results come in the order of the names."""
    largest_first = sorted(jobs, key=lambda job: -_size(job.data / job.name / "open"))
    found: dict[str, dict[str, Any]] = {}
    # Each set in a fresh process, so that one set's memory and plugin modules are gone before the next.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(at_once, mp_context=spawn, initializer=_quiet, max_tasks_per_child=1) as pool:
        running = {pool.submit(play, job): job for job in largest_first}
        for future in as_completed(running):
            job = running[future]
            found[job.name] = future.result()
            print(f"-- {len(found)} of {len(jobs)}: {job.name}", file=sys.stderr, flush=True)
    return [found[job.name] for job in jobs]


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir()) if folder.is_dir() else 0


def _quiet() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
