"""A power cut loses nothing that was acknowledged, and this recorder would see it if it did."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.powercut.campaign import Outcome, run
from tests.powercut.replay import Disk, Operation
from tests.powercut.shim import NoRecorder, build


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return build(tmp_path_factory.mktemp("shim"))
    except NoRecorder as error:
        pytest.skip(str(error))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_no_acknowledged_event_is_lost_in_a_power_cut(library: Path, tmp_path: Path, mode: str) -> None:
    found = run(library, tmp_path, images=30, seconds=1.0, seed=20, mode=mode)
    assert found.images == 30
    assert found.acknowledged > 20
    assert (found.lost, found.corrupt, found.unopenable, found.half_done) == (0, 0, 0, 0)


@pytest.mark.slow
def test_a_database_that_does_not_sync_is_seen_to_lose(library: Path, tmp_path: Path) -> None:
    found: Outcome = run(library, tmp_path, images=20, seconds=1.0, seed=20, mode="wal", synchronous="NORMAL")
    assert found.lost > 0


class Chance:
    """Every throw comes out the same."""

    def __init__(self, value: float) -> None:
        self.value = value

    def random(self) -> float:
        return self.value

    def randrange(self, limit: int) -> int:
        return 0


KEPT, DROPPED = Chance(0.9), Chance(0.1)


def image(disk: Disk, chance: Chance) -> dict[str, bytes]:
    return {path: bytes(content) for path, content in disk.image(chance)}  # type: ignore[arg-type]


def test_what_was_synced_survives_and_the_rest_is_left_to_chance() -> None:
    disk = Disk("/d")
    for what, data in (("C", b""), ("W", b"one"), ("b", b""), ("W", b"two"), ("S", b"")):
        disk.follow(Operation(what, "/d/f", 0 if data != b"two" else 3, len(data), data))
    disk.follow(Operation("b", "/d"))
    disk.follow(Operation("S", "/d"))
    assert image(disk, KEPT) == {"/d/f": b"onetwo"}
    assert image(disk, DROPPED) == {"/d/f": b"one"}  # the second write began after the sync did


def test_a_removed_file_may_come_back_until_its_folder_is_synced() -> None:
    disk = Disk("/d")
    for operation in (
        Operation("C", "/d/j"), Operation("W", "/d/j", 0, 3, b"hot"), Operation("b", "/d/j"), Operation("S", "/d/j"),
        Operation("b", "/d"), Operation("S", "/d"), Operation("U", "/d/j"),
    ):  # fmt: skip
        disk.follow(operation)
    assert image(disk, DROPPED) == {}
    assert image(disk, KEPT) == {"/d/j": b"hot"}
    disk.follow(Operation("b", "/d"))
    disk.follow(Operation("S", "/d"))
    assert image(disk, KEPT) == {}
