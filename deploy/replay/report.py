"""Prints what a replay found, set by set, and checks the counts against those that are committed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

EXPECTED = Path(__file__).with_name("expected.json")
COUNTED = ("rows_read", "rows_accepted", "rows_refused", "refused", "events")
WIDTH = 100


def lines_of(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the report of one set."""
    yield "─" * WIDTH
    if "skipped" in found:
        yield f"{found['set']}: not played. {found['skipped']}"
        return
    limited = found["rows_limited_to"]
    yield f"{found['set']}" + (f"  (only the first {limited:,} rows of each file)" if limited else "")
    yield f"  {found['note']}"
    yield (
        f"  rows read {found['rows_read']:,} = accepted {found['rows_accepted']:,} + refused {found['rows_refused']:,}"
    )
    for reason, count in found["refused"].items():
        yield f"    {count:>8,}  {reason}"
    told = ", ".join(f"{kind} {count:,}" for kind, count in found["events"].items())
    yield f"  events {found['events_accepted']:,}: {told}"
    yield (
        f"  {found['from'] or '–'} to {found['to'] or '–'}: follow-ups {found['follow_ups']:,}, "
        f"timers fired {found['timers_fired']:,}"
    )
    yield f"  {found['import_s']} s, {found['events_per_s']:,} events/s"
    yield from _decisions(found["decisions"])
    captured = ", ".join(f"{kind} {count:,}" for kind, count in found["messages"].items())
    yield f"  messages captured, none sent: {captured or 'none'}"
    yield from _comparison(found["comparison"])
    if not found["problems"]:
        yield "  problems: none"
    for problem, count in found["problems"].items():
        yield f"  PROBLEM {count:,} × {problem}"


def _decisions(found: Mapping[str, Mapping[str, Mapping[str, int]]]) -> Iterator[str]:
    if not found:
        yield "  decisions: none"
    for plugin, kinds in found.items():
        for kind, outcomes in kinds.items():
            total = sum(outcomes.values())
            yield f"  {plugin} {kind}: {total:,}"
            for outcome, count in outcomes.items():
                yield f"    {count:>8,}  {count / total:>6.1%}  {outcome}"


def _comparison(found: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[str]:
    for title, outcomes in found.items():
        yield f"  {title}"
        for outcome, values in outcomes.items():
            figure = f"{values['share']:.1%}" if "share" in values else f"median {values['median']:.2f}"
            yield f"    {values['records']:>8,}  {figure:>14}  {outcome}"


def counts(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a set's findings that must come out the same in every run."""
    return {key: found[key] for key in COUNTED}


def differences(results: Sequence[Mapping[str, Any]], expected: Mapping[str, Any]) -> list[str]:
    """Return where the counts differ from the committed ones; empty when they are the same."""
    found = []
    for result in results:
        name = result["set"]
        if "skipped" in result:
            continue
        if name not in expected:
            found.append(f"{name}: nothing is expected of it yet; --write-expected writes it down")
            continue
        now = counts(result)
        found += [
            f"{name}: {key} is {json.dumps(now[key], ensure_ascii=False)}, "
            f"expected {json.dumps(expected[name].get(key), ensure_ascii=False)}"
            for key in COUNTED
            if now[key] != expected[name].get(key)
        ]
    return found


def read_expected(path: Path = EXPECTED) -> dict[str, Any]:
    """Return the committed counts by set."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def write_expected(results: Sequence[Mapping[str, Any]], path: Path = EXPECTED) -> None:
    """Write down the counts of the sets that were played; those of others stay."""
    known = read_expected(path)
    known |= {result["set"]: counts(result) for result in results if "skipped" not in result}
    path.write_text(json.dumps(dict(sorted(known.items())), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def summary(results: Sequence[Mapping[str, Any]], different: Sequence[str]) -> dict[str, Any]:
    """Return the closing line: totals over all sets."""
    played = [result for result in results if "skipped" not in result]
    return {
        "sets": len(played),
        "skipped": [result["set"] for result in results if "skipped" in result],
        "rows_read": sum(result["rows_read"] for result in played),
        "rows_accepted": sum(result["rows_accepted"] for result in played),
        "rows_refused": sum(result["rows_refused"] for result in played),
        "events": sum(result["events_accepted"] for result in played),
        "timers_fired": sum(result["timers_fired"] for result in played),
        "decisions": sum(
            count
            for result in played
            for kinds in result["decisions"].values()
            for outcomes in kinds.values()
            for count in outcomes.values()
        ),
        "messages_captured": sum(sum(result["messages"].values()) for result in played),
        "problems": sum(sum(result["problems"].values()) for result in played),
        "differences": len(different),
    }
