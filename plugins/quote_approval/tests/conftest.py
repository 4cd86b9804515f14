"""Fixtures: a quote of its own for every test, in a server that tests share, on SQLite or on each database in turn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.testing import PluginServer, plugin_server
from plugins.quote_approval.tests.scene import FOLDER, POSTGRES, SETTINGS, Scene, postgresql_answers


@pytest.fixture(scope="module")
def on_sqlite() -> Iterator[PluginServer]:
    """A server on SQLite."""
    with plugin_server(FOLDER, SETTINGS) as made:
        yield made


@pytest.fixture(scope="module")
def on_postgresql() -> Iterator[PluginServer]:
    """A server on PostgreSQL."""
    if not postgresql_answers():
        pytest.skip("no PostgreSQL answers")
    with plugin_server(FOLDER, SETTINGS, postgresql=POSTGRES) as made:
        yield made


@pytest.fixture
def stage(on_sqlite: PluginServer) -> Scene:
    """A quote of its own on SQLite."""
    on_sqlite.sit_down()
    return Scene(on_sqlite)


@pytest.fixture(params=["on_sqlite", "on_postgresql"])
def both(request: pytest.FixtureRequest) -> Scene:
    """A quote of its own on each database in turn."""
    server: PluginServer = request.getfixturevalue(request.param)
    server.sit_down()
    return Scene(server)
