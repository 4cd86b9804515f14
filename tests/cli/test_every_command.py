"""Every command there is explains itself, and every one that only reads answers on a new installation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import wsgi
from core.cli.main import COMMANDS, build
from core.cli.session import Session

from .conftest import Terminal

READING: dict[str, tuple[str, ...]] = {
    "retention show": (),
    "migrate": ("--check",),
    "doctor": (),
    "plugins list": (),
    "plugins show": ("cli-sizer",),
    "plugins check": ("cli-sizer",),
    "config check": (),
    "config show": (),
    "config diff": (),
    "config export": (),
    "config history": (),
    "people list": (),
    "people absences": (),
    "calendar list": (),
    "calendar show": ("cn",),
    "calendar add": ("cn", "2026-09-30T09:00:00+08:00", "8 working hours"),
    "calendar between": ("cn", "2026-09-30T09:00:00+08:00", "2026-10-08T09:00:00+08:00"),
    "audit list": (),
    "audit show": ("1",),
    "audit verify": (),
    "audit head": (),
    "sources list": (),
    "sources test": ("erp",),
    "events list": (),
    "deliveries list": (),
    "outbox list": (),
    "decisions list": (),
    "leads list": (),
    "keys list": (),
}
"""Every command that only reads, with what makes it answer."""

LOOKING_UP: dict[str, tuple[str, ...]] = {
    "events show": ("evt_0",),
    "deliveries show": ("dlv_1",),
    "people show": ("nobody",),
    "people resolve": ("nobody",),
    "records show": ("lead", "L-0", "--source", "erp"),
}
"""Those that read one thing, which a new installation does not have."""

CHANGING = {
    "retention run",
    "plugins enable", "plugins disable", "plugins new", "config apply", "config rollback", "config set",
    "config unset", "people absent", "people present", "events send", "events import", "audit export",
    "events replay", "deliveries retry", "deliveries discard", "outbox retry", "outbox discard", "keys create",
    "keys revoke", "serve", "web", "worker",
}  # fmt: skip
"""Those that change something, go on running or print lines; they have tests of their own."""


def commands(group: click.Group, context: click.Context, before: str = "") -> Iterator[str]:
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None, name
        path = f"{before} {name}".strip()
        if isinstance(found, click.Group):
            yield from commands(found, click.Context(found, parent=context), path)
        else:
            yield path


def shipped() -> tuple[click.Group, list[str]]:
    assembly = wsgi.assembly()
    root = build(assembly)
    return root, list(commands(root, click.Context(root, obj=Session(assembly, {}))))


def test_every_command_is_known_to_these_tests() -> None:
    found = {path for path in shipped()[1] if path.split()[0] in COMMANDS}
    assert found == {*READING, *LOOKING_UP, *CHANGING}


def test_every_command_of_a_shipped_plugin_explains_itself() -> None:
    root, found = shipped()
    own = [path for path in found if path.split()[0] not in COMMANDS]
    assert own
    for path in own:
        result = CliRunner().invoke(root, [*path.split(), "--help"], prog_name="outrigger")
        assert result.output.startswith(f"Usage: outrigger {path}"), result.output


@pytest.mark.parametrize("path", sorted({*READING, *LOOKING_UP, *CHANGING}))
def test_every_command_explains_itself(terminal: Terminal, path: str) -> None:
    assert terminal.ok(*path.split(), "--help").startswith(f"Usage: outrigger {path}")


@pytest.mark.parametrize("path", sorted(READING))
def test_every_command_that_reads_answers_on_a_new_installation(terminal: Terminal, path: str) -> None:
    assert isinstance(terminal.json(*path.split(), *READING[path]), dict)
    terminal.ok(*path.split(), *READING[path])


@pytest.mark.parametrize("path", sorted(LOOKING_UP))
def test_what_is_not_there_is_a_letter(terminal: Terminal, path: str) -> None:
    told = terminal.json(*path.split(), *LOOKING_UP[path], code=1)
    assert told["code"] == "not_found"


def test_every_command_stands_in_the_readme() -> None:
    text = (Path(__file__).parents[2] / "core" / "cli" / "README.md").read_text(encoding="utf-8")
    assert [path for path in (*READING, *LOOKING_UP, *CHANGING) if f"`outrigger {path}`" not in text] == []
