"""Runs the data commands over a small stored world on each database."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from core.cli.data import GROUPS
from core.store.database import Database
from tests.web.world import World


class Session:
    """What the command line's root puts into the context."""

    def __init__(self, world: World) -> None:
        self.database = world.database
        self.clock = world.clock
        self.configuration = world.configuration
        self.plugins = lambda: world.plugins
        self.remap = world.remap


Run = Callable[..., Result]


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


@pytest.fixture
def run(world: World) -> Run:
    root = click.Group("outrigger", commands={group.name or "": group for group in GROUPS})

    def call(*words: str, **options: Any) -> Result:
        result = CliRunner().invoke(root, list(words), obj=Session(world), **options)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


def answer(result: Result) -> Any:
    """Return the JSON a command printed."""
    return json.loads(result.stdout)
