"""What plugin authors rely on: events and contexts as in the server, real tables, and a scaffold that passes."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from core.host.discovery import load_plugins
from core.host.manifests import read_manifest
from core.host.scaffold import write_plugin
from core.model.errors import InvalidRequest, NotFound
from core.model.records import Contact, Customer, Lead
from core.store.row_writes import StaleRow
from core.testing import (
    NOW,
    ConfigurationRefused,
    RecordingLog,
    calendar_of,
    complaint_event,
    context,
    event_from_body,
    example_events,
    lead_event,
    plugin_event,
    plugin_server,
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


def test_a_body_of_any_type_becomes_the_event_that_a_handler_sees() -> None:
    due = {"id": "Q-1", "plugin": "quotes", "timer": "ladder", "due_at": "2026-11-23T01:30:00Z", "late": True}
    event = event_from_body({"type": "timer.due", "kind": "quote", "data": due, "record": {"amount": "12.5"}})
    assert (event.late, event.data.timer, event.origin) == (True, "ladder", "timer")
    assert event.record.amount == Decimal("12.5")
    own = event_from_body({"type": "scoring.graded", "data": {"grade": "A"}, "record": {"industry": "ev"}})
    assert (own.data, own.record.industry, own.origin) == ({"grade": "A"}, "ev", "plugin")
    with pytest.raises(InvalidRequest, match=r'"lead\.creatd" is no event type.*Did you mean "lead\.created"'):
        event_from_body({"type": "lead.creatd", "data": {}})
    with pytest.raises(InvalidRequest, match=r"The data of a timer\.due does not fit"):
        event_from_body({"type": "timer.due", "data": {"timer": "ladder"}})


def test_a_role_need_not_be_held_in_units_that_nobody_works_for() -> None:
    people = """
    [roles.bu_manager]
    [people.chen]
    name = "陈经理"
    units = ["packaging"]
    roles = ["bu_manager"]
    """
    found = context(None, unit="packaging", people=people).people.resolve("bu_manager").person
    assert found is not None
    assert found.slug == "chen"
    with pytest.raises(ConfigurationRefused, match="nobody holds this role in default"):
        context(None, people=people)


def test_a_calendar_of_ones_own_is_read_as_the_server_reads_it() -> None:
    six = NOW - timedelta(hours=3)  # 06:30 in Shanghai
    early = calendar_of("plant", '[calendars.plant]\nbased_on = "cn"\nhours = { mon-fri = ["06:00-14:00"] }\n')
    assert (early.is_working(six), calendar_of("cn").is_working(six)) == (True, False)
    with pytest.raises(ConfigurationRefused, match="is no shift"):
        calendar_of("plant", '[calendars.plant]\nbased_on = "cn"\nhours = { mon = ["soon"] }\n')
    with pytest.raises(NotFound, match='Did you mean "always"'):
        calendar_of("alway")


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
        assert session.get(score, "L-1").points == 3  # type: ignore[union-attr]
        assert session.writes == []
        session.update(score, "L-1", {"points": 4}, expected={"points": 9})
        with pytest.raises(StaleRow):
            session.apply()
        assert session.get(score, "L-1").points == 3  # type: ignore[union-attr]


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


def test_a_server_says_what_a_plugin_lacks(plugin_root: Path) -> None:
    folder = write_plugin(plugin_root, "host_served", owner="tests")
    settings = '[people.li]\nname = "李"\n[plugins.host_served]\nenabled = true\nconfig.desk = "li"\n'
    with plugin_server(folder, settings) as server:
        server.send("lead.created", {"id": "L-1", "annual_volume": 900})
        (message,) = server.messages("notify")
        with pytest.raises(NotFound, match="has no link"):
            server.link(message)
        with pytest.raises(NotFound, match=r"no cli\.py"):
            server.run("list")
    with pytest.raises(ConfigurationRefused, match=r"config\.desk: There is no role, person or CRM id"):
        plugin_server(folder, settings.replace("people.li", "people.wang")).__enter__()


@pytest.mark.parametrize("name", ["Bad", "with-hyphen", "1st", "a" * 41, "", "a__b", "trailing_"])
def test_a_name_that_cannot_be_one_is_refused(plugin_root: Path, name: str) -> None:
    with pytest.raises(InvalidRequest, match="is no name for a plugin"):
        write_plugin(plugin_root, name)


def todo(folder: Path) -> dict[str, str]:
    plugin = load_plugins([folder.parent], with_entry_points=False)[folder.name]
    return {item.rule: item.reason for item in check_plugin(plugin).findings if item.state == "todo"}


EXAMPLES = "each example event, handled twice, gives the same declared effects"
IMPORTS = "of the server only core.api is imported, by tests core.testing too"
TEMPLATES = "what people are told stands in templates, in zh and en"
HOOK = "from core.api import {names}hookimpl\n@hookimpl\ndef on_lead_created(event: object) -> list[object]:\n"
LOST = HOOK.format(names="") + "    return []\n@hookimpl\ndef on_lead_lost() -> list[object]:\n    return []\n"
TELLS = (
    HOOK.format(names="Notify, ")
    + "    return [Notify(to='x', template='large_lead', data={'lead': 'L', 'volume': 1})]\n"
)
SECTIONS = "".join(f"## {name}\n" for name in ("What it does", "Settings", "Events", "Effects", "Example", "Limits"))
CONFIG = """
from dataclasses import dataclass
import marshmallow as ma

@dataclass(frozen=True)
class Config:
    desk: str

class ConfigSchema(ma.Schema):
    desk = ma.fields.String({options})
"""
UNOWNED = """
name = "host_spoilt"
version = "1"
title = "T"
summary = "S"
owner = "nobody yet"
api = "1"
effects = ["decide", "notify"]
"""

SPOILT: dict[str, tuple[dict[str, str | None], str, str]] = {
    "a README without a section": (
        {"README.md": "# T\n## Settings\n"}, "README.md has its sections", "missing: What",
    ),
    "a setting without a default": (
        {"config.py": CONFIG.format(options="required=True")}, "the settings' defaults load", "without settings",
    ),
    "an import past the door": (
        {"extra.py": "'Extra.'\nfrom core.store import tables\n"}, IMPORTS, "extra.py, line 2: imports core.store",
    ),
    "an import past the door by its parent": (
        {"extra.py": "'Extra.'\nfrom core import store\n"}, IMPORTS, "extra.py, line 2: imports core.store",
    ),
    "a test that reaches into the server": (
        {"tests/test_rules.py": "from core.testing import NOW\nfrom core.pipeline import plan\n"}, IMPORTS,
        "tests/test_rules.py, line 2: imports core.pipeline; only core.api, core.testing and",
    ),
    "a module without its sentence": (
        {"extra.py": "NUMBER = 1\n"}, "every module says in a sentence what it is for", "extra.py",
    ),
    "an untyped function": (
        {"extra.py": "def f(x):\n    return x\n"}, "every function is typed", "f is not typed",
    ),
    "a table that no migration makes": (
        {"models.py": "import sqlalchemy as sa\nmetadata = sa.MetaData()\nsa.Table('host_spoilt_x', metadata)\n"},
        "tables are made by migrations", "has no migration",
    ),
    "no tests": (
        {"tests/test_plugin.py": None, "tests/test_rules.py": None, "tests/test_config.py": None},
        "it has tests", "have no tests",
    ),
    "an undeclared effect": (
        {"plugin.py": HOOK.format(names="CancelTimer, ") + "    return [CancelTimer(timer='x')]\n"},
        EXAMPLES, 'asked for "cancel_timer"',
    ),
    "a handler that remembers": (
        {"plugin.py": "SEEN = []\n" + HOOK.format(names="Decide, ")
         + "    SEEN.append(1)\n    return [Decide(kind='k', outcome='o', summary=str(len(SEEN)), rule='r')]\n"},
        EXAMPLES, "the second time it asks for something else",
    ),
    "a handler that fails": (
        {"plugin.py": HOOK.format(names="") + "    return 1 / 0\n"}, EXAMPLES, "ZeroDivisionError",
    ),
    "a message that lacks what its template says": (
        {"plugin.py": TELLS}, EXAMPLES, "templates/large_lead.zh.txt: 'large_from' is undefined",
    ),
    "a message that lacks it in English alone": (
        {"plugin.py": TELLS, "templates/large_lead.zh.txt": "Subject: {{ lead }}\n{{ volume }}\n"},
        EXAMPLES, "templates/large_lead.en.txt: 'large_from' is undefined",
    ),
    "nobody to ask": ({"plugin.toml": UNOWNED}, "an owner is named", "names no owner"),
    "a hook that no test calls": ({"plugin.py": LOST}, "every hook has a test", "on_lead_lost"),
    "rules without tests": ({"tests/test_rules.py": None}, "the rules have tests of their own", "no test imports"),
    "no test of what is refused": (
        {"tests/test_config.py": None}, "refusals and failures are tested", "no test uses pytest.raises",
    ),
    "a message in one language": (
        {"templates/large_lead.en.txt": None}, TEMPLATES, "templates/large_lead.en.txt is missing",
    ),
    "messages without templates": (
        {"templates/large_lead.en.txt": None, "templates/large_lead.zh.txt": None}, TEMPLATES, "it notifies, but",
    ),
    "a setting that says nothing": (
        {"config.py": CONFIG.format(options="load_default='x'")}, "every setting is described", "desk",
    ),
    "a setting that the README keeps to itself": (
        {"README.md": SECTIONS}, "README.md names every setting", "not named: large_from, desk",
    ),
    "an event without an example": ({"plugin.py": LOST}, "every event it hears has an example", "lead.lost"),
    "no help in trouble": ({"README.md": SECTIONS}, "README.md has a section on trouble", "no section Troubleshooting"),
}  # fmt: skip


@pytest.mark.parametrize("what", SPOILT)
def test_the_check_names_what_is_to_do(plugin_root: Path, what: str) -> None:
    files, rule, reason = SPOILT[what]
    folder = write_plugin(plugin_root, "host_spoilt", owner="tests")
    for name, text in files.items():
        if text is None:
            (folder / name).unlink()
        else:
            (folder / name).write_text(text)
    assert reason in todo(folder)[rule]


def test_every_rule_was_seen_to_fail() -> None:
    seen = {rule for _, rule, _ in SPOILT.values()}
    assert {rule for _, rule, _, _ in RULES} - seen == {"it shows its work in a panel"}


def test_a_plugin_that_does_not_load_has_everything_to_do(write_plugin: WritePlugin) -> None:
    found = todo(write_plugin("host_dead", plugin="1 / 0"))
    assert "ZeroDivisionError" in found["it loads"]
    assert len(found) == len(RULES) + 1
