"""`python -m tests.powercut`: cuts the power at thousands of moments and counts what acknowledged events are gone."""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.powercut.campaign import Outcome, run
from tests.powercut.shim import NoRecorder, build

MODES = {"wal": "WAL", "delete": "rollback journal, as where SQLite's WAL is not safe"}


def main() -> int:
    """Run the campaign; 1 when something acknowledged was lost, or when the control run lost nothing."""
    parser = argparse.ArgumentParser(prog="python -m tests.powercut", description=__doc__)
    parser.add_argument("--images", type=int, default=2000, help="power cuts per journal mode")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each run is recorded")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--mode", choices=[*MODES, "both"], default="both")
    chosen = parser.parse_args()
    seed = chosen.seed if chosen.seed is not None else random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory(prefix="powercut-") as name:
        try:
            library = build(Path(name))
        except NoRecorder as error:
            print(f"powercut: {error}", file=sys.stderr)
            return 1
        total = Outcome()
        for mode in MODES if chosen.mode == "both" else [chosen.mode]:
            began = time.monotonic()
            outcome = run(
                library, Path(name) / mode, images=chosen.images, seconds=chosen.seconds, seed=seed, mode=mode,
                progress=_progress,
            )  # fmt: skip
            _report(MODES[mode], outcome, time.monotonic() - began)
            for item in ("images", "lost", "corrupt", "unopenable", "half_done"):
                setattr(total, item, getattr(total, item) + getattr(outcome, item))
        control = run(
            library, Path(name) / "control", images=max(20, chosen.images // 4), seconds=min(chosen.seconds, 3.0),
            seed=seed, mode="wal", synchronous="NORMAL", progress=_progress,
        )  # fmt: skip
        _report("control: WAL with synchronous=NORMAL, which must lose", control, 0)
    print("0 of n cuts bounds the rate of losses per cut below 3/n (95 %): "
          f"{3 / max(total.images, 1):.2%} here")  # fmt: skip
    answer = {
        "images": total.images,
        "lost": total.lost,
        "corrupt": total.corrupt,
        "unopenable": total.unopenable,
        "control_lost": control.lost,
        "half_done": total.half_done,
        "seed": seed,
    }
    is_good = not (total.lost or total.corrupt or total.unopenable or total.half_done) and control.lost > 0
    if not control.lost:
        print("powercut: the control run lost nothing, so this recorder would not have seen a loss", file=sys.stderr)
    print(json.dumps(answer))
    return 0 if is_good else 1


def _progress(done: int) -> None:
    if sys.stderr.isatty() and done % 50 == 0:
        print(f"\r{done} images", end="", file=sys.stderr, flush=True)


def _report(what: str, outcome: Outcome, took: float) -> None:
    if sys.stderr.isatty():
        print("\r", end="", file=sys.stderr)
    print(f"{what}\n  {outcome.settings}\n  {outcome.acknowledged} acknowledged in {outcome.operations} calls, "
          f"{outcome.images} images in {took:.0f} s: {outcome.lost} lost in {outcome.images_with_losses} images, "
          f"{outcome.corrupt} corrupt, {outcome.unopenable} unopenable, {outcome.half_done} half done")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
