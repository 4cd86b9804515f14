"""Requests that are acknowledged together share a transaction of bounded size."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from core.model.inbound import Accepted
from core.pipeline.group_commit import GroupCommit, InboxWriter
from core.store import tables
from core.store.database import Database
from core.web import acknowledging
from core.web.acknowledging import AcknowledgingDispatcher
from tests.pipeline.kit import Kit


class Channel:
    """A connection whose next request holds some events."""

    connected = False

    def __init__(self, dispatcher: AcknowledgingDispatcher, items: list[Any]) -> None:
        self.dispatcher, self.items = dispatcher, items
        self.requests = [self]
        self.error, self.path = None, "/webhooks/crm"
        self.answer: Accepted | None = None

    def service(self) -> None:
        self.answer = self.dispatcher.accept(self.items)


def test_a_group_takes_no_more_requests_once_it_holds_many_items(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acknowledging, "MAX_ITEMS", 5)
    kit = Kit(database, {})
    groups: list[int] = []
    all_told, woken = threading.Event(), threading.Event()

    def observe(items: Sequence[Any], stored: Any) -> None:
        groups.append(len(items))
        if sum(groups) == 21:
            all_told.set()

    group_commit = GroupCommit(database, kit.clock, observe=observe)
    dispatcher = AcknowledgingDispatcher(group_commit, InboxWriter(group_commit), lambda: False)
    dispatcher.begin(woken.set)
    channels = [
        Channel(dispatcher, [kit.event("lead.created", f"L{number}-{place}") for place in range(3)])
        for number in range(7)
    ]
    for channel in channels:
        dispatcher.add_task(channel)
    while dispatcher.busy:
        assert woken.wait(10)  # by each that came, and by each group that was stored
        woken.clear()
        dispatcher.turn()
    assert [channel.answer and len(channel.answer.event_ids) for channel in channels] == [3] * 7
    assert len(kit.rows(tables.events)) == 21
    assert all_told.wait(10)
    assert max(groups) == 6
