"""What the doctor finds, each with what to do about it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from core.cli import findings, machine_findings
from core.cli.broker_findings import broker
from core.cli.finding import Finding
from core.cli.session import Session
from core.store import database as store
from core.store.database import Database
from core.time.clock import FrozenClock
from tests.fleet.brokers import answering_broker

from .conftest import BOTH, Terminal


def levels(terminal: Terminal, code: int = 0) -> dict[str, tuple[str, str]]:
    report = terminal.json("doctor", code=code)
    assert report["ok"] is (code == 0)
    worst: dict[str, tuple[str, str]] = {}
    for item in report["findings"]:
        if item["what"] not in worst or item["level"] != "ok":
            worst[item["what"]] = (item["level"], f"{item['detail']} -> {item['advice']}")
    return worst


def look(check: Callable[[Session], list[Finding]], terminal: Terminal, at: datetime | None = None) -> Finding:
    """Make one check of the doctor, at a time of the test's choice, and return its first finding."""
    session = Session(terminal.assembly(), terminal.environ)
    if at is not None:
        session.clock = FrozenClock(at)
    try:
        return check(session)[0]
    finally:
        session.close()


@BOTH
def test_a_sound_installation_is_in_order(terminal: Terminal) -> None:
    found = levels(terminal)
    assert {name: level for name, (level, _) in found.items() if level != "ok"} == {"channels": "warn"}
    assert "nobody is reached by mail or chat" in found["channels"][1]
    assert {"database", "durability", "migrations", "writing", "configuration", "drift", "clock"} <= set(found)
    assert "0 failing" in terminal.ok("doctor")


@BOTH
def test_missing_migrations_fail_with_the_command_that_helps(bare: Terminal) -> None:
    if bare.environ["OUTRIGGER_DATABASE_URL"].startswith("sqlite"):
        Path(str(make_url(bare.environ["OUTRIGGER_DATABASE_URL"]).database)).touch()
    level, told = levels(bare, 1)["migrations"]
    assert level == "fail" and told.startswith("pending: core:0001") and told.endswith(" -> run `outrigger migrate`")


def test_a_database_that_is_away_fails(terminal: Terminal) -> None:
    terminal.environ["OUTRIGGER_DATABASE_URL"] = "postgresql+psycopg://postgres@127.0.0.1:1/none"
    assert levels(terminal, 1)["database"][0] == "fail"


@pytest.mark.parametrize("name", ["rabbitmq", "redis"])
def test_a_broker_that_answers_is_in_order(terminal: Terminal, postgres_url: str, name: str) -> None:
    terminal.environ |= {"OUTRIGGER_DATABASE_URL": postgres_url, "OUTRIGGER_BROKER_URL": answering_broker(name)}
    assert look(broker, terminal).level == "ok"


def test_a_broker_that_takes_no_such_user_or_is_away_fails(terminal: Terminal, postgres_url: str) -> None:
    right = make_url(answering_broker("rabbitmq"))
    terminal.environ["OUTRIGGER_DATABASE_URL"] = postgres_url
    for wrong in (right.set(password="not it"), right.set(port=1)):
        terminal.environ["OUTRIGGER_BROKER_URL"] = wrong.render_as_string(hide_password=False)
        found = look(broker, terminal)
        assert found.level == "fail" and "OUTRIGGER_BROKER_URL" in found.advice and "not it" not in found.detail


@pytest.mark.parametrize(
    "url", ["postgresql://postgres@127.0.0.1:1/none", "sqlite:///{folder}/text.sqlite3", "no database url"]
)
def test_an_obstacle_that_many_checks_meet_is_told_once(terminal: Terminal, url: str) -> None:
    terminal.write("text.sqlite3", "This is a plain text, and no database at all.")
    terminal.environ["OUTRIGGER_DATABASE_URL"] = url.format(folder=terminal.folder)
    report = terminal.json("doctor", code=1)
    details = [item["detail"] for item in report["findings"]]
    assert len(details) == len(set(details))
    assert [item["what"] for item in report["findings"] if item["level"] == "fail"] == ["database"]
    assert "Background on this error" not in str(report)
    assert any(item["what"] == "configuration file" for item in report["findings"])


def test_a_database_that_is_not_there_is_told_and_not_made(terminal: Terminal) -> None:
    missing = terminal.folder / "mistyped" / "outrigger.sqlite3"
    terminal.environ["OUTRIGGER_DATABASE_URL"] = f"sqlite:///{missing}"
    assert "does not exist yet" in levels(terminal, 1)["database"][1]
    assert "core:0001" in terminal.json("migrate", "--check", code=1)["pending"]
    assert terminal.json("events", "list", code=1)["code"] == "database.not_ready"
    assert not missing.parent.exists()
    terminal.ok("migrate")
    assert missing.exists()


def test_a_secret_that_cannot_be_read_fails(terminal: Terminal) -> None:
    del terminal.environ["CLI_TEST_SECRET"]
    level, text = levels(terminal, 1)["secret of source erp"]
    assert level == "fail"
    assert "CLI_TEST_SECRET" in text


def test_a_faulty_file_fails_and_a_changed_one_is_drift(terminal: Terminal) -> None:
    path = terminal.folder / "plugins.toml"
    path.write_text(path.read_text() + "# changed\n")
    assert levels(terminal)["drift"][0] == "warn"
    path.write_text("[dispach]")
    assert "Did you mean `dispatch`?" in levels(terminal, 1)["configuration file"][1]


def test_a_broken_plugin_fails_only_where_it_is_switched_on(terminal: Terminal) -> None:
    path = terminal.folder / "own_plugins/cli_sizer/plugin.py"
    path.write_text("raise RuntimeError('boom')")
    level, text = levels(terminal, 1)["plugin cli_sizer"]
    assert level == "fail"
    assert "boom" in text
    terminal.ok("plugins", "disable", "cli-sizer", "--reason", "broken")
    assert levels(terminal)["plugin cli_sizer"][0] == "warn"


def test_an_affected_sqlite_is_named_with_the_journal_that_is_used(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Old:
        sqlite_version, sqlite_version_info, __name__ = "3.40.1", (3, 40, 1), "sqlite3"

    monkeypatch.setattr(findings, "sqlite_module", lambda: Old)
    monkeypatch.setattr(findings, "journal_mode", lambda: "delete")
    found = look(findings.sqlite_version, terminal)
    assert found.level == "warn"
    assert "3.7.0 to 3.51.2" in found.detail
    assert "`delete` is used" in found.detail


@pytest.mark.parametrize(
    ("name", "value", "level"),
    [("synchronous", "FULL", "ok"), ("synchronous", "NORMAL", "fail"), ("journal_mode", "memory", "fail")],
)
def test_what_durability_rests_on_is_judged_as_read_back(name: str, value: str, level: str) -> None:
    assert findings._durable(name, value, is_sqlite=True).level == level


@pytest.mark.parametrize("name", ["fsync", "synchronous_commit"])
def test_a_postgresql_that_does_not_sync_fails(name: str) -> None:
    assert findings._durable(name, "off", is_sqlite=False).level == "fail"
    assert findings._durable(name, "on", is_sqlite=False).level == "ok"


def test_a_journal_that_is_not_safe_here_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "journal_mode", lambda: "delete")
    assert findings._durable("journal_mode", "wal", is_sqlite=True).level == "fail"
    assert store.journal_mode() in ("wal", "delete")


def test_an_impossible_year_fails(terminal: Terminal) -> None:
    found = look(findings.clock, terminal, datetime(1970, 1, 2, tzinfo=UTC))
    assert found.level == "fail"
    assert "NTP" in found.advice


@pytest.mark.parametrize("bare", ["postgresql"], indirect=True)
def test_a_clock_that_disagrees_with_the_database_fails(terminal: Terminal) -> None:
    assert "disagree" in look(findings.clock, terminal, datetime(2050, 1, 1, tzinfo=UTC)).detail


def test_a_clock_behind_what_was_accepted_is_told(terminal: Terminal) -> None:
    now = datetime(2026, 12, 1, tzinfo=UTC)
    database = Database(terminal.environ["OUTRIGGER_DATABASE_URL"])
    values: dict[str, Any] = dict.fromkeys(
        ("id", "source", "type", "kind", "record_id", "version", "data", "body_hash"), ""
    )
    with database.write() as connection:
        connection.execute(
            sa.insert(findings.events).values(
                **values, lane=0, status="dispatched", occurred_at=now, accepted_at=now + timedelta(days=1),
                completeness="full", origin="crm", depth=0, conflicts=0,
            )
        )  # fmt: skip
    database.close()
    assert "the clock went back" in look(findings.clock, terminal, now).detail


@pytest.mark.parametrize(("free", "level"), [(9, "fail"), (20, "warn"), (60, "ok")])
def test_low_disk_is_worth_a_look_and_no_disk_fails(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, free: int, level: str
) -> None:
    usage = SimpleNamespace(free=free, total=1000)
    monkeypatch.setattr(machine_findings.shutil, "disk_usage", lambda path: usage)
    assert look(findings.disk, terminal).level == level


def test_a_lock_that_nobody_gives_back_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.turn.write"
    path.touch()
    assert not machine_findings._is_held(path, patience_s=0)
    descriptor = os.open(path, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert machine_findings._is_held(path, patience_s=0)
    os.close(descriptor)
    assert not machine_findings._is_held(tmp_path / "missing", patience_s=0)


def test_a_check_that_breaks_is_a_finding_and_hides_no_other(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken_check(_: Session) -> list[Finding]:
        raise ZeroDivisionError("nobody thought of this")

    monkeypatch.setattr(findings, "CHECKS", (broken_check, *findings.CHECKS))
    found = levels(terminal, 1)
    assert "nobody thought of this" in found["broken check"][1]
    assert found["database"][0] == "ok"
