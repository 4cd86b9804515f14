"""Writers of one database, in threads and processes: nothing is lost, they take turns, none waits for ever."""

from __future__ import annotations

import multiprocessing
import threading
from typing import Any

import pytest

from core.model.errors import StorageUnavailable
from core.store.database import Database
from tests.store.notes import note, notes, with_notes, written


@pytest.fixture
def paper(database: Database) -> Database:
    """A database with one table to write to."""
    return with_notes(database)


def test_threads_of_one_process_lose_nothing_and_take_turns(paper: Database) -> None:
    ready = threading.Barrier(4)

    def write(who: str) -> None:
        ready.wait()
        for _ in range(25):
            with paper.write() as connection:
                note(connection, who)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = written(paper)
    assert sorted(found) == sorted("abcd" * 25)


def _write_many(url: str, who: str, ready: Any, times: int) -> None:
    database = Database(url)
    with database.read():
        pass
    ready.wait()
    for _ in range(times):
        with database.write() as connection:
            note(connection, who)
    database.close()


def test_two_processes_lose_nothing_and_neither_starves(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    with database.write() as connection:
        notes.create(connection)
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(2)
    processes = [context.Process(target=_write_many, args=(sqlite_url, who, ready, 80)) for who in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    found = "".join(written(database))
    assert sorted(found) == sorted("a" * 80 + "b" * 80)
    together = found[: min(found.rindex("a"), found.rindex("b")) + 1]
    longest = max(len(run) for run in together.replace("ab", "a b").replace("ba", "b a").split())
    assert longest <= 10, f"one process wrote {longest} times while the other waited: {together}"
    database.close()


def _hold(url: str, holds: Any) -> None:
    with Database(url).write():
        holds.set()
        threading.Event().wait(60)


def test_the_turn_of_a_process_that_is_killed_goes_to_the_next(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    with database.write() as connection:
        notes.create(connection)
    context = multiprocessing.get_context("spawn")
    holds = context.Event()
    process = context.Process(target=_hold, args=(sqlite_url, holds))
    process.start()
    assert holds.wait(60)
    process.kill()
    with database.write() as connection:
        note(connection, "next")
    assert written(database) == ["next"]
    process.join()
    database.close()


def test_a_writer_that_never_ends_does_not_hold_up_others_for_ever(sqlite_url: str) -> None:
    database = Database(sqlite_url, lock_wait_s=0.05)
    answers: list[str] = []

    def second() -> None:
        try:
            with database.write():
                pass
        except StorageUnavailable as error:
            answers.append(error.message)

    with database.write():
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(10)
    assert answers == ["The write queue is stuck: a writer of this process does not finish."]
    with database.write():
        pass
    database.close()
