"""Reads `OUTRIGGER_*` environment variables: where things are, and overrides of single keys of plugins.toml.

`OUTRIGGER_DATABASE_URL`, `OUTRIGGER_CONFIG`, `OUTRIGGER_PUBLIC_URL`, `OUTRIGGER_PROXY_HOPS`, `OUTRIGGER_PLUGIN_DIRS`,
`OUTRIGGER_BROKER_URL` and `OUTRIGGER_BROKER_QUEUE` say where things are; `OUTRIGGER_SECTION__KEY` overrides a key. Each
may end in `_FILE` and then names a file that holds the value.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from core.model.errors import ConfigurationRefused, did_you_mean

PREFIX = "OUTRIGGER_"
SECTIONS = (
    "server", "dispatch", "retention", "calendars", "roles", "people", "channels", "sources", "units", "endpoints",
    "plugins",
)  # fmt: skip
KEYS_OF_FILES = ("__CA_FILE",)
"""Ends of variables that override a key whose own name ends so; a `_FILE` twin of one has it once more."""

MOST_HOPS = 8
DEFAULT_DATABASE_URL = "sqlite:///var/outrigger.sqlite3"


@dataclass(frozen=True, slots=True)
class Environment:
    """Where the database, the configuration file and further plugins are, and the URL under which CRMs reach us."""

    database_url: str = DEFAULT_DATABASE_URL
    config_path: Path = Path("plugins.toml")
    public_url: str = "http://127.0.0.1:8080"
    plugin_directories: tuple[Path, ...] = ()
    broker_url: str | None = None  # of a fleet's Celery; without one the workers look into the database
    broker_queue: str = "outrigger"  # one for each installation, where several share a broker
    proxy_hops: int = 0  # proxies in front of the server; the last so many entries of X-Forwarded-For are believed


def read_environment(environ: Mapping[str, str] | None = None) -> Environment:
    """Read the `OUTRIGGER_*` variables.

    Raises ConfigurationRefused when a variable and its `_FILE` twin are set, or the number of proxies is none.
    """
    environ = os.environ if environ is None else environ
    directories = _value(environ, "OUTRIGGER_PLUGIN_DIRS") or ""
    return Environment(
        database_url=_value(environ, "OUTRIGGER_DATABASE_URL") or DEFAULT_DATABASE_URL,
        config_path=Path(_value(environ, "OUTRIGGER_CONFIG") or "plugins.toml"),
        public_url=(_value(environ, "OUTRIGGER_PUBLIC_URL") or "http://127.0.0.1:8080").rstrip("/"),
        plugin_directories=tuple(Path(part) for part in directories.split(os.pathsep) if part),
        broker_url=_value(environ, "OUTRIGGER_BROKER_URL") or None,
        broker_queue=_value(environ, "OUTRIGGER_BROKER_QUEUE") or "outrigger",
        proxy_hops=_hops(_value(environ, "OUTRIGGER_PROXY_HOPS") or "0"),
    )


def _hops(text: str) -> int:
    if not text.isdecimal() or int(text) > MOST_HOPS:
        raise ConfigurationRefused(
            f'OUTRIGGER_PROXY_HOPS is "{text}": it says how many proxies stand before this server, 0 to {MOST_HOPS}.'
        )
    return int(text)


def make_database_folder(url: str) -> None:
    """Make the folder of an SQLite database, so that a first start needs no preparation."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        return  # the database itself says what is wrong with the URL
    if parsed.get_backend_name() == "sqlite" and parsed.database and parsed.database != ":memory:":
        try:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationRefused(
                f"The folder of the database {parsed.database} cannot be made: {error.strerror}."
            ) from None


def _value(environ: Mapping[str, str], name: str) -> str | None:
    file = environ.get(f"{name}_FILE")
    if file is None:
        return environ.get(name)
    if name in environ:
        raise ConfigurationRefused(f"Both {name} and {name}_FILE are set; keep one of them.")
    try:
        return Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationRefused(f"{name}_FILE names {file}, which cannot be read: {error}") from None


def overrides(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the overrides of plugins.toml: variable name -> value, for `OUTRIGGER_SECTION__KEY` variables.

    A value that reads as TOML (a number, true, a list, a quoted text) is taken as that, anything else as text.
    Raises ConfigurationRefused for a section that does not exist.
    """
    environ = os.environ if environ is None else environ
    found: dict[str, Any] = {}
    for name in sorted(environ):
        if not name.startswith(PREFIX) or "__" not in name:
            continue
        plain_name = name if name.endswith(KEYS_OF_FILES) else name.removesuffix("_FILE")
        section = path_of(plain_name)[0]
        if section not in SECTIONS:
            raise ConfigurationRefused(
                f"The environment variable {name} overrides nothing: plugins.toml has no section"
                f' "{section}".{did_you_mean(section, SECTIONS)}'
            )
        value = _value(environ, plain_name)
        found[plain_name] = toml_value(value or "")
    return found


def path_of(variable: str) -> tuple[str, ...]:
    """Return the keys a variable overrides: OUTRIGGER_DISPATCH__MAX_ATTEMPTS is (dispatch, max_attempts)."""
    return tuple(part.lower() for part in variable.removeprefix(PREFIX).split("__"))


def toml_value(text: str) -> Any:
    """Return what a text says as TOML (a number, true, a list, a quoted text), or else the text itself."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if set(parsed) == {"value"} else text
