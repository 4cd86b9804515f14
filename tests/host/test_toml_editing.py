"""Editing TOML: what is meant is what is read again, nothing else changes, and comments and order stay."""

from __future__ import annotations

import copy
import datetime as dt
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from hypothesis import HealthCheck, given, settings, strategies

from core.host.toml_document import dotted, drop, keys, put, same, value_at, write_text
from core.host.toml_editing import edit
from core.model.errors import ConfigurationRefused

KEYS = strategies.sampled_from(["a", "b", "grades", "x-y", "a.b", "新能源", "with space", 'quo"te'])
SCALARS = strategies.one_of(
    strategies.booleans(),
    strategies.integers(-(2**60), 2**60),
    strategies.floats(allow_nan=False, allow_infinity=False, width=32),
    strategies.text(strategies.characters(codec="utf-8", exclude_characters="\x00"), max_size=8),
    strategies.dates(dt.date(1990, 1, 1), dt.date(2090, 1, 1)),
)
LISTS = strategies.lists(SCALARS, max_size=3)
FLAT = strategies.dictionaries(KEYS, SCALARS | LISTS, max_size=3)
VALUES = strategies.one_of(SCALARS, LISTS, strategies.lists(FLAT, max_size=3))
TABLES = strategies.recursive(
    strategies.dictionaries(KEYS, VALUES, max_size=3),
    lambda inner: strategies.dictionaries(KEYS, VALUES | inner, max_size=3),
    max_leaves=6,
)


class Writer:
    """Writes a table as TOML in styles that `draw` chooses: headers, dotted keys, inline tables, arrays of tables."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.lines: list[str] = []
        self.comments = 0

    def note(self) -> str:
        self.comments += 1
        return f"# note {self.comments}."

    def choose(self, *choices: str) -> str:
        return str(self.draw(strategies.sampled_from(choices)))

    def own_line(self) -> None:
        if self.draw(strategies.booleans()):
            self.lines.append(self.choose("", "  ") + self.note())
        if self.draw(strategies.booleans()):
            self.lines.append("")

    def table(self, path: tuple[str, ...], table: dict[str, Any]) -> None:
        later = []
        for key, value in table.items():
            self.own_line()
            if isinstance(value, dict):
                style = self.choose("header", "header", "dotted", "inline")
                if style == "header" or (style == "dotted" and not flat(value)):
                    later.append((key, value))
                elif style == "inline":
                    self.key((key,), value)
                else:
                    for inner, leaf in value.items():
                        self.key((key, inner), leaf)
            elif is_tables(value) and self.choose("array", "inline") == "array":
                later.append((key, value))
            else:
                self.key((key,), value)
        for key, value in later:
            self.own_line()
            header = written((*path, key))
            if isinstance(value, list):
                for member in value:
                    self.lines.append(f"[[{header}]]")
                    self.table((*path, key), member)
            else:
                self.lines.append(f"[{header}]" + self.choose("", f"  {self.note()}"))
                self.table((*path, key), value)

    def key(self, path: tuple[str, ...], value: Any) -> None:
        trailing = self.choose("", f"   {self.note()}")
        self.lines.append(f"{written(path)} = {inline(value)}{trailing}")


def flat(table: dict[str, Any]) -> bool:
    return bool(table) and not any(isinstance(value, dict) or is_tables(value) for value in table.values())


def is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(member, dict) for member in value)


def written(path: tuple[str, ...]) -> str:
    return ".".join(tomlkit.key(key).as_string() for key in path)


def inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{written((key,))} = {inline(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(inline(member) for member in value) + "]"
    return tomlkit.item(value).as_string()


@strategies.composite
def documents(draw: Any) -> tuple[str, dict[str, Any]]:
    """Return a TOML text of many styles and what it says."""
    table = draw(TABLES)
    writer = Writer(draw)
    writer.table((), table)
    text = "\n".join(writer.lines) + draw(strategies.sampled_from(["", "\n", "\n\n"]))
    return text, tomllib.loads(text)


def paths_of(table: dict[str, Any], before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for key, value in table.items():
        found.append((*before, key))
        if isinstance(value, dict):
            found += paths_of(value, (*before, key))
    return found


def comments(text: str) -> set[str]:
    return {line[line.rindex("# note ") :] for line in text.splitlines() if "# note " in line}


def pruned(document: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    document = copy.deepcopy(document)
    for depth in range(len(path) - 1, 0, -1):
        if value_at(document, path[:depth]) == {}:
            drop(document, path[:depth])
    return document


@given(documents(), strategies.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_a_key_that_is_removed_is_gone_and_nothing_else_changes(made: tuple[str, dict[str, Any]], data: Any) -> None:
    text, document = made
    known = paths_of(document)
    if not known:
        return
    path = data.draw(strategies.sampled_from(known))
    leaf = not isinstance(value_at(document, path), (dict, list))
    drop(document, path)
    edited = edit(text, {path: None}, "plugins.toml")
    assert same(pruned(tomllib.loads(edited), path), pruned(document, path))
    if leaf:
        # What may go with the key is the comment in its own line.
        assert len(comments(text) - comments(edited)) <= 1


@given(documents(), VALUES | FLAT, strategies.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_a_key_that_is_set_says_so_and_nothing_else_changes(
    made: tuple[str, dict[str, Any]], value: Any, data: Any
) -> None:
    text, document = made
    known = paths_of(document)
    path = data.draw(strategies.sampled_from([*known, ()])) + tuple(data.draw(strategies.lists(KEYS, max_size=2)))
    if not path:
        return
    expected = copy.deepcopy(document)
    try:
        put(expected, path, value)
    except ConfigurationRefused:
        with pytest.raises(ConfigurationRefused, match="is no table"):
            edit(text, {path: value}, "plugins.toml")
        return
    edited = edit(text, {path: value}, "plugins.toml")
    assert same(tomllib.loads(edited), expected)
    if not isinstance(value_at(document, path), (dict, list)):
        assert comments(text) <= comments(edited)


@given(strategies.lists(KEYS | strategies.text(strategies.characters(codec="utf-8"), min_size=1), min_size=1))
def test_a_path_that_is_written_for_people_is_read_again(path: list[str]) -> None:
    assert keys(dotted(path)) == tuple(path)


@pytest.mark.parametrize("text", ["", "a..b", ".a", "a b", 'a."b', "a = 1\nb"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationRefused, match="no path of keys"):
        keys(text)


LARGE = "".join(
    f'# unit {unit}\n[units.u{unit}]  # 事业部\ntitle = "{unit}"\n\n'
    + "".join(f"[units.u{unit}.plugins.p{plugin}]\nenabled = true  # since 2026\n\n" for plugin in range(10))
    for unit in range(60)
)


@pytest.mark.parametrize("value", [False, None])
def test_a_large_text_is_changed_section_by_section_and_never_read_by_the_slow_library_as_a_whole(
    value: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = 0
    parse = tomlkit.parse

    def watched(text: str) -> Any:
        nonlocal longest
        longest = max(longest, len(text))
        return parse(text)

    monkeypatch.setattr(tomlkit, "parse", watched)
    changes: dict[tuple[str, ...], Any] = {
        ("units", f"u{unit}", "plugins", "p3", "enabled"): value for unit in range(60)
    }
    changes["plugins", "p3", "enabled"] = False
    edited = edit(LARGE, changes, "plugins.toml")
    before, after = set(LARGE.splitlines()), set(edited.splitlines())
    assert after - before == {"[plugins.p3]", "enabled = false"} | (
        {"enabled = false  # since 2026"} if value is False else set()
    )
    assert before <= after and edited.count("enabled = true  # since 2026") == 540
    assert longest < 200


@pytest.mark.parametrize(
    "text",
    [
        'note = """\n[plugins.x]\nenabled = true\n"""\n[plugins.x]\nenabled = true\n',
        "[plugins.x]\nlist = [\n[1],\n[2]\n]\nenabled = true\n",
        "[[plugins.y]]\n[plugins.y.x]\nenabled = true\n[plugins.x]\nenabled = true\n",
        '[plugins."x"]\r\nenabled = true\r\n',
        "plugins.x.enabled = true\n",
        "[plugins]\nx = { enabled = true }\n",
    ],
)
def test_what_only_looks_like_a_header_leads_nobody_astray(text: str) -> None:
    wanted = tomllib.loads(text)
    wanted["plugins"]["x"]["enabled"] = False
    assert same(tomllib.loads(edit(text, {("plugins", "x", "enabled"): False}, "plugins.toml")), wanted)


def test_a_file_that_is_changed_keeps_its_mode_and_a_link_stays_one(tmp_path: Path) -> None:
    file, link = tmp_path / "reviewed.toml", tmp_path / "plugins.toml"
    file.write_text("a = 1\n", encoding="utf-8")
    file.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(file, 1234, 2345)
    owner = (file.stat().st_uid, file.stat().st_gid)
    link.symlink_to(file.name)
    write_text(link, "a = 2\n")
    assert link.is_symlink() and file.read_text(encoding="utf-8") == "a = 2\n"
    assert (file.stat().st_uid, file.stat().st_gid, file.stat().st_mode & 0o777) == (*owner, 0o640)


@strategies.composite
def files_of_people(draw: Any) -> list[tuple[str, list[str], list[str]]]:
    """Sections as people write them: a header, its keys, and the blank lines and comments above the next header."""
    sections = []
    for number in range(draw(strategies.integers(1, 4))):
        keys = [f"k{index} = {index}" for index in range(draw(strategies.integers(0, 3)))]
        above = draw(strategies.lists(strategies.sampled_from(["", "# ---- what comes next", "# 下一节"]), max_size=4))
        sections.append((f"[units.u{number}]", keys, above))
    return sections


def lines_of(sections: list[tuple[str, list[str], list[str]]]) -> list[str]:
    return ["# The company's file.", "", *(line for head, keys, above in sections for line in (head, *keys, *above))]


@given(files_of_people(), strategies.data())
@settings(max_examples=200)
def test_a_switch_changes_one_line_and_every_blank_line_and_comment_stays_in_its_place(
    sections: list[tuple[str, list[str], list[str]]], data: Any
) -> None:
    text = "\n".join(lines_of(sections)) + "\n"
    chosen = data.draw(strategies.integers(0, len(sections) - 1))
    _, keys, above = sections[chosen]
    what = data.draw(strategies.sampled_from(["add", "replace", "remove"] if keys else ["add"]))
    place = data.draw(strategies.integers(0, len(keys) - 1)) if what != "add" else len(keys)
    edited = edit(text, {("units", f"u{chosen}", f"k{place}"): None if what == "remove" else 99}, "plugins.toml")
    if what == "add":
        own = next((number for number, line in enumerate(above) if not line), 0)  # comments that a blank line ends
        allowed = [[*keys, *above[:count], f"k{place} = 99", *above[count:]] for count in {0, own}]
    elif what == "replace":
        allowed = [[*keys[:place], f"k{place} = 99", *keys[place + 1 :], *above]]
    else:
        allowed = [[*keys[:place], *keys[place + 1 :], *above]]
    wanted = []
    for inner in allowed:
        changed = [*sections]
        changed[chosen] = (sections[chosen][0], inner, [])
        wanted.append("\n".join(lines_of(changed)) + "\n")
    assert edited in wanted
