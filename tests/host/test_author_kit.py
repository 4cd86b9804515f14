"""What plugin authors rely on: events and contexts as in the server, real tables, and a scaffold that passes."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from core.host.discovery import load_plugins
from core.host.manifests import read_manifest
from core.host.scaffold import write_plugin
from core.model.errors import InvalidRequest
from core.model.records import Contact, Customer, Lead
from core.store.row_writes import StaleRow
from core.testing import (
    NOW,
    RecordingLog,
    complaint_event,
    context,
    event_from_body,
    example_events,
    lead_event,
    plugin_event,
    plugin_session,
    timer_event,
    unit_changed_event,
)
from core.testing.quality import RULES, check_plugin

from .conftest import WritePlugin

MODELS = """
from __future__ import annotations
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

class Base(DeclarativeBase):
    pass

class Score(Base):
    __tablename__ = "host_kit_scores"
    lead: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    points: Mapped[int] = mapped_column(sa.Integer)
"""

MIGRATION = """
import sqlalchemy as sa
from alembic import op
revision = "host_kit_0001"
down_revision = None

def upgrade():
    op.create_table("host_kit_scores", sa.Column("lead", sa.Text, primary_key=True), sa.Column("points", sa.Integer))
"""


@pytest.fixture
def keeper(write_plugin: WritePlugin) -> Path:
    folder = write_plugin("host_kit", models=MODELS)
    (folder / "migrations" / "versions").mkdir(parents=True)
    (folder / "migrations" / "versions" / "0001.py").write_text(MIGRATION)
    return folder


def test_an_event_is_built_as_the_server_builds_it() -> None:
    event = lead_event(
        annual_volume="1200", contact=Contact(name="周敏"), known={"industry": "ev"}, event={"late": True}
    )
    assert event.data == Lead(id="L-1", annual_volume=Decimal(1200), contact=Contact(name="周敏"))
    assert event.record == dataclasses.replace(event.data, industry="ev")
    assert (event.changed, event.late, event.type) == (frozenset({"annual_volume", "contact"}), True, "lead.created")


def test_a_misspelt_field_or_type_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidRequest, match=r'no field "anual_volume"\. Did you mean "annual_volume"'):
        lead_event(anual_volume=1)
    with pytest.raises(InvalidRequest, match="is no event type"):
        lead_event("lead.creatd")
    with pytest.raises(InvalidRequest, match="is not about a lead"):
        lead_event("quote.submitted")


def test_events_that_no_crm_sends_can_be_built_too() -> None:
    lead = Lead(id="L-9")
    due = timer_event("first_reply", plugin="sla", record=lead, late=True)
    assert (due.type, due.data.timer, due.record_id, due.late) == ("timer.due", "first_reply", "L-9", True)
    moved = unit_changed_event(from_unit="a", to_unit="b", record=lead)
    assert (moved.unit, moved.data.from_unit) == ("b", "a")
    assert plugin_event("scoring.graded", {"grade": "A"}).data == {"grade": "A"}
    body = {"type": "record.unit_changed", "data": {"id": "L-9", "from_unit": "a", "to_unit": "b"}}
    assert event_from_body(body).data == dataclasses.replace(moved.data, reason=None)


def test_a_context_knows_the_records_it_was_given_and_keeps_the_log() -> None:
    log = RecordingLog()
    ctx = context(None, unit="new_energy", records=[Customer(id="C-1", tier="A")], log=log)
    assert ctx.records.get("customer", "C-1").tier == "A"  # type: ignore[union-attr]
    assert ctx.records.get("customer", "C-2") is None
    ctx.log.info("seen", lead="L-1")
    assert log.lines == [("info", "seen", {"lead": "L-1"})]
    assert (ctx.unit.slug, ctx.now) == ("new_energy", NOW)


def test_a_context_without_tables_says_how_to_get_them() -> None:
    with pytest.raises(AssertionError, match=r"plugin_session\(folder\)"):
        context(None).session.get(Lead, "x")


def test_the_session_buffers_and_applies_on_real_tables(keeper: Path, plugin_root: Path) -> None:
    load_plugins([plugin_root], with_entry_points=False)
    score = sys.modules["host_kit.models"].Score
    with plugin_session(keeper) as session:
        session.insert(score, lead="L-1", points=3)
        assert session.get(score, "L-1") is None
        assert [write.operation for write in session.writes] == ["insert"]
        session.apply()
        assert session.get(score, "L-1").points == 3
        assert session.writes == []
        session.update(score, "L-1", {"points": 4}, expected={"points": 9})
        with pytest.raises(StaleRow):
            session.apply()
        assert session.get(score, "L-1").points == 3


def test_example_events_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "some"
    (folder / "tests" / "events").mkdir(parents=True)
    for name, kind in (("b.json", "lead.lost"), ("a.json", "lead.created")):
        body = {"type": kind, "timestamp": "2026-11-20T02:00:00Z", "data": {"id": "L-7", "unit": "packaging", "zzz": 1}}
        (folder / "tests" / "events" / name).write_text(json.dumps(body))
    first, second = example_events(folder)
    assert (first.type, second.type, first.unit) == ("lead.created", "lead.lost", "packaging")
    assert first.record.extra == {"zzz": 1}
    assert complaint_event().record_id == "T-1"


def test_a_new_plugin_passes_the_check_and_its_own_tests(plugin_root: Path) -> None:
    folder = write_plugin(plugin_root, "host_fresh", title='A "fresh" one', owner="tests@example.com")
    assert read_manifest(folder).title == "A 'fresh' one"
    report = check_plugin(load_plugins([plugin_root], with_entry_points=False)["host_fresh"])
    assert [item for item in report.findings if item.state == "todo"] == []
    assert report.holds
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", "host_fresh"]
    ran = subprocess.run(
        command, cwd=plugin_root, env={"PYTHONPATH": f"{plugin_root}:{Path.cwd()}", "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("name", ["Bad", "with-hyphen", "1st", "a" * 41, "", "a__b", "trailing_"])
def test_a_name_that_cannot_be_one_is_refused(plugin_root: Path, name: str) -> None:
    with pytest.raises(InvalidRequest, match="is no name for a plugin"):
        write_plugin(plugin_root, name)


def todo(folder: Path) -> dict[str, str]:
    plugin = load_plugins([folder.parent], with_entry_points=False)[folder.name]
    return {item.rule: item.reason for item in check_plugin(plugin).findings if item.state == "todo"}


SPOILT = {
    "an import past the door": (
        "extra.py", "'''Extra.'''\nfrom core.store import tables\n", "of the server only core.api is imported",
        "imports core.store",
    ),
    "an untyped function": ("extra.py", "def f(x):\n    return x\n", "every function is typed", "f is not typed"),
    "an undeclared effect": (
        "plugin.py",
        "from core.api import CancelTimer, hookimpl\n@hookimpl\ndef on_lead_created(event: object) -> list[object]:\n"
        "    return [CancelTimer(timer='x')]\n",
        "each example event, handled twice, gives the same declared effects",
        'asked for "cancel_timer"',
    ),
    "a handler that remembers": (
        "plugin.py",
        "from core.api import Notify, hookimpl\nSEEN = []\n"
        "@hookimpl\ndef on_lead_created(event: object) -> list[object]:\n"
        "    SEEN.append(1)\n    return [Notify(to='x', template='t', data={'n': len(SEEN)})]\n",
        "each example event, handled twice, gives the same declared effects",
        "the second time it asks for something else",
    ),
    "a handler that fails": (
        "plugin.py",
        "from core.api import hookimpl\n@hookimpl\ndef on_lead_created() -> list[object]:\n    return 1 / 0\n",
        "each example event, handled twice, gives the same declared effects",
        "ZeroDivisionError",
    ),
    "a README without a section": ("README.md", "# T\n## Settings\n", "README.md has its sections", "missing: What"),
}  # fmt: skip


@pytest.mark.parametrize("what", SPOILT)
def test_the_check_names_what_is_to_do(plugin_root: Path, what: str) -> None:
    file, text, rule, reason = SPOILT[what]
    folder = write_plugin(plugin_root, "host_spoilt", owner="tests")
    (folder / file).write_text(text)
    assert reason in todo(folder)[rule]


def test_a_plugin_that_does_not_load_has_everything_to_do(write_plugin: WritePlugin) -> None:
    found = todo(write_plugin("host_dead", plugin="1 / 0"))
    assert "ZeroDivisionError" in found["it loads"]
    assert len(found) == len(RULES) + 1
