"""The inbox: durable before it answers, once each, and a clear 503 when it cannot be."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from core.model.errors import StorageUnavailable
from core.model.inbound import InboundEvent, RejectedItem
from core.pipeline import inbox
from core.pipeline.group_commit import GroupCommit, InboxWriter, Waiting
from core.pipeline.inbox import is_backlog_full, store
from core.store import tables
from core.store.database import Database
from core.store.migrate import migrate
from tests.pipeline.kit import START, Kit
from tests.store.full_disk import limit_pages

Writers = Callable[..., InboxWriter]


@pytest.fixture
def kit(database: Database) -> Kit:
    return Kit(database, {})


@pytest.fixture
def writers(kit: Kit) -> Iterator[Writers]:
    """Make writers, and end them afterwards."""
    made: list[InboxWriter] = []

    def make(*, group: dict[str, Any] | None = None, **options: Any) -> InboxWriter:
        made.append(InboxWriter(GroupCommit(kit.database, kit.clock, **(group or {})), **options))
        return made[-1]

    yield make
    for writer in made:
        writer.close()


def together(writer: InboxWriter, requests: list[list[Any]]) -> list[Any]:
    """Send the requests at once, each from a thread of its own; return the answers or what was raised."""
    ready = threading.Barrier(len(requests))

    def ask(items: list[Any]) -> Any:
        ready.wait()
        try:
            return writer.accept(items)
        except StorageUnavailable as error:
            return error

    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(ask, requests))


def test_what_was_accepted_is_on_disk_with_the_ids_in_the_order_of_the_items(kit: Kit, writers: Writers) -> None:
    items = [kit.event("lead.created", f"L{number}") for number in range(5)]
    accepted = writers().accept(items)
    rows = kit.rows(tables.events)
    assert accepted.event_ids == tuple(row.id for row in rows)
    assert [row.record_id for row in rows] == [item.record_id for item in items]
    assert (accepted.duplicates, accepted.rejected, accepted.all_duplicates) == (0, 0, False)
    assert rows[0].accepted_at == START and rows[0].status == "accepted"


def test_an_empty_request_is_nothing_to_store(writers: Writers) -> None:
    accepted = writers().accept([])
    assert accepted.event_ids == () and not accepted.all_duplicates


def test_waiting_requests_share_one_commit(kit: Kit, writers: Writers) -> None:
    commits: list[int] = []
    gate, blocked = threading.Event(), threading.Event()

    def observe(items: Any, stored: Any) -> None:
        commits.append(len(items))
        if len(commits) == 1:
            blocked.set()
            gate.wait(10)

    writer = writers(group={"observe": observe})
    with ThreadPoolExecutor(21) as pool:
        first = pool.submit(writer.accept, [kit.event("lead.created", "first")])
        assert blocked.wait(10)
        others = [pool.submit(writer.accept, [kit.event("lead.created", f"L{number}")]) for number in range(20)]
        while writer._queue.qsize() < 20:
            threading.Event().wait(0.001)
        gate.set()
        assert len({answer.result(10).event_ids for answer in [first, *others]}) == 21
    assert commits == [1, 20]


def test_a_duplicate_gets_the_same_id_whether_it_comes_alone_or_beside_its_twin(kit: Kit, writers: Writers) -> None:
    writer, item = writers(), kit.event("lead.created", "L1", key="m1")
    twice = writer.accept([item, item])
    again = writer.accept([item])
    assert twice.event_ids[0] == twice.event_ids[1] == again.event_ids[0]
    assert (twice.duplicates, again.duplicates, twice.all_duplicates, again.all_duplicates) == (1, 1, False, True)
    assert len(kit.rows(tables.events)) == 1


def test_the_first_body_under_an_id_wins_and_the_difference_is_kept(kit: Kit, writers: Writers) -> None:
    writer = writers()
    first, other = (kit.event("lead.created", "L1", key="m1", name=name) for name in ("甲", "乙"))
    writer.accept([first])
    assert writer.accept([other]).conflicts == 1 and writer.accept([other]).conflicts == 1
    [row] = kit.rows(tables.events)
    assert '"甲"' in row.data and (row.conflicts, row.conflict_raw) == (2, other.body_hash)


def test_a_key_outlives_its_event(kit: Kit, writers: Writers) -> None:
    item = kit.event("lead.created", "L1", key="m1")
    [identity] = writers().accept([item]).event_ids
    with kit.database.write() as connection:  # as retention will
        connection.execute(sa.delete(tables.events))
        connection.execute(
            sa.insert(tables.event_keys).values(event_id=identity, body_hash=item.body_hash, accepted_at=START)
        )
    again = writers().accept([item])
    assert again.event_ids == (identity,) and again.all_duplicates and kit.rows(tables.events) == []


def test_two_sources_may_use_the_same_key(kit: Kit, writers: Writers) -> None:
    one, other = (kit.event("lead.created", "L1", key="m1", source=source) for source in ("crm", "erp"))
    assert len(set(writers().accept([one, other]).event_ids)) == 2


def test_the_same_events_from_eight_threads_are_stored_once(kit: Kit, writers: Writers) -> None:
    items = [kit.event("lead.created", f"L{number}", key=f"m{number}") for number in range(12)]
    requests = [items[number:] + items[:number] for number in range(8)]  # each begins elsewhere
    pair = [writers(), writers()]  # as two web processes
    ready = threading.Barrier(8)

    def ask(number: int) -> Any:
        ready.wait()
        return pair[number % 2].accept(requests[number])

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    assert len(kit.rows(tables.events)) == 12
    assert sum(len(answer.event_ids) - answer.duplicates for answer in answers) == 12
    assert {identity for answer in answers for identity in answer.event_ids} == {
        row.id for row in kit.rows(tables.events)
    }


def test_a_rejected_item_is_kept_with_its_reason_and_the_rest_of_its_batch_accepted(kit: Kit, writers: Writers) -> None:
    bad = RejectedItem(
        source="crm", dedupe_key="m2", raw='{"type": "lead.creatd"}', reason="no event type\x00 a CRM may send",
        errors=({"path": "type", "message": "unknown"},), type="lead.creatd", headers={"webhook-id": "m2"},
    )  # fmt: skip
    bad = dataclasses.replace(bad, reason=bad.reason.replace("\x00", ""))
    accepted = writers().accept([kit.event("lead.created", "L1", key="m1"), bad, kit.event("lead.created", "L2")])
    assert accepted.rejected == 1 and len(set(accepted.event_ids)) == 3
    row = kit.rows(tables.events)[1]
    assert (row.status, row.status_reason) == ("rejected", "no event type a CRM may send")
    assert "lead.creatd" in row.raw and "webhook-id" in row.raw
    assert writers().accept([bad]).all_duplicates


def poison(kit: Kit) -> InboundEvent:
    """An event that no database takes: its data is no JSON."""
    return dataclasses.replace(kit.event("lead.created", "poison"), data={"id": "poison", "extra": object()})


def test_one_request_that_cannot_be_stored_does_not_cost_the_others_theirs(kit: Kit, writers: Writers) -> None:
    requests = [[kit.event("lead.created", f"L{number}")] for number in range(7)]
    requests.insert(3, [kit.event("lead.created", "with"), poison(kit)])
    answers = together(writers(), requests)
    assert [isinstance(answer, StorageUnavailable) for answer in answers] == [number == 3 for number in range(8)]
    assert {row.record_id for row in kit.rows(tables.events)} == {f"L{number}" for number in range(7)}


def test_an_observer_that_fails_does_not_make_a_stored_event_look_lost(kit: Kit, writers: Writers) -> None:
    def observe(items: Any, stored: Any) -> None:
        raise RuntimeError("metrics")

    writer = writers(group={"observe": observe, "wake": lambda: 1 / 0})
    assert writer.accept([kit.event("lead.created", "L1")]).duplicates == 0
    assert writer.accept([kit.event("lead.created", "L2")]).duplicates == 0
    assert len(kit.rows(tables.events)) == 2


def test_workers_hear_of_an_event_before_its_sender_and_its_sender_before_those_who_only_watch(kit: Kit) -> None:
    happened: list[str] = []
    waiting = Waiting([kit.event("lead.created", "L1")])
    group = GroupCommit(
        kit.database, kit.clock,
        wake=lambda lanes: happened.append(f"woken, answered: {waiting.wait(0)}"),
        observe=lambda items, stored: happened.append(f"watched {len(items)}"),
    )  # fmt: skip
    group.commit([waiting], lambda: happened.append(f"answered: {waiting.wait(0)}"))
    assert happened == ["woken, answered: False", "answered: True", "watched 1"]


def test_too_many_waiting_requests_are_turned_away_at_once(kit: Kit, writers: Writers) -> None:
    gate, blocked = threading.Event(), threading.Event()

    def observe(items: Any, stored: Any) -> None:
        blocked.set()
        gate.wait(10)

    writer = writers(group={"observe": observe}, max_waiting=2)
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(writer.accept, [kit.event("lead.created", "L0")])]
        assert blocked.wait(10)
        waiting += [pool.submit(writer.accept, [kit.event("lead.created", f"L{number}")]) for number in (1, 2)]
        while writer._queue.qsize() < 2:
            threading.Event().wait(0.001)
        with pytest.raises(StorageUnavailable, match="Too many requests") as refused:
            writer.accept([kit.event("lead.created", "late")])
        gate.set()
        assert all(answer.result(10).event_ids for answer in waiting)
    assert refused.value.http_status == 503
    assert {row.record_id for row in kit.rows(tables.events)} == {"L0", "L1", "L2"}


def test_a_backlog_that_is_full_turns_requests_away(kit: Kit, writers: Writers) -> None:
    def is_full() -> bool:
        with kit.database.read() as connection:
            return is_backlog_full(connection, 2)

    writer = writers(is_full=is_full)
    for number in range(2):
        writer.accept([kit.event("lead.created", f"L{number}")])
    with pytest.raises(StorageUnavailable, match="wait for a worker"):
        writer.accept([kit.event("lead.created", "L2")])
    kit.drain()
    assert writer.accept([kit.event("lead.created", "L2")]).event_ids


def test_a_request_that_waits_too_long_is_told_that_sending_again_is_safe(kit: Kit, writers: Writers) -> None:
    writer, item = writers(patience_s=0.05), kit.event("lead.created", "L1", key="m1")
    with kit.database.write() as connection:  # somebody else writes, for as long as they like
        if not kit.database.is_sqlite:
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s, 0)", (inbox.INBOX_LOCK,))
        with pytest.raises(StorageUnavailable, match="Sending it again is safe"):
            writer.accept([item])
    patient = writers()
    assert len(patient.accept([item]).event_ids) == 1
    assert len(kit.rows(tables.events)) == 1


def test_closing_stores_what_still_waits(kit: Kit) -> None:
    writer = InboxWriter(GroupCommit(kit.database, kit.clock))
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(writer.accept, [kit.event("lead.created", f"L{number}")]) for number in range(8)]
        done = [answer.result(20) for answer in answers]
    writer.close()
    assert len(kit.rows(tables.events)) == len(done) == 8


def test_a_full_disk_acknowledges_nothing_and_service_resumes_by_itself(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    migrate(database, [])
    kit = Kit(database, {})
    writer = InboxWriter(GroupCommit(database, kit.clock))
    writer.accept([kit.event("lead.created", "before")])
    lift = limit_pages(database, 60)
    big = [kit.event("lead.created", f"L{number}", requirement="x" * 20_000) for number in range(40)]
    answers = together(writer, [[item] for item in big])
    refused = [
        item.record_id for item, answer in zip(big, answers, strict=True) if isinstance(answer, StorageUnavailable)
    ]
    stored = {row.record_id for row in kit.rows(tables.events)}
    assert refused and stored == {"before", *(item.record_id for item in big)} - set(refused)
    lift()
    for item in big:
        writer.accept([item])
    assert len(kit.rows(tables.events)) == 41
    writer.close()
    database.close()


def test_a_full_disk_is_not_laid_at_a_plugins_door(sqlite_url: str) -> None:
    from core.model.effects import Decide
    from tests.pipeline.kit import plugin

    database = Database(sqlite_url)
    migrate(database, [])
    large = [Decide(kind="k", outcome="o", summary="x" * 400_000, rule="r")]
    kit = Kit(database, {"alpha": plugin("alpha", on_lead_created=lambda event, ctx: large)})
    kit.send("lead.created", "L1")
    lift = limit_pages(database, 80)
    for careful in (0, 5):  # with a savepoint for each delivery too, where faults are otherwise the delivery's own
        kit.dispatcher._careful = careful
        with pytest.raises(StorageUnavailable, match="full"):
            kit.dispatcher.drain()
        assert kit.rows(tables.deliveries) == [] and kit.rows(tables.decisions) == []
    lift()
    kit.drain()
    assert [(row.status, row.attempts) for row in kit.rows(tables.deliveries)] == [("completed", 1)]
    database.close()


def test_storing_in_a_transaction_that_is_undone_stores_nothing(kit: Kit) -> None:
    with pytest.raises(RuntimeError), kit.database.write() as connection:
        store(connection, [kit.event("lead.created", "L1")], START)
        raise RuntimeError("undo")
    assert kit.rows(tables.events) == []
