"""A third party's plugin as an installed distribution: it works, may be removed with its tables, and comes back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from core.host.scaffold import write_plugin
from core.store.database import Database
from core.time.clock import SystemClock
from core.web.keys import ApiKeys
from tests.serving.served import CONFIG, PROJECT, Served

NAME = "pump_watch"
SETTINGS = CONFIG.replace("[units.new_energy]", "[plugins.lead_scoring]\nenabled = true\n\n[units.new_energy]")

PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "pump-watch"
version = "1.0"

[project.entry-points."outrigger.plugins"]
pump_watch = "pump_watch"

[tool.setuptools]
packages = ["pump_watch"]

[tool.setuptools.package-data]
pump_watch = ["plugin.toml", "README.md", "templates/*", "migrations/versions/*.py"]
"""

MODELS = '''
"""The leads that were looked at."""

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The base of this plugin's tables only."""


class Seen(Base):
    """A lead that was looked at."""

    __tablename__ = "pump_watch_seen"

    lead: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    unit: Mapped[str] = mapped_column(sa.Text)
'''

MIGRATION = '''
"""Make the table."""

import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "pump_watch_0001", None, None, None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "pump_watch_seen", sa.Column("lead", sa.Text, primary_key=True), sa.Column("unit", sa.Text, nullable=False)
    )
'''

PLUGIN = '''
"""Keeps every lead it sees."""

from core.api import Context, Decide, Effect, Event, Lead, hookimpl

from .config import Config
from .models import Seen


@hookimpl
def on_lead_created(event: Event[Lead], ctx: Context[Config]) -> list[Effect]:
    """Keep the lead, and say so."""
    ctx.session.upsert(Seen, lead=event.record_id, unit=ctx.unit.slug)
    return [Decide(kind="pump", outcome="seen", summary=f"Lead {event.record_id} was seen.", rule="always")]
'''

CLI = '''
"""The plugin's own command."""

import json

import click
import sqlalchemy as sa

from core.api import current_desk, hookimpl

from .models import Seen


@click.group("pump-watch")
def group() -> None:
    """Leads that were seen."""


@group.command("list")
def listed() -> None:
    """List them."""
    with current_desk().read() as session:
        click.echo(json.dumps([row.lead for row in session.scalars(sa.select(Seen).order_by(Seen.lead))]))


@hookimpl
def register_commands() -> click.Group:
    """Contribute `outrigger pump-watch`."""
    return group
'''

API = '''
"""The plugin's own API."""

from typing import Any

import sqlalchemy as sa

from core.api import api_blueprint, current_desk, hookimpl, require

from .models import Seen

blueprint = api_blueprint("pump_watch", description="Leads that were seen.")


@blueprint.route("/pump-watch", methods=["GET"])
@require("reader")
def seen() -> dict[str, Any]:
    """List the leads that were seen."""
    with current_desk().read() as session:
        return {"items": [row.lead for row in session.scalars(sa.select(Seen).order_by(Seen.lead))]}


@hookimpl
def register_api() -> Any:
    """Contribute `/api/v1/pump-watch`."""
    return blueprint
'''


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a plugin as `plugins new` does, give it a table, a command and an API, and build its distribution."""
    root = tmp_path_factory.mktemp("third_party")
    folder = write_plugin(root, NAME, title="Pump watch", owner="pumps@example.com")
    files = {"models.py": MODELS, "plugin.py": PLUGIN, "cli.py": CLI, "api.py": API}
    for name, text in {**files, "migrations/versions/0001_seen.py": MIGRATION}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    (root / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    pip(root, "wheel", "--no-build-isolation", "--wheel-dir", str(root / "wheels"), str(root))
    (built,) = (root / "wheels").glob("*.whl")
    return built


def pip(folder: Path, *arguments: str) -> None:
    """Run pip without a network and without looking anything up."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments, "--no-deps", "--no-index"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


class Site:
    """A folder in which the distribution is installed or not, and a server that looks there."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.place = folder / "site"
        self.wheel = wheel
        self.server = Served(folder, f"sqlite:///{folder}/outrigger.sqlite3", SETTINGS, None)
        self.server.environment["PYTHONPATH"] = os.pathsep.join([str(PROJECT), str(self.place)])

    def install(self) -> None:
        pip(self.server.folder, "install", "--target", str(self.place), str(self.wheel))

    def remove(self) -> None:
        shutil.rmtree(self.place)

    def run(self, *arguments: str, code: int = 0) -> str:
        ran = self.server.command(*arguments)
        assert ran.returncode == code, f"{arguments}: {ran.stdout}{ran.stderr}"
        return ran.stdout + ran.stderr

    def json(self, *arguments: str, code: int = 0) -> Any:
        ran = self.server.command(*arguments, "--json")
        assert ran.returncode == code, f"{arguments}: {ran.stdout}{ran.stderr}"
        return json.loads(ran.stdout)

    def state(self) -> tuple[str, Any]:
        """Return what `plugins list` says of the plugin, and what is wrong with it."""
        items = self.json("plugins", "list", "--unit", "new_energy")["items"]
        (found,) = [item for item in items if item["plugin"] == NAME]
        return found["state"], found["problem"]

    def key(self) -> str:
        """Make an API key."""
        database = Database(self.server.database_url)
        token, _ = ApiKeys(database, SystemClock()).create("crm", role="reader", units=["*"], created_by="test")
        database.close()
        return token

    def decided(self, lead: str) -> set[str]:
        """Return the plugins that decided about a lead."""
        return {name for (name,) in self.server.rows(f"SELECT plugin FROM decisions WHERE record_id = '{lead}'")}

    def send(self, lead: str, plugins: set[str]) -> None:
        """Send a lead as a CRM does, and wait until these plugins have decided about it."""
        assert self.server.post("lead.created", lead, industry="ev", annual_volume="1200")[0] == 202
        self.server.until(lambda: self.decided(lead) >= plugins, f"{plugins} decided about {lead}")

    def drop(self) -> None:
        """Drop the plugin's tables, as somebody does who wants to be rid of it and knows of no version table."""
        database = Database(self.server.database_url)
        with database.write() as connection:
            for table in sa.inspect(connection).get_table_names():
                if table.startswith(f"{NAME}_") and not table.endswith("_alembic_version"):
                    connection.exec_driver_sql(f"DROP TABLE {table}")
        database.close()


@pytest.mark.slow
def test_an_installed_plugin_works_may_be_removed_with_its_tables_and_comes_back(tmp_path: Path, wheel: Path) -> None:
    site = Site(tmp_path, wheel)
    server, key = site.server, ""
    site.install()
    try:
        assert "pump_watch:pump_watch_0001" in site.run("migrate")
        site.run("config", "apply")
        site.run("plugins", "enable", "pump-watch", "--unit", "new_energy", "--reason", "pilot")
        assert site.state() == ("on", None)
        key = site.key()
        server.start()
        site.send("L-1", {NAME, "lead_scoring"})
        assert site.run("pump-watch", "list") == '["L-1"]\n'
        assert listed(server, key) == ["L-1"]
        assert server.stop() == 0

        site.remove()
        site.drop()
        assert "up to date" in site.run("migrate", "--check")
        state, problem = site.state()
        assert (state, problem.partition(";")[0]) == ("missing", "not installed here")
        site.run("config", "check")
        site.run("doctor", code=1)  # which tells that a plugin is missing
        server.start()
        site.send("L-2", {"lead_scoring"})
        (waiting, _) = site.json("deliveries", "list", "--plugin", NAME)["items"]
        assert (waiting["record_id"], waiting["status"]) == ("L-2", "quarantined"), waiting
        assert "outrigger plugins list" in waiting["reason"]
        assert server.get("/api/v1/pump-watch", {"Authorization": f"Bearer {key}"})[0] == 404
        assert server.stop() == 0

        site.install()
        assert "pump_watch:pump_watch_0001" in site.run("migrate")
        server.start()
        server.until(lambda: NAME in site.decided("L-2"), "what waited is handled")
        assert listed(server, key) == ["L-2"]
    finally:
        server.kill()


def listed(server: Served, key: str) -> list[str]:
    status, text = server.get("/api/v1/pump-watch", {"Authorization": f"Bearer {key}"})
    assert status == 200, text
    return list(json.loads(text)["items"])
