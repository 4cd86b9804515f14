"""Rebuilds the shipped sample from the four open data sets it was taken from: same input, same bytes.

    python deploy/demo/build_sample.py DIRECTORY [--into deploy/demo/data]

DIRECTORY holds the unpacked sets under their folder names (see `SETS` in the modules beside this one). Reading
Online Retail needs pyarrow, which the product itself does not; a throw-away environment is enough. The
`aluminium_*.jsonl` files are written by hand and are only checked here.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from deploy.demo.sets import bank_marketing, banking77, online_retail, uci_incident  # noqa: E402

SEED = 20_261_120
Row = Mapping[str, Any]
BUILDERS: dict[str, Callable[[Path, int], Iterable[Row]]] = {
    "uci_bank_marketing.jsonl": bank_marketing.rows,
    "uci_incident.jsonl": uci_incident.rows,
    "banking77.jsonl": banking77.rows,
    "uci_online_retail.jsonl": online_retail.rows,
}


def write_rows(path: Path, rows: Iterable[Row]) -> int:
    """Write one record a line, keys in the order the set's module gives; return how many."""
    lines = [json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return len(lines)


def build(directory: Path, into: Path, seed: int = SEED) -> dict[str, int]:
    """Rebuild every set of the sample below `into`; return the number of records of each."""
    into.mkdir(parents=True, exist_ok=True)
    return {name: write_rows(into / name, rows(directory, seed)) for name, rows in BUILDERS.items()}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("directory", type=Path, help="folder with the unpacked sets")
    parser.add_argument("--into", type=Path, default=HERE / "data")
    arguments = parser.parse_args()
    for name, count in build(arguments.directory, arguments.into).items():
        print(f"{name}: {count} records, {(arguments.into / name).stat().st_size / 1024:.0f} kB")


if __name__ == "__main__":
    main()
