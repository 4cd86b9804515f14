"""Tests of wake-ups: who hears a ring, and who is told through the database of what was stored."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest
from sqlalchemy.engine import Connection

from core.cli.place import Bells
from core.pipeline import inbox, wake
from core.pipeline.driver_locks import Share
from core.pipeline.inbox import store
from core.pipeline.wake import Bell, listen, notify
from core.store.database import Database
from tests.pipeline.kit import START, Kit

PATIENCE_S = 20.0


def test_a_ring_is_heard_by_one_of_those_who_wait_at_a_bell() -> None:
    bell, heard = Bell(), Counter[bool]()
    waiting = [threading.Thread(target=lambda: heard.update([bell.wait(0.3)])) for _ in range(4)]
    for thread in waiting:
        thread.start()
    bell.ring()
    for thread in waiting:
        thread.join()
    assert heard == {True: 1, False: 3}


def test_a_ring_is_heard_by_one_of_several_processes_that_wait_at_a_bell() -> None:
    bell, fork = Bell(), multiprocessing.get_context("fork")
    assert not bell.wait(0)  # who waited before the others were forked shares nothing with them but the pipe
    heard, ready = fork.SimpleQueue(), fork.Barrier(5)

    def wait() -> None:
        ready.wait(PATIENCE_S)
        heard.put(bell.wait(0.5))

    waiting = [fork.Process(target=wait) for _ in range(4)]
    for process in waiting:
        process.start()
    ready.wait(PATIENCE_S)
    bell.ring()
    assert Counter(heard.get() for _ in waiting) == {True: 1, False: 3}
    for process in waiting:
        process.join(PATIENCE_S)


def test_rings_that_nobody_waited_for_are_heard_once() -> None:
    bell = Bell()
    for _ in range(10_000):  # many more than wait in one read
        bell.ring()
    assert bell.wait(PATIENCE_S) and not bell.wait(0)


def test_workers_of_shares_are_woken_for_their_lanes_alone() -> None:
    bells = Bells([Bell(), Bell(), Bell()])
    bells.ring_workers({4, 7, 9})
    assert [bells.of(Share(index, 3)).wait(0) for index in range(3)] == [True, True, False]
    bells.ring_workers()
    assert all(bell.wait(0) for bell in bells.workers)


def test_workers_without_shares_wait_at_the_same_bell() -> None:
    bells = Bells([Bell()])
    bells.ring_workers({5})
    assert bells.of(Share(1, 2)) is bells.of(Share(0, 2)) and bells.of(Share(1, 2)).wait(0)


@pytest.fixture
def told(database: Database, monkeypatch: pytest.MonkeyPatch) -> tuple[Database, Bell]:
    """A PostgreSQL and a bell of a machine whose own notices carry "here"."""
    if database.is_sqlite:
        pytest.skip("SQLite serves one machine, whose processes ring by themselves")
    channel = f"told_{os.getpid()}_{time.monotonic_ns()}"  # of the whole database, in which other tests tell theirs
    for module in (wake, inbox):
        monkeypatch.setattr(module, "CHANNEL", channel)
    bell = Bell()
    listen(database, bell, own="here")
    deadline = time.monotonic() + PATIENCE_S
    while not bell.wait(0.02):  # until it listens
        assert time.monotonic() < deadline
        with database.write() as connection:
            notify(connection)
    while bell.wait(0.05):  # what else was told meanwhile
        pass
    return database, bell


@pytest.mark.parametrize(
    ("tell", "is_told"),
    [
        (lambda kit, connection: notify(connection), True),
        (lambda kit, connection: store(connection, [kit.event("lead.created", "L")], START), True),
        (lambda kit, connection: store(connection, [kit.event("lead.created", "L")], START, origin="there"), True),
        (lambda kit, connection: store(connection, [kit.event("lead.created", "L")], START, origin="here"), False),
    ],
    ids=["a notice", "events of nobody", "events of another machine", "events of this machine"],
)
def test_a_machine_is_told_of_what_others_stored_once_it_is_committed(
    told: tuple[Database, Bell], tell: Callable[[Kit, Connection], object], is_told: bool
) -> None:
    database, bell = told
    kit = Kit(database, {})
    with database.write() as connection:
        tell(kit, connection)
        assert not bell.wait(0.05)
    if is_told:
        assert bell.wait(PATIENCE_S)
        return
    with database.write() as connection:
        notify(connection)  # comes behind the one that is passed over
    assert bell.wait(PATIENCE_S) and not bell.wait(0.05)
