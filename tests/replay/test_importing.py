"""Importing history: the clock moves with the data, the size of a batch changes nothing, and nothing leaves."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model.effects import Notify
from core.model.errors import Conflict, InvalidRequest
from core.model.instants import format_instant
from core.pipeline import import_lines, importing
from core.pipeline.import_lines import MAX_LINE, ImportFiles
from core.pipeline.import_place import check_place
from core.pipeline.importing import Importer
from core.store import tables
from core.store.database import Database
from core.store.migrate import migrate
from core.time.clock import FrozenClock
from tests.pipeline.kit import Kit, plugin
from tests.replay.importing_kit import BEGIN, all_rows, everything, line, run_import, watchful, write


def at(minutes: float) -> str:
    return format_instant(BEGIN + timedelta(minutes=minutes))


def seen(database: Database) -> list[tuple[str, str, str]]:
    rows = all_rows(database, tables.decisions, "record_id", "outcome", "inputs")
    return [(record_id, outcome, inputs["now"]) for record_id, outcome, inputs in rows]


@pytest.mark.parametrize("batch", [1, 3, 50])
def test_timers_fire_between_the_events_at_the_time_they_were_due(database, tmp_path, batch):
    lines = [
        line("complaint.opened", "C-1", 0),
        line("complaint.opened", "C-2", 4),
        line("order.placed", "O-1", 5),
        line("complaint.resolved", "C-1", 12),
        line("order.placed", "O-2", 60),
    ]
    done = run_import(database, [write(tmp_path / "a.jsonl", lines)], watchful(), batch=batch)
    assert seen(database) == [
        ("C-1", "complaint.opened", at(0)),
        ("C-2", "complaint.opened", at(4)),
        ("O-1", "order.placed", at(5)),
        ("C-1", "overdue", at(10)),
        ("C-1", "complaint.resolved", at(12)),
        ("C-1", "alpha.noted", at(12)),
        ("C-2", "overdue", at(14)),
        ("C-2", "overdue", at(24)),
        ("C-2", "overdue", at(34)),
        ("O-2", "order.placed", at(60)),
    ]
    assert (done.accepted, done.timers, done.follow_ups) == (5, 4, 1)
    fired = all_rows(database, tables.decisions, "outcome", "inputs")
    assert [inputs["late"] for outcome, inputs in fired if outcome == "overdue"] == [False] * 4


def test_lines_are_taken_in_the_order_of_their_times_whatever_file_they_stand_in(database, tmp_path):
    one = write(tmp_path / "one.jsonl", [line("order.placed", "O-3", 30), line("order.placed", "O-1", 10)])
    two = write(tmp_path / "two.jsonl", ["", line("order.placed", "O-2", 20), line("order.placed", "O-4", 30)])
    done = run_import(database, [one, two], watchful())
    assert [record_id for record_id, _, _ in seen(database)] == ["O-1", "O-2", "O-3", "O-4"]
    assert (done.read, done.accepted, done.began_at, done.ended_at) == (
        4, 4, BEGIN + timedelta(minutes=10), BEGIN + timedelta(minutes=30),
    )  # fmt: skip


def test_the_clock_runs_on_behind_the_last_event_as_far_as_it_was_told(database, tmp_path):
    path = write(tmp_path / "a.jsonl", [line("complaint.opened", "C-1", 0)])
    done = run_import(database, [path], watchful(), run_on=timedelta(minutes=15))
    assert done.timers == 1
    assert [row[0] for row in all_rows(database, tables.timers, "status")] == ["pending"]


def test_a_delivery_that_failed_is_tried_again_at_its_own_time_before_later_events(database, tmp_path):
    lines = [line("complaint.updated", "C-1", 0), line("order.placed", "O-1", 60)]
    run_import(database, [write(tmp_path / "a.jsonl", lines)], watchful())
    (first, second) = seen(database)
    assert first[:2] == ("C-1", "complaint.updated")
    assert at(0) < first[2] < at(60)
    assert second == ("O-1", "order.placed", at(60))


def test_nothing_that_plugins_ask_for_leaves_and_follow_ups_and_timers_stay_quiet_too(database, tmp_path):
    lines = [line("complaint.opened", "C-1", 0), line("complaint.resolved", "C-1", 20)]
    run_import(database, [write(tmp_path / "a.jsonl", lines)], watchful())
    messages = [row for row in all_rows(database, tables.outbox, "effect", "status") if row[0] != "emit_event"]
    assert Counter(messages) == {("notify", "suppressed"): 1, ("update_record", "suppressed"): 1}
    assert {row[0] for row in all_rows(database, tables.events, "outward")} == {False}
    assert {row[0] for row in all_rows(database, tables.deliveries, "outward")} == {False}
    assert {row[0] for row in all_rows(database, tables.timers, "outward")} == {False}


def test_what_follows_from_a_record_that_moves_to_another_unit_is_quiet_too(database, tmp_path):
    moved = plugin("alpha", on_record_unit_changed=lambda event, ctx: [Notify(to="service", template="seen")])
    lines = [line("lead.created", "L-1", 0, industry="ev"), line("lead.updated", "L-1", 5, industry="packaging")]
    run_import(database, [write(tmp_path / "a.jsonl", lines)], {"alpha": moved})
    statuses = [row[1] for row in all_rows(database, tables.outbox, "effect", "status") if row[0] == "notify"]
    assert statuses == ["suppressed", "suppressed"]  # both units are told


def test_every_line_is_accepted_known_already_or_refused_with_its_place_and_reason(database, tmp_path):
    lines: list[Any] = [
        line("order.placed", "O-1", 0, id="m-1"),
        line("order.placed", "O-1", 0, id="m-1"),
        "{not json",
        "",
        line("order.plased", "O-2", 1),
        line("order.placed", "O-3", 2, amount="many"),
        {"type": "order.placed", "source": "crm", "data": {"id": "O-4"}},
        {**line("order.placed", "O-5", 3), "source": "crn"},
        {**line("order.placed", "O-6", 3), "timestamp": "2016-03-01 08:00"},
        "[1]",
        "x" * (MAX_LINE + 5),
        line("order.placed", "O-7", 4, version=-1),
        line("order.placed", "O-8", 5),
        line("order.placed", "O-8", 5),
    ]
    done = run_import(database, [write(tmp_path / "a.jsonl", lines)], watchful())
    assert (done.read, done.accepted, done.duplicates, done.refused) == (13, 2, 2, 9)
    assert done.accepted + done.duplicates + done.refused == done.read
    assert [refusal.line for refusal in done.refusals] == [3, 5, 6, 7, 8, 9, 10, 11, 12]
    said = [refusal.reason for refusal in done.refusals]
    assert 'Did you mean "order.placed"?' in said[1]
    assert "order.amount" in said[2]
    assert "timestamp" in said[3]
    assert 'source: "crn" is no configured source. Did you mean "crm"?' in said[4]
    assert "timestamp" in said[5]
    assert "longer than" in said[7]
    kept = all_rows(database, tables.events, "status", "status_reason", "raw")
    rejected = [(reason, raw) for status, reason, raw in kept if status == "rejected"]
    assert [reason for reason, _ in rejected] == said
    assert '"import-line": "5"' in rejected[1][1]
    assert sum(done.reasons().values()) == 9


def test_an_import_of_the_same_lines_again_accepts_nothing_and_decides_nothing(database, tmp_path):
    lines = [line("complaint.opened", "C-1", 0), line("order.placed", "O-1", 5), "{not json"]
    path = write(tmp_path / "a.jsonl", lines)
    run_import(database, [path], watchful())
    before = everything(database)
    again = run_import(database, [path], watchful())
    assert (again.accepted, again.duplicates, again.refused, again.timers) == (0, 2, 1, 0)
    assert everything(database) == before


def test_an_import_that_was_cut_short_goes_on_to_the_same_end(database, tmp_path, sqlite_url):
    lines = [line("complaint.opened", f"C-{number}", number * 3) for number in range(12)]
    path = write(tmp_path / "a.jsonl", lines)

    def stop(behind: int, when: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_import(database, [path], watchful(), progress=stop)
    done = run_import(database, [path], watchful())
    assert done.accepted + done.duplicates == 12
    other = Database(sqlite_url + ".whole")
    migrate(other, [])
    run_import(other, [path], watchful())
    assert everything(other) == everything(database)
    other.close()


def test_a_line_from_before_the_time_the_database_has_reached_is_refused_and_moves_no_clock_back(database, tmp_path):
    run_import(database, [write(tmp_path / "a.jsonl", [line("order.placed", "O-1", 60)])], watchful())
    lines = [line("order.placed", "O-2", 30), line("order.placed", "O-3", 90)]
    done = run_import(database, [write(tmp_path / "b.jsonl", lines)], watchful())
    assert (done.read, done.accepted, done.refused) == (2, 1, 1)
    assert "has reached" in done.refusals[0].reason
    times = [row[0] for row in all_rows(database, tables.events, "accepted_at")]
    assert times == sorted(times)


def test_a_file_of_refused_lines_only_is_no_reason_to_fall_over(database, tmp_path):
    done = run_import(database, [write(tmp_path / "a.jsonl", ["{", "}"])], watchful())
    assert (done.read, done.accepted, done.refused) == (2, 0, 2)


def test_a_named_pipe_is_refused_and_nobody_waits_for_what_comes_through_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidRequest, match="is no file but a pipe"):
        ImportFiles([tmp_path / "pipe"], ["crm"]).scan()


def test_more_files_are_read_than_may_be_open_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(import_lines, "MOST_OPEN", 2)
    paths = [
        write(
            tmp_path / f"{number}.jsonl",
            [line("order.placed", f"O-{number}-{turn}", turn * 10 + number) for turn in range(3)],
        )
        for number in range(5)
    ]
    before = len(os.listdir("/dev/fd"))
    files = ImportFiles(paths, ["crm"])
    files.scan()
    found = [(item.event.record_id, len(os.listdir("/dev/fd")) - before) for item in files.in_order()]
    assert [record_id for record_id, _ in found] == [f"O-{n}-{turn}" for turn in range(3) for n in range(5)]
    assert max(more for _, more in found) == 2
    assert len(os.listdir("/dev/fd")) == before


def test_a_file_that_is_gone_when_its_turn_comes_is_named(tmp_path):
    path = write(tmp_path / "a.jsonl", [line("order.placed", "O-1", 0)])
    files = ImportFiles([path], ["crm"])
    files.scan()
    path.unlink()
    with pytest.raises(InvalidRequest, match=r"a\.jsonl cannot be read: No such file"):
        list(files.in_order())


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InvalidRequest, match=r"gone\.jsonl cannot be read"):
        ImportFiles([tmp_path / "gone.jsonl"], ["crm"]).scan()


def test_timers_of_a_plugin_that_was_switched_off_are_held_and_the_import_goes_on(database, tmp_path):
    plugins = watchful()
    first = write(tmp_path / "a.jsonl", [line("complaint.opened", "C-1", 0)])
    run_import(database, [first], plugins, run_on=timedelta(0))
    files = ImportFiles([write(tmp_path / "b.jsonl", [line("order.placed", "O-1", 60)])], ["crm"])
    files.scan()
    kit = Kit(database, plugins)
    kit.switch("default", "alpha", on=False)
    done = Importer(database, FrozenClock(BEGIN), plugins, kit).run(files)
    assert (done.accepted, done.timers) == (1, 0)
    assert [row[0] for row in all_rows(database, tables.timers, "status")] == ["held"]
    assert [outcome for _, outcome, _ in seen(database)] == ["complaint.opened"]


def test_an_import_ends_when_somebody_else_writes_events_into_its_database(database, tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "DURABLE", 2)
    path = write(tmp_path / "a.jsonl", [line("order.placed", f"O-{number}", number) for number in range(9)])
    other = Kit(database, {})
    transactions = []

    def meanwhile(behind, when):
        transactions.append(behind)
        if len(transactions) == 2:
            other.send("order.placed", "O-X")

    with pytest.raises(Conflict, match="Somebody else writes events"):
        run_import(database, [path], watchful(), progress=meanwhile)
    assert len(transactions) == 2
    assert "O-X" in {row[0] for row in all_rows(database, tables.events, "record_id")}


def test_a_database_with_events_of_a_crm_is_refused_and_one_of_imports_is_not(database, tmp_path):
    path = write(tmp_path / "a.jsonl", [line("order.placed", "O-1", 0), "{not json"])
    run_import(database, [path], watchful())
    with database.read() as connection:
        check_place(connection)
    Kit(database, watchful()).send("order.placed", "O-2")
    with database.read() as connection, pytest.raises(Conflict, match="came from a CRM"):
        check_place(connection)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["complaint.opened", "complaint.resolved", "complaint.updated", "order.placed"]),
        st.integers(0, 3),
        st.integers(0, 40),
    ),
    min_size=1,
    max_size=10,
)


@pytest.fixture(scope="module")
def migrated(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "empty.sqlite3"
    database = Database(f"sqlite:///{path}")
    migrate(database, [])
    database.close()
    return path


@settings(max_examples=15)
@given(steps=STEPS, batch=st.integers(2, 20))
def test_a_batch_of_any_size_leads_to_the_same_rows_as_one_event_after_another(migrated, steps, batch):
    lines = [
        line(kind, f"R-{record}", minutes, id=f"m-{place}", **({"region": f"R-{record}"} if "order" in kind else {}))
        for place, (kind, record, minutes) in enumerate(steps)
    ]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "lines.jsonl", lines)
        for size in (1, batch):
            copy = Path(folder) / f"{size}.sqlite3"
            shutil.copyfile(migrated, copy)
            database = Database(f"sqlite:///{copy}")
            done = run_import(database, [path], watchful(), batch=size)
            assert (done.accepted, done.refused) == (len(steps), 0)
            found.append((everything(database), done.timers, done.follow_ups))
            database.close()
    assert found[0] == found[1]
