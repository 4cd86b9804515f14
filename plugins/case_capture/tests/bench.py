"""A server with the plugin in it, what was sent to it and decided there, and texts for its index."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.testing import PluginServer, plugin_server
from plugins.case_capture.models import CaseSearch
from plugins.case_capture.search import search_row

FOLDER = Path(__file__).parents[1]
POSTGRES = os.environ.get("OUTRIGGER_TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/test")
UNITS = """
[units.new_energy]
title = "新能源事业部"
[units.construction]
title = "建筑事业部"
[units.packaging]
title = "包装事业部"
[roles.service]
title = "售后"
scope = "company"
[people.service_zhou]
name = "周敏"
roles = ["service"]
[channels.desk]
kind = "webhook"
url = "http://127.0.0.1:9/desk"
[plugins.case_capture]
enabled = true
"""


class Bench:
    """One server with the plugin: events go in, decisions come out."""

    def __init__(self, server: PluginServer) -> None:
        self.server = server
        self.desk = server.desk
        self._values: Mapping[str, Any] = {}

    def send(
        self, type: str, data: Mapping[str, Any], *, unit: str = "new_energy", minutes: float = 1, **config: Any
    ) -> list[Any]:
        """Send an event that occurred this long after the one before; return what the plugin decided about it.

        `config` are settings that count from here on.
        """
        if config and config != self._values:
            self._values = config
            self.server.configure(
                UNITS + "".join(f"config.{key} = {json.dumps(value)}\n" for key, value in config.items())
            )
        occurred = self.server.clock.now() + timedelta(minutes=minutes)
        self.server.clock.move(timedelta(minutes=max(minutes, 0)))
        before = len(self.server.decisions())
        self.server.send(type, data, at=occurred, unit=unit)
        assert self.server.problems() == []
        return self.server.decisions()[before:]

    def rows(self, model: Any) -> list[Any]:
        """Return the rows of a model."""
        return self.server.rows(model)

    def emitted(self) -> list[str]:
        """Return the types of the events that commands emitted, once the server has taken them in."""
        self.server.work()
        return [event.type for event in self.server.events() if event.type.startswith("case_capture.")]

    def decided(self) -> list[Any]:
        """Return the decisions of people."""
        return [
            row for row in self.server.decisions() if row.decided_by is not None and row.decided_by != "case_capture"
        ]

    def web(self, **key: Any) -> Callable[..., Any]:
        """Return a function that calls the API with a key of this role and these units."""
        call = self.server.web(**{"role": "operator", **key})
        return lambda method, path, **options: call(method, f"/api/v1{path}", **options)


def outcomes(decisions: Sequence[Any]) -> list[str]:
    """Return how decisions ended."""
    return [row.outcome for row in decisions]


@contextlib.contextmanager
def open_engine(bench: Bench) -> Iterator[sa.Engine]:
    """Open the server's database for plain sessions, which begin and roll back by themselves."""
    engine = sa.create_engine(bench.server.database.url)
    yield engine
    engine.dispose()


@contextlib.contextmanager
def open_bench(kind: str) -> Iterator[Bench]:
    """Run a server on `sqlite` or `postgresql`; skips the test when no PostgreSQL answers."""
    if kind == "postgresql" and not _postgresql_answers():
        pytest.skip("no PostgreSQL answers")
    with plugin_server(FOLDER, UNITS, postgresql=POSTGRES if kind == "postgresql" else None) as server:
        yield Bench(server)


def _postgresql_answers() -> bool:
    engine = sa.create_engine(POSTGRES, connect_args={"connect_timeout": 3})
    try:
        with engine.connect():
            return True
    except sa.exc.OperationalError:
        return False
    finally:
        engine.dispose()


def fill(session: Session, texts: dict[str, str], *, status: str = "published", unit: str = "new_energy") -> None:
    """Index plain texts as complaint cases: `case_` and a hexadecimal number each."""
    for case_id, text in texts.items():
        row = search_row(case_id, unit=unit, status=status, kind="complaint", title="", fields={"symptom": text})
        session.add(CaseSearch(**row))
    session.flush()


def name(number: int) -> str:
    """Return a case id made of a number."""
    return f"case_{number:024x}"[:5] + f"{number:015x}" + "0" * 9


def data(event_type: str) -> dict[str, Any]:
    """Return what the example event of a type says."""
    loaded = json.loads((FOLDER / "tests" / "events" / f"{event_type}.json").read_text(encoding="utf-8"))
    return dict(loaded["data"])
