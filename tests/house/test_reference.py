"""The reference of plugins.toml, of variables and of the API cannot drift: schemas and code are read and compared."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import marshmallow as ma
import pytest

import wsgi
from core.host.calendar_sections import CalendarSchema
from core.host.channel_sections import SCHEMAS, ChannelSchema
from core.host.configuration import Surroundings, build, resolve
from core.host.discovery import load_plugins
from core.host.environment import SECTIONS
from core.host.people_schema import AbsenceSchema, GrantSchema, PersonSchema, RoleSchema
from core.host.sections import DispatchSchema, EndpointSchema, RetentionSchema, ServerSchema, SourceSchema
from core.host.unit_schema import UnitSchema
from core.store.database import Database
from core.store.migrate import migrate
from tests.web.world import World

PROJECT = Path(__file__).resolve().parents[2]
REFERENCE = (PROJECT / "core" / "host" / "README.md").read_text(encoding="utf-8")
PLUGINS = load_plugins([PROJECT / "plugins"], with_entry_points=False)
CODE = "\n".join(
    path.read_text(encoding="utf-8")
    for folder in ("core", "webhooks", "plugins")
    for path in (PROJECT / folder).rglob("*.py")
    if "tests" not in path.parts
)

_ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| (.*?) \| (.+) \|$", re.MULTILINE)
_CHAPTER = re.compile(r"^## (\w+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_TOML = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CHAPTERS = dict(_CHAPTER.findall(REFERENCE))

Keys = dict[str, ma.fields.Field[Any]]


def keys_of(*schemas: type[ma.Schema]) -> Keys:
    return {name: field for schema in schemas for name, field in schema().fields.items()}


KEYS: dict[str, list[Keys]] = {
    "server": [keys_of(ServerSchema)],
    "dispatch": [keys_of(DispatchSchema)],
    "retention": [keys_of(RetentionSchema)],
    "sources": [keys_of(SourceSchema)],
    "units": [{**keys_of(UnitSchema), "plugins": ma.fields.Dict(load_default=dict)}],
    "calendars": [keys_of(CalendarSchema)],
    "roles": [keys_of(RoleSchema)],
    "people": [keys_of(PersonSchema), keys_of(GrantSchema), keys_of(AbsenceSchema)],
    "channels": [
        keys_of(ChannelSchema),
        *({name: field for name, field in keys_of(schema).items() if name not in keys_of(ChannelSchema)}
          for schema in SCHEMAS.values()),
    ],
    "endpoints": [keys_of(EndpointSchema)],
    "plugins": [{"enabled": ma.fields.Boolean(), "config": ma.fields.Dict(load_default=dict)}],
}  # fmt: skip
"""Each section's tables of keys, in the order in which its chapter has them."""


def tables(section: str) -> list[list[tuple[str, str]]]:
    """Return the tables of a chapter, each as its keys and their defaults in words."""
    parts = CHAPTERS[section].split("| Key | Type | Default | Meaning |")[1:]
    return [[(key, default) for key, _, default, _ in _ROW.findall(part.partition("\n\n")[0])] for part in parts]


def test_every_section_has_its_chapter() -> None:
    assert set(KEYS) == set(SECTIONS)
    assert [name for name in SECTIONS if name not in CHAPTERS] == []


@pytest.mark.parametrize("section", SECTIONS)
def test_the_tables_of_a_section_have_exactly_its_keys(section: str) -> None:
    assert [sorted(key for key, _ in table) for table in tables(section)] == [sorted(keys) for keys in KEYS[section]]


@pytest.mark.parametrize("section", SECTIONS)
def test_defaults_and_required_keys_are_told_as_they_are(section: str) -> None:
    for table, keys in zip(tables(section), KEYS[section], strict=True):
        for key, told in table:
            field = keys[key]
            assert (told == "required") is field.required, key
            default = field.load_default() if callable(field.load_default) else field.load_default
            if told.startswith("`"):
                wanted = {"true": True, "false": False}.get(told.strip("`"), told.strip("`"))
                shown = f'"{default}"' if isinstance(default, str) else str(default)
                # What stands in the code beside the schema: the adapters' rule, the calendar of a unit, a zone.
                assert default in (None, ma.missing) or wanted in (default, shown), (key, told, default)
            elif not field.required:
                assert default in (None, ma.missing), f"{key} is {default!r} when left out; the table says {told}"


@pytest.mark.parametrize("section", SECTIONS)
def test_the_example_of_a_section_can_be_applied(section: str) -> None:
    (example,) = _TOML.findall(CHAPTERS[section])
    around = Surroundings(PLUGINS, wsgi.assembly().check_source, folder=PROJECT)
    _, faults = build(1, resolve(example, around), PLUGINS)
    assert faults == {}
    assert f"[{section}" in example


def test_every_variable_stands_in_the_reference() -> None:
    known = set(re.findall(r"^\| `(OUTRIGGER_\w+)`", REFERENCE, re.MULTILINE))
    read = set(re.findall(r'"(OUTRIGGER_[A-Z]\w*?)(?:_FILE)?"', CODE)) | set(re.findall(r"`(OUTRIGGER_[A-Z_]+)`", CODE))
    assert "OUTRIGGER_DATABASE_URL" in read
    assert read == known


def test_every_route_says_in_the_description_what_it_does(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/outrigger.sqlite3")
    migrate(database, [])
    world = World(database)
    world.version()
    spec = world.app().test_client().get("/openapi.json").get_json()
    operations = {
        f"{method} {path}": operation
        for path, methods in spec["paths"].items()
        for method, operation in methods.items()
        if method != "parameters"
    }
    assert len(operations) > 30
    assert [name for name, operation in operations.items() if not operation.get("summary", "").strip()] == []
    database.close()
