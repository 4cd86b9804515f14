"""An import that is stopped or cut off, and begun again: in the end it has led to the same rows as one in one piece."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.host.plugin import Plugin
from core.model.effects import CancelTimer, EmitEvent, Notify, StartTimer, UpdateRecord
from core.pipeline import importing
from core.pipeline.import_lines import ImportFiles, Line
from core.pipeline.importing import Importer
from core.store.database import Database
from core.store.migrate import migrate
from core.time.clock import FrozenClock
from tests.people.world import directory
from tests.pipeline.kit import Kit, plugin
from tests.replay.importing_kit import BEGIN, decide, everything, line, write

TRANSACTION = 2  # lines and timers that become durable together, so that a short import has many transactions
HOURS = 60

COMPANY = directory(
    """
[roles.service]
title = "服务"
[people.zhang_wei]
name = "张伟"
units = ["*"]
roles = ["service"]
absences = [{ from = 2016-03-02, until = 2016-03-02, deputy = "li_na" }, { from = 2016-03-04, until = 2016-03-09 }]
[people.li_na]
name = "李娜"
units = ["*"]
roles = [{ role = "service", units = ["*"], from = 2016-03-03 }]
"""
)


class CutOff(Exception):
    """The process went away."""


class CutShort(ImportFiles):
    """Files of which only so many lines are read before the process goes away."""

    most = 0

    def in_order(self) -> Iterator[Line]:
        """Yield the first lines; raises CutOff behind them."""
        for number, item in enumerate(super().in_order()):
            if number == self.most:
                raise CutOff
            yield item


def plugins() -> dict[str, Plugin]:
    """Return plugins that ask who is there; all they do follows from the event and its time, and from nothing else."""

    def asking(event: Any, ctx: Any) -> Any:
        return decide(event, ctx, asked=ctx.people.resolve("service").as_json(), owner=event.record.owner)

    def opened(event: Any, ctx: Any) -> list[Any]:
        owner = ctx.people.resolve("service").person
        return [
            asking(event, ctx),
            StartTimer(timer="answer", due_at=ctx.now + timedelta(hours=10)),
            Notify(to="service", template="seen"),
            UpdateRecord(fields={"owner": owner.slug if owner else "nobody"}),
        ]

    def updated(event: Any, ctx: Any) -> list[Any]:
        if ctx.now == event.accepted_at:
            raise RuntimeError("not the first time")
        return [asking(event, ctx), Notify(to="service", template="seen")]

    def resolved(event: Any, ctx: Any) -> list[Any]:
        return [asking(event, ctx), CancelTimer(timer="answer"), EmitEvent(type="alpha.noted", data={})]

    def due(event: Any, ctx: Any) -> list[Any]:
        again = [StartTimer(timer="answer", due_at=ctx.now + timedelta(hours=20))] if event.data.round < 3 else []
        return [decide(event, ctx, "overdue"), Notify(to="service", template="seen"), *again]

    alpha = plugin(
        "alpha", on_complaint_opened=opened, on_complaint_updated=updated, on_complaint_resolved=resolved,
        on_timer_due=due,
    )  # fmt: skip
    beta = plugin("beta", on_event=lambda event, ctx: [decide(event, ctx)] if event.type == "alpha.noted" else [])
    return {"alpha": alpha, "beta": beta}


def import_lines(
    database: Database, path: Path, *, batch: int, most: int | None = None, progress: Callable[..., None] | None = None
) -> None:
    """Import a file; with `most`, only so many lines of it before the process goes away."""
    files = ImportFiles([path], ["crm"]) if most is None else CutShort([path], ["crm"])
    files.scan()
    if isinstance(files, CutShort):
        files.most = most or 0
    known = plugins()
    importer = Importer(database, FrozenClock(BEGIN), known, Kit(database, known, directory=COMPANY), batch=batch)
    importer.run(files, **({"progress": progress} if progress else {}))


def import_in_pieces(database: Database, path: Path, *, batch: int) -> int:
    """Import a file from its beginning again and again, each time stopped one transaction later; return how often."""
    for stops in range(1, 100):
        left = iter(range(stops))

        def stop(behind: int, when: Any, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise KeyboardInterrupt

        try:
            import_lines(database, path, batch=batch, progress=stop)
        except KeyboardInterrupt:
            continue
        return stops
    raise AssertionError("the import does not come to an end")


def history() -> list[dict[str, Any]]:
    return [
        line("complaint.opened", "C-1", 0),
        line("complaint.opened", "C-2", 5 * HOURS),
        line("complaint.updated", "C-1", 7 * HOURS, severity="high"),
        line("complaint.opened", "C-3", 20 * HOURS),
        line("complaint.resolved", "C-2", 21 * HOURS),
        line("complaint.updated", "C-3", 30 * HOURS, severity="low"),
        line("complaint.opened", "C-4", 40 * HOURS),
        line("complaint.opened", "C-2", 60 * HOURS),
        line("complaint.resolved", "C-1", 70 * HOURS),
        line("complaint.updated", "C-4", 80 * HOURS, severity="high"),
        line("complaint.opened", "C-5", 100 * HOURS),
    ]


@pytest.fixture(autouse=True)
def short_transactions(monkeypatch) -> None:
    monkeypatch.setattr(importing, "DURABLE", TRANSACTION)


@pytest.fixture(scope="module")
def migrated(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "empty.sqlite3"
    database = Database(f"sqlite:///{path}")
    migrate(database, [])
    database.close()
    return path


def in_one_piece(migrated: Path, folder: Path, path: Path) -> dict[str, Any]:
    """Return the rows of an import that nothing stopped."""
    copy = Path(shutil.copyfile(migrated, folder / "whole.sqlite3"))
    database = Database(f"sqlite:///{copy}")
    import_lines(database, path, batch=50)
    found = everything(database)
    database.close()
    return found


@pytest.mark.parametrize("batch", [1, 4])
def test_an_import_that_is_stopped_after_every_transaction_leads_to_the_same_rows(database, migrated, tmp_path, batch):
    path = write(tmp_path / "a.jsonl", history())
    assert import_in_pieces(database, path, batch=batch) > 5
    found, whole = everything(database), in_one_piece(migrated, tmp_path, path)
    for name, rows in whole.items():
        assert found[name] == rows, name


@pytest.mark.parametrize("most", [1, 4, 8])
def test_an_import_that_is_cut_off_amid_a_transaction_leads_to_the_same_rows(database, migrated, tmp_path, most):
    path = write(tmp_path / "a.jsonl", history())
    with pytest.raises(CutOff):
        import_lines(database, path, batch=1, most=most)
    import_lines(database, path, batch=4)
    found, whole = everything(database), in_one_piece(migrated, tmp_path, path)
    for name, rows in whole.items():
        assert found[name] == rows, name


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["complaint.opened", "complaint.updated", "complaint.resolved"]),
        st.integers(0, 2),
        st.integers(0, 120 * HOURS),
    ),
    min_size=4,
    max_size=12,
)


@settings(max_examples=10)
@given(steps=STEPS, batch=st.integers(1, 5))
def test_any_history_in_pieces_leads_to_the_same_rows_as_in_one(migrated, steps, batch):
    lines = [line(kind, f"C-{record}", minute, id=f"m-{place}") for place, (kind, record, minute) in enumerate(steps)]
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(importing, "DURABLE", TRANSACTION)
        folder = Path(name)
        path = write(folder / "lines.jsonl", lines)
        database = Database(f"sqlite:///{shutil.copyfile(migrated, folder / 'pieces.sqlite3')}")
        import_in_pieces(database, path, batch=batch)
        found = everything(database)
        database.close()
        assert found == in_one_piece(migrated, folder, path)
