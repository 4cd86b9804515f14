"""The load generator misses no effects, whatever the order of commits, and bears with closed connections."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from core.model.events import event_id
from core.store.database import Database
from core.store.migrate import migrate
from core.store.tables import decisions
from tests.load.blast import Options, Watcher, _Run


def _decision(index: int) -> dict[str, Any]:
    texts = (
        "plugin",
        "plugin_version",
        "unit",
        "source",
        "kind",
        "record_id",
        "decision",
        "outcome",
        "summary",
        "rule",
    )
    return {
        **dict.fromkeys(texts, "x"), "event_seq": index + 1, "event_id": event_id("crm", f"g-{index}"), "generation": 0,
        "reasons": [], "inputs": {}, "near_misses": [], "config_version": 1,
        "decided_at": datetime(2026, 11, 28, tzinfo=UTC),
    }  # fmt: skip


def test_a_row_that_is_committed_behind_a_later_one_is_found(postgres_url: str) -> None:
    database = Database(postgres_url)
    migrate(database, [])
    run: Any = SimpleNamespace(options=Options(0, "g", 1), requests=[b"", b""])
    watcher = Watcher(run, postgres_url, 1)
    with database.write() as slow:
        slow.execute(sa.insert(decisions), [_decision(0)])
        with database.write() as fast:
            fast.execute(sa.insert(decisions), [_decision(1)])
        assert watcher.tick()
        assert set(watcher.done) == {1}
    assert not watcher.tick()
    assert set(watcher.done) == {0, 1}
    watcher.close()
    database.close()


ANSWER = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok"


@contextlib.contextmanager
def _server(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Answer one request of each connection, and close it."""
    received = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def work() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        received.append(connection.recv(65536))
                        connection.sendall(answer)

        thread = threading.Thread(target=work)
        thread.start()
        yield int(listening.getsockname()[1]), received
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_request_sent_into_a_closed_connection_is_sent_again() -> None:
    with _server(ANSWER) as (port, received):
        run = _Run(Options(port, "again", 1, count=5))
        run.closed()
        run.lines[0].socket.close()
    assert run.statuses == {202: 5}
    assert run.resent == 4
    assert len(received) == 5


def test_a_connection_closed_while_it_carries_nothing_is_opened_again_and_nothing_sent_twice() -> None:
    with _server(ANSWER) as (port, received):
        run = _Run(Options(port, "paced", 1, count=3, rate=20.0))
        run.opened(lambda: False)
        run.lines[0].socket.close()
    assert run.statuses == {202: 3}
    assert len(received) == 3


@pytest.mark.parametrize("answer", [b"", ANSWER[:30]], ids=["no answer", "half an answer"])
def test_a_request_that_is_lost_on_a_new_connection_ends_the_measurement(answer: bytes) -> None:
    with _server(answer) as (port, _):
        run = _Run(Options(port, "lost", 1, count=2))
        with pytest.raises(ConnectionError):
            run.closed()
        run.lines[0].socket.close()
