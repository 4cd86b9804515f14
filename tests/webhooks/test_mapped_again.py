"""An item that was rejected and is mapped again later happened when it came: what came since stays."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.host.settings import SourceSettings
from core.model.inbound import InboundItem
from core.pipeline.inbox import store
from core.pipeline.replay import Replayer
from core.store import tables
from core.store.database import Database
from core.time.clock import Clock
from tests.pipeline.kit import START, Kit, plugin
from webhooks import ADAPTERS
from webhooks.adapter import InboundRequest
from wsgi import remapper

GENERIC = {"type": "what", "id": "id", "fields": {"status": "status"}}
FRAPPE = {"doctypes": {"Claim": "Issue"}}


def generic(what: str, status: str) -> dict[str, Any]:
    return {"what": what, "id": "C-1", "status": status}


def frappe(doctype: str, status: str) -> dict[str, Any]:
    return {"doctype": doctype, "event": "on_update", "name": "C-1", "status": status}


class Erp:
    """A kit and a source whose bodies say no time; its mapping lacks a type until it is mended."""

    def __init__(self, database: Database, adapter: str, before: dict[str, Any], after: dict[str, Any]) -> None:
        self.kit = Kit(database, {"alpha": plugin("alpha", on_event=lambda event, ctx: [])})
        self.adapter, self.options, self.mended = adapter, before, after

    def sources(self) -> dict[str, SourceSettings]:
        return {"erp": SourceSettings("erp", self.adapter, options=self.options)}

    def send(self, body: dict[str, Any]) -> str:
        adapter = ADAPTERS[self.adapter](self.sources()["erp"])
        raw = json.dumps(body).encode()
        now = self.kit.clock.now()
        items: list[InboundItem] = adapter.items(
            raw, InboundRequest(method="POST", url="", headers={}, body=raw, received_at=now)
        )
        with self.kit.database.write() as connection:
            (identity,) = store(connection, items, now).ids
        self.kit.drain()
        self.kit.later(days=1)
        return identity

    def replay(self, identity: str) -> Any:
        self.options = self.mended
        clock: Clock = self.kit.clock

        def current() -> Any:
            with self.kit.database.read() as connection:
                return self.kit.current(connection)

        replayer = Replayer(self.kit.database, clock, current, lambda: self.kit.plugins, remapper(self.sources, clock))
        done = replayer.replay_event(identity, actor="it")
        self.kit.drain()
        return done

    def status(self) -> str:
        (record,) = self.kit.rows(tables.records)
        return str(json.loads(record.snapshot)["status"])


@pytest.mark.parametrize(
    ("erp", "monday", "tuesday"),
    [
        (
            ("generic", GENERIC | {"types": {"closed": "complaint.updated"}},
             GENERIC | {"types": {"closed": "complaint.updated", "opened": "complaint.updated"}}),
            generic("opened", "open again"), generic("closed", "done"),
        ),
        (("frappe", {}, FRAPPE), frappe("Claim", "open again"), frappe("Issue", "done")),
    ],
    ids=["generic", "frappe"],
)  # fmt: skip
def test_an_item_without_a_time_does_not_overrule_what_came_before_it_was_mapped_again(
    database: Database, erp: tuple[str, dict[str, Any], dict[str, Any]], monday: Any, tuesday: Any
) -> None:
    place = Erp(database, *erp)
    rejected = place.send(monday)
    place.send(tuesday)
    assert place.status() == "done"
    assert len(place.replay(rejected).accepted) == 1
    assert place.status() == "done"
    *_, last = place.kit.rows(tables.events)
    assert (last.occurred_at, last.status_reason) == (START, "superseded: a newer version was merged before")
