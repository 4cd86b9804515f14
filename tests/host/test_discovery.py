"""What loading promises: a good plugin loads, a broken one is listed with a letter and harms nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.host.discovery import discover_manifests, load_plugins, load_schemas
from core.host.loading import contribution, hook_names
from core.model.errors import PluginRefused
from core.model.events import EVENT_TYPES

from .conftest import CONFIG, WritePlugin


def load(root: Path):
    return load_plugins([root], with_entry_points=False)


def test_a_plugin_loads_with_its_hooks_settings_and_manifest(write_plugin: WritePlugin, plugin_root: Path) -> None:
    write_plugin("host_good", config=CONFIG)
    plugin = load(plugin_root)["host_good"]
    assert plugin.error is None
    assert list(plugin.hooks) == ["on_lead_created"]
    assert plugin.load_config is not None
    assert plugin.load_config({"hot_score": 5}).hot_score == 5
    assert plugin.config_keys["hot_score"]["default"] == 70
    assert plugin.manifest.effects == ("decide", "notify")


def test_a_hook_may_take_fewer_arguments(write_plugin: WritePlugin, plugin_root: Path) -> None:
    write_plugin(
        "host_partial",
        plugin="""
        from core.api import hookimpl
        @hookimpl
        def on_lead_created(ctx):
            return ["ctx", ctx]
        @hookimpl
        def on_lead_lost():
            return []
        @hookimpl
        def on_lead_updated(ctx, event):
            return [event, ctx]
        """,
    )
    hooks = load(plugin_root)["host_partial"].hooks
    assert hooks["on_lead_created"](event="E", ctx="C") == ["ctx", "C"]
    assert hooks["on_lead_lost"](event="E", ctx="C") == []
    assert hooks["on_lead_updated"](event="E", ctx="C") == ["E", "C"]


BROKEN = {
    "a misspelt hook": (
        "from core.api import hookimpl\n@hookimpl\ndef on_lead_creatd(event, ctx):\n    return []\n",
        ["host_broken/plugin.py, line 2", "no hook `on_lead_creatd`", "Did you mean `on_lead_created`?"],
    ),
    "a misspelt argument": (
        "from core.api import hookimpl\n@hookimpl\ndef on_lead_created(evnt, ctx):\n    return []\n",
        ["no argument `evnt`", "on_lead_created(event, ctx)", "Did you mean `event`?"],
    ),
    "a missing dependency": ("import no_such_module_at_all\n", ['needs the module "no_such_module_at_all"']),
    "an exception at import": ("\nraise RuntimeError('boom')\n", ["line 2", "RuntimeError: boom"]),
    "a syntax error": ("def broken(:\n", ["line 1", "SyntaxError"]),
    "an exit at import": ("raise SystemExit(3)\n", ["SystemExit: 3"]),
    "an async handler": (
        "from core.api import hookimpl\n@hookimpl\nasync def on_lead_created(event, ctx):\n    return []\n",
        ["is `async`"],
    ),
    "a wrapper": (
        "from core.api import hookimpl\n@hookimpl(wrapper=True)\ndef on_lead_created(event, ctx):\n    yield\n",
        ["is a wrapper"],
    ),
    "a hook twice": (
        "from core.api import hookimpl\n@hookimpl\ndef on_lead_created(event, ctx):\n    return []\n"
        "@hookimpl(specname='on_lead_created')\ndef other(event, ctx):\n    return []\n",
        ["on_lead_created and other both implement on_lead_created"],
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_plugin_is_listed_with_a_letter_and_the_others_load(
    what: str, write_plugin: WritePlugin, plugin_root: Path
) -> None:
    code, said = BROKEN[what]
    write_plugin("host_broken", plugin=code)
    write_plugin("host_good")
    plugins = load(plugin_root)
    assert plugins["host_good"].error is None
    error = plugins["host_broken"].error
    assert error is not None
    assert plugins["host_broken"].hooks == {}
    for words in said:
        assert words in error


def test_a_manifest_names_every_fault_at_once(write_plugin: WritePlugin, plugin_root: Path) -> None:
    folder = write_plugin("host_manifest")
    (folder / "plugin.toml").write_text(
        'name = "host_manifest"\nversion = "1"\ntitle = ""\nsumary = "x"\nowner = "o"\napi = "1"\neffects = ["notfy"]\n'
    )
    error = load(plugin_root)["host_manifest"].error
    assert error is not None
    assert "unknown key `sumary`. Did you mean `summary`?" in error
    assert '"notfy" is no effect. Did you mean "notify"?' in error
    assert "host_manifest/plugin.toml, title: Must say something." in error


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("host_named", "host_other"), 'must be the folder\'s name, "host_named"'),
        (('api = "1"', 'api = "7"'), 'plugin API "7"; this server offers "1"'),
    ],
)
def test_a_manifest_must_fit_its_folder_and_this_server(
    change: tuple[str, str], said: str, write_plugin: WritePlugin, plugin_root: Path
) -> None:
    path = write_plugin("host_named") / "plugin.toml"
    path.write_text(path.read_text().replace(*change))
    error = load(plugin_root)["host_named"].error
    assert error is not None
    assert said in error


def test_a_folder_without_a_manifest_is_told_so(plugin_root: Path) -> None:
    (plugin_root / "host_bare").mkdir()
    (plugin_root / "host_bare" / "plugin.py").write_text("")
    assert "plugin.toml is missing" in (load(plugin_root)["host_bare"].error or "")


def test_tables_carry_the_plugins_name(write_plugin: WritePlugin, plugin_root: Path) -> None:
    write_plugin(
        "host_tables",
        models="import sqlalchemy as sa\nmetadata = sa.MetaData()\n"
        "sa.Table('scores', metadata, sa.Column('id', sa.Text))\n",
    )
    assert 'the table "scores" must be named "host_tables_…"' in (load(plugin_root)["host_tables"].error or "")


def test_the_second_plugin_of_a_name_is_listed_as_such(
    write_plugin: WritePlugin, plugin_root: Path, tmp_path: Path
) -> None:
    folder = write_plugin("host_twin")
    other = tmp_path / "more" / "host_twin"
    other.parent.mkdir()
    folder.rename(other)
    write_plugin("host_twin")
    plugins = load_plugins([plugin_root, other.parent], with_entry_points=False)
    assert plugins["host_twin"].error is None
    assert "the name is taken by" in (plugins["host_twin@2"].error or "")


def test_a_plugin_that_shadows_an_installed_module_is_refused(write_plugin: WritePlugin, plugin_root: Path) -> None:
    write_plugin("json")
    assert load(plugin_root)["json"].error is not None


def test_manifests_and_schemas_are_read_without_running_the_plugin(
    write_plugin: WritePlugin, plugin_root: Path
) -> None:
    write_plugin("host_quiet", plugin="raise RuntimeError('plugin.py was imported')", config=CONFIG)
    assert discover_manifests([plugin_root], with_entry_points=False)["host_quiet"].error is None
    plugin = load_schemas([plugin_root], with_entry_points=False)["host_quiet"]
    assert plugin.error is None
    assert plugin.hooks == {}
    assert "hot_score" in plugin.config_keys


def test_a_contribution_loads_its_own_file_and_not_the_hooks(write_plugin: WritePlugin, plugin_root: Path) -> None:
    write_plugin(
        "host_giver",
        plugin="raise RuntimeError('plugin.py was imported')",
        api="from core.api import hookimpl\n@hookimpl\ndef register_api():\n    return 'blueprint'\n",
        cli="from core.api import hookimpl\n@hookimpl\ndef register_commands():\n    raise ValueError('no')\n",
    )
    plugin = discover_manifests([plugin_root], with_entry_points=False)["host_giver"]
    assert contribution(plugin, "api", "register_api") == "blueprint"
    with pytest.raises(PluginRefused, match="register_commands failed: ValueError: no"):
        contribution(plugin, "cli", "register_commands")


def test_timings_are_told_for_every_plugin(write_plugin: WritePlugin, plugin_root: Path) -> None:
    write_plugin("host_timed")
    timings: dict[str, float] = {}
    load_plugins([plugin_root], with_entry_points=False, timings=timings)
    assert timings["host_timed"] >= 0


def test_a_root_that_is_missing_has_no_plugins(tmp_path: Path) -> None:
    assert load(tmp_path / "nowhere") == {}


def test_every_canonical_event_has_its_hook() -> None:
    assert {item.hook for item in EVENT_TYPES.values()} <= set(hook_names())


def test_an_installed_plugin_is_found_by_its_entry_point(
    write_plugin: WritePlugin, plugin_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_plugin("host_installed")
    info = plugin_root / "host_installed-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: host-installed\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[outrigger.plugins]\nhost_installed = host_installed\nhost_gone = host_gone_away\n"
    )
    monkeypatch.syspath_prepend(str(plugin_root))
    plugins = load_plugins([])
    assert plugins["host_installed"].error is None
    assert list(plugins["host_installed"].hooks) == ["on_lead_created"]
    assert "is no package" in (plugins["host_gone"].error or "")
