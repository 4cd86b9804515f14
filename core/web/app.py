"""Builds the web app; it reads as the list of what is attached, from the gate to the documentation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import flask
import structlog
from flask import Flask

from core.host.plugin import Plugin
from core.host.settings import Configuration
from core.pipeline.interventions import Interventions
from core.pipeline.replay import Remap, Replayer
from core.store.database import Database
from core.time.clock import Clock
from core.web import (
    api_audit,
    api_configuration,
    api_deliveries,
    api_events,
    api_people,
    api_records,
    docs,
    gate,
    health,
    pages,
    problems,
)
from core.web.keys import ApiKeys
from core.web.openapi import Api, settings
from core.web.parsing import JsonProvider
from core.web.services import NAME, Change, RollBack, Services

MAX_BODY = 1024 * 1024
PREFIX = "/api/v1"

_BLUEPRINTS = (
    api_events.blueprint,
    api_events.replays,
    api_deliveries.deliveries,
    api_records.records,
    api_records.decisions,
    api_records.leads,
    api_deliveries.outbox,
    api_deliveries.timers,
    api_configuration.units,
    api_configuration.plugins,
    api_configuration.versions,
    api_configuration.quarantines,
    api_people.people,
    api_people.roles,
    api_audit.blueprint,
)


def create_app(
    *,
    database: Database,
    clock: Clock,
    configuration: Callable[[], Configuration],
    webhook_blueprint: flask.Blueprint | None = None,
    plugin_blueprints: Sequence[flask.Blueprint] = (),
    page_blueprints: Mapping[str, flask.Blueprint] = MappingProxyType({}),
    ready: Callable[[], list[str]] = lambda: [],
    plugins: Callable[[], Mapping[str, Plugin]] = dict,
    change: Change | None = None,
    roll_back: RollBack | None = None,
    remap: Remap | None = None,
    wake: Callable[[], None] = lambda: None,
    schema_fault: Callable[[Database], str | None] = health.missing_tables,
) -> Flask:
    """Build the app of one web process; nothing is read or written before the first request.

    `ready` returns why this process should not be sent requests, `draining` after SIGTERM for instance; `change`,
    `roll_back` and `remap` come from the composition root, without them those calls answer 409.
    """
    app = Flask("core.web")
    app.json = JsonProvider(app)
    app.url_map.merge_slashes = False  # a record's id may hold slashes
    app.config.update(MAX_CONTENT_LENGTH=MAX_BODY, **settings())
    app.extensions[NAME] = parts = Services(
        database=database,
        clock=clock,
        configuration=configuration,
        plugins=plugins,
        ready=ready,
        schema_fault=schema_fault,
        change=change,
        roll_back=roll_back,
        keys=ApiKeys(database, clock),
        replayer=Replayer(database, clock, configuration, plugins, remap, wake),
        interventions=Interventions(database, clock, wake),
    )
    problems.install(app)
    gate.install(app, parts)
    if webhook_blueprint is not None:
        app.register_blueprint(webhook_blueprint)
    app.register_blueprint(health.blueprint)
    api = Api(app)
    for blueprint in _BLUEPRINTS:
        api.register_blueprint(blueprint, url_prefix=PREFIX + (blueprint.url_prefix or ""))
    for contributed in plugin_blueprints:
        _attach(api, contributed)
    pages.install(app, page_blueprints)
    docs.install(app, api)
    return app


def _attach(api: Api, blueprint: flask.Blueprint) -> None:
    """Mount a plugin's blueprint; one that does not fit is left out and the server runs without it."""
    try:
        api.register_blueprint(blueprint, url_prefix=PREFIX + (blueprint.url_prefix or ""))
    except Exception:
        structlog.get_logger("outrigger.web").exception("a plugin's API is left out", blueprint=blueprint.name)
