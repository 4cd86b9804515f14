"""Documentation that cannot drift: what is there is documented, and what is documented is there and runs."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import core
import webhooks
from core.cli.main import COMMANDS
from core.host import hookspecs
from core.host.discovery import load_plugins
from core.host.loading import hook_names
from core.host.scaffold import write_plugin
from core.model.effects import EFFECTS
from core.model.errors import OutriggerError
from core.testing import filled
from core.testing.quality import check_plugin

PROJECT = Path(__file__).resolve().parents[2]
GUIDE = (PROJECT / "plugins" / "README.md").read_text(encoding="utf-8")
READMES = sorted(
    path
    for path in [PROJECT / "README.md", *PROJECT.glob("*/**/README.md")]
    if path.is_file() and not any(part.startswith(".") for part in path.relative_to(PROJECT).parts)
)
EVERY_README = "\n".join(path.read_text(encoding="utf-8") for path in READMES)
MODULES = sorted(
    path
    for folder in ("core", "plugins", "webhooks")
    for path in (PROJECT / folder).rglob("*.py")
    if path.stat().st_size
)
_BLOCK = re.compile(r"^```(\w+)[ ]*(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]*)(#[^)\s]*)?\)")
LONGEST = 400


@pytest.mark.parametrize("name", hook_names())
def test_every_hook_is_a_heading_with_its_exact_signature(name: str) -> None:
    arguments = ", ".join(inspect.signature(getattr(hookspecs, name)).parameters)
    assert re.search(rf"^#### {name}\({arguments}\)$", GUIDE, re.MULTILINE)
    assert inspect.getdoc(getattr(hookspecs, name))


def test_every_heading_that_looks_like_a_hook_is_one() -> None:
    assert set(re.findall(r"^#### (\w+)\(", GUIDE, re.MULTILINE)) == set(hook_names())


@pytest.mark.parametrize("name", EFFECTS)
def test_every_effect_is_documented_with_its_fields(name: str) -> None:
    fields = ", ".join(item.name for item in dataclasses.fields(EFFECTS[name]) if item.name != "key")
    assert f"`{EFFECTS[name].__name__}({fields})` | `{name}` |" in GUIDE


def _commands() -> Iterator[str]:
    for name, place in COMMANDS.items():
        module, _, attribute = place.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        if isinstance(command, click.Group):
            yield from (f"{name} {inner}" for inner in command.commands)
        else:
            yield name


@pytest.mark.parametrize("command", list(_commands()))
def test_every_command_stands_in_a_readme(command: str) -> None:
    assert f"`outrigger {command}`" in EVERY_README


@pytest.mark.parametrize("command", list(_commands()))
def test_every_command_takes_json_and_says_what_it_does(command: str) -> None:
    name, _, inner = command.partition(" ")
    module, _, attribute = COMMANDS[name].partition(":")
    found = getattr(importlib.import_module(module), attribute)
    found = found.commands[inner] if inner else found
    assert found.help
    options = {option for parameter in found.params for option in parameter.opts}
    assert "--json" in options or command in ("serve", "web", "worker")


def _error_codes() -> set[str]:
    for package in (core, webhooks):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if "migrations" not in found.name:
                importlib.import_module(found.name)
    classes, codes = [OutriggerError], set()
    while classes:
        cls = classes.pop()
        classes += cls.__subclasses__()
        if cls is not OutriggerError and cls.__module__.partition(".")[0] in ("core", "webhooks"):
            codes.add(cls.code)
    return codes


def test_every_error_code_stands_in_a_readme() -> None:
    assert [code for code in sorted(_error_codes()) if f"`{code}`" not in EVERY_README] == []


@pytest.mark.parametrize("path", READMES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target, anchor in _LINK.findall(text):
        if "://" in target or target.startswith("mailto:"):
            continue
        found = (path.parent / target).resolve() if target else path
        assert found.exists(), f"{path.name} links to {target}"
        if anchor and found.suffix == ".md":
            assert anchor[1:] in _anchors(found), f"{path.name} links to {target}{anchor}"


def _anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+\s+(.+?)\s*$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_python_of_the_author_guide_runs() -> None:
    namespace: dict[str, object] = {}
    ran = 0
    for language, name, text in _BLOCK.findall(GUIDE):
        if language == "python" and not name:
            exec(compile(text, f"plugins/README.md block {ran}", "exec"), namespace)
            ran += 1
    assert ran >= 4


def test_the_plugin_of_the_author_guide_works_as_it_stands(tmp_path: Path) -> None:
    """A developer follows the guide: `plugins new`, then the files of the larger example, then check and tests."""
    folder = write_plugin(tmp_path, "order_watch", owner="you@example.com")
    (folder / "tests" / "events" / "lead.created.json").unlink()
    (folder / "tests" / "events" / "lead.created.small.json").unlink()
    for _, name, text in _BLOCK.findall(GUIDE):
        if name:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    before, search = set(sys.modules), list(sys.path)
    try:
        report = check_plugin(load_plugins([tmp_path], with_entry_points=False)["order_watch"])
        assert [item for item in report.findings if item.tier == "bronze" and item.state == "todo"] == []
    finally:
        sys.path[:] = search
        for module in set(sys.modules) - before:
            if module.partition(".")[0] == "order_watch":
                del sys.modules[module]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", "order_watch"]
    environ = {"PYTHONPATH": f"{tmp_path}:{PROJECT}", "PATH": "/usr/bin:/bin"}
    ran = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=100)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "11 passed" in ran.stdout
    hot = {"company": "华星电子", "grade": "A", "since": "2026-11-24T01:00:00Z"}
    assert "since Tue 24 Nov 2026 09:00" in filled(tmp_path, "hot_lead", hot, language="en", link=True)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_every_module_says_in_one_sentence_what_it_is_for(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if "tests" not in path.parts:
        docstring = ast.get_docstring(ast.parse(text)) or ""
        assert docstring.partition("\n")[0].rstrip().endswith((".", ":")), "the first line is a sentence"
    assert text.count("\n") <= LONGEST, f"longer than {LONGEST} lines; split it"
