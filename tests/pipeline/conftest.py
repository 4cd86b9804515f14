"""What tests of messages on their way out may ask for."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from core.store.database import Database
from tests.pipeline.sending import Outward, Receiver_


@pytest.fixture
def receiver() -> Iterator[Receiver_]:
    server = Receiver_()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def outward(database: Database, receiver: Receiver_, monkeypatch: pytest.MonkeyPatch) -> Outward:
    return Outward(database, receiver.url, monkeypatch)
