"""The demo's place on disk and its configuration, checked as the server will check it."""

from __future__ import annotations

import stat
import tomllib
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from core.host import discovery
from core.host.configuration import Surroundings, build, resolve
from deploy.demo.facts import SOURCES, WRITTEN, read_facts
from deploy.demo.place import ROBOTS, ROOT, SECRETS, TEMPLATE, Place
from webhooks import check_source

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


@cache
def resolved():
    plugins = discovery.load_schemas([ROOT / "plugins"], with_entry_points=False)
    values = resolve(TEMPLATE.read_text(encoding="utf-8"), Surroundings(plugins, check_source))
    return build(1, values, plugins)


def test_the_configuration_has_no_fault():
    configuration, faults = resolved()
    assert not faults
    assert set(configuration.sources) == set(SOURCES.values())


def test_a_unit_may_differ_and_says_so():
    configuration, _ = resolved()
    assert configuration.plugins["new_energy", "lead_scoring"].config.grades.A == 75
    assert configuration.plugins["construction", "lead_scoring"].config.grades.A == 80
    assert not configuration.is_enabled("open_data", "case_capture")
    high_end = configuration.plugins["high_end_manufacturing", "quote_approval"].config
    assert "valid_until" in high_end.required
    assert "valid_until" not in configuration.plugins["packaging", "quote_approval"].config.required


def test_every_run_has_secrets_of_its_own_that_only_this_user_reads(tmp_path):
    place = Place(tmp_path / "demo")
    place.make()
    first = [place.secret(name) for name in (*SECRETS, *ROBOTS)]
    assert all(
        stat.S_IMODE((place.directory / "secrets" / name).stat().st_mode) == 0o600 for name in (*SECRETS, *ROBOTS)
    )
    place.make()
    assert not set(first) & {place.secret(name) for name in (*SECRETS, *ROBOTS)}


def test_the_copy_of_the_configuration_names_this_runs_receivers(tmp_path):
    place = Place(tmp_path / "demo")
    place.make()
    place.write_configuration(54321, 54322)
    text = (place.directory / "plugins.toml").read_text(encoding="utf-8")
    document = tomllib.loads(text)
    assert text.count("http://127.0.0.1:54321/") == len(document["sources"])
    assert document["channels"]["mail"]["port"] == 54322
    assert "127.0.0.1:9/" not in text
    for name, channel in ROBOTS.items():
        assert document["channels"][channel]["url"] == f"env:{name}"
        assert place.secret(name).startswith("http://127.0.0.1:54321/cgi-bin/")
    assert sorted(place.robots().values()) == sorted(ROBOTS.values())


def test_everybody_who_is_named_by_a_crm_is_in_the_directory():
    configuration, _ = resolved()
    grids = configuration.plugins["construction", "lead_scoring"].config.assignment.grids
    owners = {name for grid in grids for name in (*grid.senior, *grid.reps)}
    told = {fact.data["owner"] for fact in read_facts(NOW) if fact.set == WRITTEN and fact.data.get("owner")}
    unknown = {name for name in owners | told if name not in configuration.directory.known}
    unknown.remove("online_shop")  # a system's own name, to show who is told then
    assert owners
    assert told
    assert not unknown


def test_a_person_who_is_away_has_somebody_who_stands_in():
    configuration, _ = resolved()
    found = configuration.directory.at(NOW, "construction", "Asia/Shanghai").resolve("bu_manager")
    assert found.person is not None
    assert found.person.slug == "fang_yuan"
    assert len(found.path) == 3


def test_no_robot_is_asked_for_more_than_a_few_people():
    configuration, _ = resolved()
    first = [entry.person.channels[0] for entry in configuration.directory.entries.values() if entry.person.channels]
    assert 0 < first.count("wecom_sales") <= 4
    assert 0 < first.count("wecom_service") <= 4


def test_the_environment_holds_paths_of_secrets_and_no_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("OUTRIGGER_DATABASE_URL", "postgresql://somewhere/else")
    place = Place(tmp_path / "demo")
    place.make()
    environment = place.environment(8080)
    assert environment["OUTRIGGER_DATABASE_URL"].startswith("sqlite:///")
    for name in (*SECRETS, *ROBOTS):
        assert name not in environment
        assert Path(environment[f"{name}_FILE"]).read_text() == place.secret(name)
