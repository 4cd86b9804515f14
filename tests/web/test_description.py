"""The OpenAPI description is true: schemathesis tries every operation against it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from core.store.database import Database
from core.store.migrate import migrate
from tests.web.test_access import TABLE
from tests.web.world import World


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> World:
    database = Database(f"sqlite:///{Path(tmp_path_factory.mktemp('described'))}/outrigger.sqlite3")
    migrate(database, [])
    world = World(database)
    world.version()
    world.history()
    return world


def operations() -> list[str]:
    return sorted(f"{method} {rule}".replace("path:", "") for method, rule in TABLE)


@pytest.mark.parametrize("operation", operations())
def test_every_operation_does_what_its_description_says(described: World, operation: str) -> None:
    method, _, rule = operation.partition(" ")
    schema = schemathesis.openapi.from_wsgi("/openapi.json", described.app())
    key = described.key("admin")

    @settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.generate],
              suppress_health_check=list(HealthCheck), database=None)  # fmt: skip
    @given(case=schema[rule.replace("<", "{").replace(">", "}")][method].as_strategy())
    def holds(case: schemathesis.Case[Any]) -> None:
        # A cursor and a plan are names the server gives out; no schema can say which ones it knows.
        case.query.pop("cursor", None)
        for name in ("since", "until"):  # JSON Schema's date-time knows years we refuse
            if not str(case.query.get(name, "")).startswith(("19", "20", "21")):
                case.query.pop(name, None)
        # Which keys go together no schema says: a plan alone, or at least one of two.
        is_free = rule.endswith("/replays") or method == "PATCH"
        case.call_and_validate(headers=key, excluded_checks=[positive_data_acceptance] if is_free else [])

    holds()


def test_the_description_is_openapi_3_1_and_complete(described: World) -> None:
    spec = described.app().test_client().get("/openapi.json").get_json()
    assert spec["openapi"] == "3.1.0"
    described_routes = {(method.upper(), path) for path, item in spec["paths"].items() for method in item}
    for method, rule in TABLE:
        path = rule.replace("<path:", "{").replace("<", "{").replace(">", "}")
        assert (method, path) in described_routes
        assert spec["paths"][path][method.lower()]["x-role"] == TABLE[(method, rule)]
