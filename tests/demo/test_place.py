"""The demo's place on disk and its configuration, checked as the server will check it."""

from __future__ import annotations

import stat
from pathlib import Path

from core.host import discovery
from core.host.configuration import Surroundings, build, resolve
from deploy.demo.facts import SOURCES
from deploy.demo.place import ROOT, SECRETS, TEMPLATE, Place
from webhooks import check_source


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


def test_every_run_has_secrets_of_its_own_that_only_this_user_reads(tmp_path):
    place = Place(tmp_path / "demo")
    place.make()
    first = [place.secret(name) for name in SECRETS]
    assert all(stat.S_IMODE((place.directory / "secrets" / name).stat().st_mode) == 0o600 for name in SECRETS)
    place.make()
    assert not set(first) & {place.secret(name) for name in SECRETS}


def test_the_copy_of_the_configuration_names_this_runs_receiver(tmp_path):
    place = Place(tmp_path / "demo")
    place.make()
    place.write_configuration(54321)
    text = (place.directory / "plugins.toml").read_text(encoding="utf-8")
    assert text.count("http://127.0.0.1:54321/") == len(resolved()[0].sources) + len(resolved()[0].endpoints)
    assert "127.0.0.1:9/" not in text


def test_the_environment_holds_paths_of_secrets_and_no_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("OUTRIGGER_DATABASE_URL", "postgresql://somewhere/else")
    place = Place(tmp_path / "demo")
    place.make()
    environment = place.environment(8080)
    assert environment["OUTRIGGER_DATABASE_URL"].startswith("sqlite:///")
    for name in SECRETS:
        assert name not in environment
        assert Path(environment[f"{name}_FILE"]).read_text() == place.secret(name)
