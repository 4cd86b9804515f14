"""Records runs, cuts the power at many points of each, opens what is left and compares it with what was promised."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from core.model.errors import StorageUnavailable
from core.store.database import Database
from tests.powercut.replay import Disk, Operation, cut_points, read_log
from tests.powercut.shim import record

_HALF_DONE = """
WITH delivered AS (SELECT event_seq, count(*) AS n FROM deliveries WHERE status = 'completed' GROUP BY event_seq),
     decided AS (SELECT event_seq, count(*) AS n FROM decisions GROUP BY event_seq)
SELECT count(*) FROM events AS e
  LEFT JOIN delivered ON delivered.event_seq = e.seq LEFT JOIN decided ON decided.event_seq = e.seq
 WHERE coalesce(delivered.n, 0) <> iif(e.status = 'dispatched', 3, 0)
    OR coalesce(decided.n, 0) <> iif(e.status = 'dispatched', 3, 0)
"""


@dataclass(slots=True)
class Outcome:
    """What the images of one recorded run showed."""

    images: int = 0
    acknowledged: int = 0
    operations: int = 0
    lost: int = 0  # acknowledged events that are gone, over all images
    images_with_losses: int = 0
    corrupt: int = 0
    unopenable: int = 0
    half_done: int = 0  # events with some but not all of their effects
    settings: str = ""


def run(
    library: Path,
    folder: Path,
    *,
    images: int,
    seconds: float,
    seed: int,
    mode: str = "",
    synchronous: str | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Outcome:
    """Record one run and look at `images` of its power cuts."""
    live, log = folder / "live", folder / "log"
    shutil.rmtree(live, ignore_errors=True)
    live.mkdir(parents=True)
    log.unlink(missing_ok=True)
    result = Outcome(settings=record(library, live, log, mode=mode, synchronous=synchronous, seconds=seconds).strip())
    operations = read_log(log)
    with tempfile.TemporaryDirectory(prefix="powercut-", dir=_memory()) as image:
        _cut(operations, images, str(live), Path(image), random.Random(seed), result, progress)
    result.operations = len(operations)
    result.acknowledged = sum(operation.what == "A" for operation in operations)
    return result


def _memory() -> str | None:
    """Return a folder in memory where there is one: an image needs no disk under it."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _cut(
    operations: Sequence[Operation],
    images: int,
    live: str,
    image: Path,
    chance: random.Random,
    result: Outcome,
    progress: Callable[[int], None],
) -> None:
    disk, followed = Disk(live), 0
    for cut in cut_points(operations, images, chance):
        for operation in operations[followed:cut]:
            disk.follow(operation)
        followed = cut
        for old in image.iterdir():
            old.unlink()
        for path, content in disk.image(chance):
            (image / Path(path).name).write_bytes(content)
        _look(image / "outrigger.sqlite3", disk.acknowledged, result)
        result.images += 1
        progress(result.images)


def _look(path: Path, acknowledged: list[str], result: Outcome) -> None:
    """Open one image as the product does and count what is wrong with it."""
    if not path.exists():
        result.unopenable += 1
        return
    database = Database(f"sqlite:///{path}", pool_size=1)
    try:
        with database.read() as connection:
            found = connection.exec_driver_sql("PRAGMA integrity_check").scalar_one()
            if found != "ok":
                result.corrupt += 1
                return
            stored = set(connection.exec_driver_sql("SELECT id FROM events").scalars())
            result.half_done += int(connection.exec_driver_sql(_HALF_DONE).scalar_one())
    except (StorageUnavailable, sa.exc.DatabaseError) as error:
        if "malformed" in str(error) or "not a database" in str(error):
            result.corrupt += 1
        else:
            result.unopenable += 1
        return
    finally:
        database.close()
    missing = sum(identity not in stored for identity in acknowledged)
    result.lost += missing
    result.images_with_losses += bool(missing)
