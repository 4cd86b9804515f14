"""What IT does at a terminal, and what each command answers."""

from __future__ import annotations

import dataclasses

import pytest
import sqlalchemy as sa

from core.host.scaffold import write_plugin
from core.store.database import Database
from core.store.tables import quarantines

from .conftest import BOTH, Terminal


@BOTH
def test_a_new_server_is_set_up_in_three_commands(bare: Terminal) -> None:
    assert "core:0001" in bare.ok("migrate")
    assert bare.ok("migrate") == "The database is up to date.\n"
    bare.write("plugins.toml", "")
    assert "Version 1 is in force" in bare.ok("config", "apply")
    assert "says this already" in bare.ok("config", "apply")


def test_migrate_check_changes_nothing_and_tells_by_its_exit_code(bare: Terminal) -> None:
    assert "core:0001" in bare.json("migrate", "--check", code=1)["pending"]
    bare.ok("migrate")
    assert bare.json("migrate", "--check") == {"pending": []}


@BOTH
def test_a_command_before_migrating_says_what_to_do(bare: Terminal) -> None:
    result = bare.run("config", "show")
    assert result.exit_code == 1
    assert "run `outrigger migrate`" in result.stderr
    assert "(database.not_ready)" in result.stderr
    assert "Traceback" not in result.output


def test_a_faulty_file_is_refused_with_every_place_and_the_nearest_name(terminal: Terminal) -> None:
    terminal.write("plugins.toml", "[plugins.cli_sizer.config]\nlarge_form = 3\n[dispatch]\nmax_attempts = 0\n")
    result = terminal.run("config", "check")
    assert result.exit_code == 1
    assert (
        "plugins.toml, plugins.cli_sizer.config: unknown key `large_form`. Did you mean `large_from`?" in result.stderr
    )
    assert "plugins.toml, dispatch.max_attempts" in result.stderr
    assert result.stderr.count("large_form") == 1
    assert "(config.refused)" in result.stderr
    refused = terminal.json("config", "apply", code=1)
    assert refused["code"] == "config.refused"
    assert len(refused["errors"]) == 2
    assert terminal.json("config", "show")["number"] == 1


@BOTH
def test_a_switch_shows_who_and_why_and_follows_into_the_file(terminal: Terminal) -> None:
    said = terminal.ok("plugins", "disable", "cli-sizer", "--unit", "new_energy", "--reason", "pilot", "--by", "IT")
    assert "cli_sizer is off in new_energy (version 2)." in said
    items = {item["unit"]: item for item in terminal.json("plugins", "list")["items"]}
    assert items["new_energy"]["state"] == "off"
    assert items["new_energy"]["origin"].startswith("switched by IT, ")
    assert items["new_energy"]["origin"].endswith('"pilot"')
    assert items["default"]["state"] == "on"
    assert "[units.new_energy.plugins.cli_sizer]\nenabled = false" in (terminal.folder / "plugins.toml").read_text()
    assert "is off there already" in terminal.ok(
        "plugins", "disable", "cli_sizer", "--unit", "new_energy", "--reason", "x"
    )


def test_a_switch_needs_a_reason(terminal: Terminal) -> None:
    result = terminal.run("plugins", "enable", "cli-sizer")
    assert result.exit_code == 2
    assert "--reason" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("plugins", "show", "cli-sizr"), 'no plugin "cli-sizr". Did you mean "cli_sizer"?'),
        (("plugins", "list", "--unit", "new_enrgy"), 'no unit "new_enrgy". Did you mean "new_energy"?'),
        (("plugins", "enable", "cli-sizr", "--reason", "x"), "Did you mean"),
        (("sources", "test", "epr"), 'no source "epr". Did you mean "erp"?'),
        (("config", "export", "--number", "99"), "no configuration version 99"),
        (("plugins", "new", "Bad-Name!"), "is no name for a plugin"),
        (("plugins", "new", "cli-sizer"), "exists already"),
    ],
)
def test_what_does_not_exist_is_told_with_the_nearest_name(
    terminal: Terminal, arguments: tuple[str, ...], said: str
) -> None:
    result = terminal.run(*arguments)
    assert result.exit_code == 1
    assert said in result.stderr


def test_a_mistyped_command_is_a_usage_error_with_the_nearest(terminal: Terminal) -> None:
    result = terminal.run("plugns")
    assert result.exit_code == 2
    assert 'Did you mean "plugins"?' in result.stderr


def test_show_tells_where_every_value_came_from(terminal: Terminal) -> None:
    text = "[units.new_energy.plugins.cli_sizer]\nenabled = true\nconfig.large_from = 800\n"
    terminal.write("plugins.toml", f"[units.new_energy]\n{text}")
    terminal.ok("config", "apply")
    shown = terminal.json("plugins", "show", "cli-sizer")
    assert shown["units"]["new_energy"]["origins"]["large_from"] == "file: units.new_energy.plugins.cli_sizer.config"
    assert shown["units"]["default"]["origins"]["large_from"] == "default"
    assert shown["hooks"] == ["on_lead_created"]
    text = terminal.ok("plugins", "show", "cli-sizer", "--unit", "new_energy")
    assert "large_from" in text
    assert "800" in text


@BOTH
def test_enabling_lifts_a_quarantine_and_the_list_shows_it_before(terminal: Terminal) -> None:
    database = Database(terminal.environ["OUTRIGGER_DATABASE_URL"])
    with database.write() as connection:
        connection.execute(
            sa.insert(quarantines).values(
                unit="new_energy", plugin="cli_sizer", crashes=3, active=True, reason="hung; 3 in a row", event_id=None,
                changed_at=sa.literal(0), changed_by="supervisor",
            )
        )  # fmt: skip
    database.close()
    states = {item["unit"]: item for item in terminal.json("plugins", "list")["items"]}
    assert states["new_energy"]["state"] == "quarantined"
    assert "outrigger plugins enable" in states["new_energy"]["problem"]
    shown = terminal.json("plugins", "show", "cli-sizer")["units"]
    assert {unit: item["quarantine"] for unit, item in shown.items()}["new_energy"] == "hung; 3 in a row"
    assert "! quarantined: hung; 3 in a row" in terminal.ok("plugins", "show", "cli-sizer")
    done = terminal.json("plugins", "enable", "cli-sizer", "--unit", "new_energy", "--reason", "mended")
    assert done["quarantine_lifted"] == ["new_energy"]
    assert {item["state"] for item in terminal.json("plugins", "list")["items"]} == {"on"}


@BOTH
def test_history_diff_export_and_rollback_go_together(terminal: Terminal) -> None:
    first = (terminal.folder / "plugins.toml").read_text()
    terminal.write("plugins.toml", first + "[dispatch]\nmax_attempts = 3\n")
    assert "+max_attempts = 3" in terminal.ok("config", "diff")
    terminal.ok("config", "apply", "--reason", "fewer")
    assert [item["number"] for item in terminal.json("config", "history")["items"]] == [2, 1]
    assert terminal.ok("config", "export", "--number", "1") == first
    assert "no configuration version 0: the newest is 2" in terminal.run("config", "export", "--number", "0").stderr
    terminal.ok("config", "rollback", "1", "--reason", "too few")
    assert (terminal.folder / "plugins.toml").read_text() == first
    assert terminal.json("config", "show")["origin"] == "rollback"


def test_a_source_is_tested_without_showing_its_secret(terminal: Terminal) -> None:
    tested = terminal.json("sources", "test", "erp")
    assert tested["webhook_url"] == "http://127.0.0.1:8080/webhooks/erp"
    assert tested["ok"]
    assert "s3cret" not in str(tested)
    del terminal.environ["CLI_TEST_SECRET"]
    assert "CLI_TEST_SECRET" in terminal.run("sources", "test", "erp").stdout
    assert terminal.json("sources", "test", "erp", code=1)["ok"] is False
    assert [item["source"] for item in terminal.json("sources", "list")["items"]] == ["erp"]


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("whsec_not base64!", "behind whsec_ there must be base64"),
        ("whsec_c2hvcnQ=", "24 to 64 bytes; it is one of 5"),
        ("whsk_" + "A" * 88, "it is a private key"),
        ("whpk_AAAA", "a public key of 32 bytes"),
        ("s3cret ", "white space"),
    ],
)
def test_a_secret_with_which_no_signature_can_fit_fails_and_is_not_shown(
    terminal: Terminal, secret: str, said: str
) -> None:
    terminal.environ["CLI_TEST_SECRET"] = secret
    tested = terminal.json("sources", "test", "erp", code=1)
    examined = terminal.run("doctor", "--json")
    assert said in str(tested)
    assert said in examined.output
    assert examined.exit_code == 1
    assert secret not in str(tested) + examined.output


def test_a_source_that_needs_a_secret_and_has_none_is_refused(terminal: Terminal) -> None:
    terminal.write("plugins.toml", "[sources.erp]\nadapter = 'standard'\n")
    faults = terminal.json("config", "check", code=1)["errors"]
    assert [fault["path"] for fault in faults] == ["plugins.toml, sources.erp.secrets"]
    assert "needs a secret" in faults[0]["message"]


def test_a_broken_plugin_is_listed_and_the_rest_works(terminal: Terminal) -> None:
    terminal.write("own_plugins/cli_broken/plugin.py", "raise RuntimeError('boom')")
    items = terminal.json("plugins", "list")["items"]
    broken = [item for item in items if item["plugin"] == "cli_broken"]
    assert "plugin.toml is missing" in broken[0]["problem"]
    assert "cli_broken" in terminal.ok("plugins", "list")


def test_plugin_commands_are_run_with_a_desk_and_broken_ones_say_why(terminal: Terminal) -> None:
    terminal.write(
        "own_plugins/cli_sizer/cli.py",
        """
        import click
        from core.api import NotFound, current_desk, hookimpl

        @click.group("cli-sizer", help="Sizes.")
        def group(): ...

        @group.command()
        @click.argument("unit")
        def line(unit):
            setting = current_desk().settings.get((unit, "cli_sizer"))
            if setting is None:
                raise NotFound(f"no unit {unit}")
            click.echo(setting.config.large_from)

        @hookimpl
        def register_commands():
            return group
        """,
    )
    assert "cli-sizer" in terminal.ok("--help")
    assert terminal.ok("cli-sizer", "line", "new_energy") == "500\n"
    result = terminal.run("cli-sizer", "line", "nowhere")
    assert (result.exit_code, "(not_found)" in result.stderr) == (1, True)
    terminal.write("own_plugins/cli_sad/cli.py", "import no_such_module_here")
    terminal.write("own_plugins/cli_sad/plugin.py", "")
    (terminal.folder / "own_plugins/cli_sad/plugin.toml").write_text(
        (terminal.folder / "own_plugins/cli_sizer/plugin.toml").read_text().replace("cli_sizer", "cli_sad")
    )
    assert "Cannot be loaded" in terminal.ok("--help")
    result = terminal.run("cli-sad", "anything", "--at", "all")
    assert result.exit_code == 1
    assert 'needs the module "no_such_module_here"' in result.stderr


def test_a_terminal_is_not_moved_by_what_a_plugin_says(terminal: Terminal) -> None:
    path = terminal.folder / "own_plugins/cli_sizer/plugin.py"
    path.write_text(path.read_text() + "\nraise RuntimeError('\\x1b[2J gone')\n")
    assert "\x1b" not in terminal.run("plugins", "list").output


def test_the_data_commands_are_all_part_of_the_command_line() -> None:
    from core.cli.data import GROUPS
    from core.cli.main import COMMANDS

    assert {group.name for group in GROUPS} <= set(COMMANDS)


def test_folders_of_plugins_come_from_the_environment_and_from_the_file(terminal: Terminal) -> None:
    one, two = terminal.folder / "one", terminal.folder / "two"
    made = terminal.ok("plugins", "new", "cli-one", "--dir", str(one))
    assert f"set OUTRIGGER_PLUGIN_DIRS={one.resolve()}" in made
    assert "OUTRIGGER_PLUGIN_DIRS names further folders" in terminal.run("plugins", "check", "cli-one").output
    terminal.ok("plugins", "new", "cli-two", "--dir", str(two))
    terminal.write("plugins.toml", '[server]\nplugin_directories = ["two"]\n')
    elsewhere = dataclasses.replace(terminal, environ={**terminal.environ, "OUTRIGGER_PLUGIN_DIRS": str(one)})
    names = {item["plugin"] for item in elsewhere.json("plugins", "list")["items"]}
    assert {"cli_one", "cli_two", "cli_sizer"} <= names


@BOTH
def test_a_plugin_that_is_switched_on_before_its_tables_are_made_says_so(bare: Terminal) -> None:
    bare.ok("migrate")
    folder = write_plugin(bare.roots[0], "cli_sizer", owner="tests")
    bare.write(f"own_plugins/{folder.name}/migrations/versions/0001_sizes.py", MIGRATION)
    said = bare.ok("config", "apply")
    assert "Its tables are not made yet (cli_sizer:0001): run `outrigger migrate`" in said
    assert "(cli_sizer:0001): run" in bare.ok("plugins", "enable", "cli_sizer", "--reason", "we need sizes")
    bare.ok("migrate")
    assert "tables" not in bare.ok("plugins", "disable", "cli_sizer", "--reason", "no more")
    assert "tables" not in bare.ok("plugins", "enable", "cli_sizer", "--reason", "once more")


MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade():
    op.create_table("cli_sizer_sizes", sa.Column("id", sa.Integer, primary_key=True))
"""
