"""`python -m tests.switching`: switches a plugin while events flow, on each database, and prints what was counted."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from tests.load.databases import KINDS, postgres_answers
from tests.switching.campaign import run


def main() -> int:
    """Share the switches among the databases; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.switching", description=__doc__)
    parser.add_argument("--switches", type=int, default=1000)
    parser.add_argument("--database", choices=[*KINDS, "both"], default="both")
    chosen = parser.parse_args()
    kinds: tuple[str, ...] = KINDS if chosen.database == "both" else (chosen.database,)
    if "postgresql" in kinds and not postgres_answers():
        print("!!! NO POSTGRESQL: switching runs on SQLite alone. Start one, or set OUTRIGGER_TEST_POSTGRES_URL. !!!")
        kinds = tuple(kind for kind in kinds if kind != "postgresql")
    reports = []
    with tempfile.TemporaryDirectory(prefix="switching-") as folder:
        for place, kind in enumerate(kinds):
            share = len(range(place, chosen.switches, len(kinds)))
            reports.append(run(kind, share, Path(folder) / kind, lambda text: print(f"  {text}", flush=True)))
    is_clean = bool(reports) and all(report.is_clean for report in reports)
    print(json.dumps({"campaign": "switching", "clean": is_clean, "runs": [report.as_json() for report in reports]}))
    return 0 if is_clean else 1


if __name__ == "__main__":
    raise SystemExit(main())
