"""A stored world on each database, and a client over it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from flask.testing import FlaskClient

from core import log
from core.store.database import Database
from core.store.migrate import migrate
from tests.web.world import World


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


@pytest.fixture
def client(world: World) -> FlaskClient:
    return world.app().test_client()


@pytest.fixture
def sqlite_world(sqlite_url: str) -> World:
    """A world on SQLite alone, for what does not touch the database much."""
    database = Database(sqlite_url)
    migrate(database, [])
    return World(database)


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Return what was logged since the last look; every line is checked to be one safe line."""
    stream = io.StringIO()
    kept = logging.getLogger().handlers[:]
    log.configure(stream=stream)

    def read() -> list[dict[str, Any]]:
        text = stream.getvalue()
        stream.seek(0)
        stream.truncate()
        raw = text.split("\n")
        assert raw.pop() == ""
        assert all(len(line.encode()) <= log.MAX_LINE for line in raw)
        assert not any(char in text for char in "\r\x1b\u202e\u2028\x85\x00")
        return [json.loads(line) for line in raw]

    yield read
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logging.getLogger().handlers[:] = kept
