"""Changes the configuration as a request asks: its body becomes keys and values, `If-Match` the version looked at."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import flask
from flask import Response
from werkzeug.http import parse_etags

from core.model.errors import ConfigurationConflict
from core.web.auth import actor
from core.web.services import changer

Path = tuple[str, ...]


def make_change(section: Path, body: Mapping[str, Any], match: Mapping[str, Any]) -> None:
    """Change a plugin's section: `enabled` and single settings, null removing one. Raises like `change`."""
    changes = {(*section, "config", *keys): value for keys, value in _leaves(body.get("config", {}))}
    if "enabled" in body:
        changes[(*section, "enabled")] = body["enabled"]
    changer()(changes=changes, reason=body["reason"], actor=actor(), expected=expected_version(match))


def _leaves(table: Mapping[str, Any], before: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield what is set, key by key: a table is laid over what is there, as RFC 7396 merges."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*before, key))
        else:
            yield (*before, key), _toml(value)


def _toml(value: Any) -> Any:
    if isinstance(value, list):
        return [_toml(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _toml(item) for key, item in value.items()}
    return float(value) if isinstance(value, Decimal) else value


def expected_version(match: Mapping[str, Any]) -> int | None:
    """Return the configuration version that `If-Match` names; None for none or `*`. Raises ConfigurationConflict."""
    tags = parse_etags(match.get("expected"))
    if tags.star_tag or "expected" not in match:
        return None
    named = {tag.partition("-")[0] for tag in tags.as_set(include_weak=True)}
    number = named.pop() if len(named) == 1 else ""
    if not number.isascii() or not number.isdigit() or len(number) > 9:
        raise ConfigurationConflict("`If-Match` names no configuration version; send the ETag of what you read.")
    return int(number)


def tag_version(number: int) -> None:
    """Give this answer an ETag that names the configuration version it shows."""

    @flask.after_this_request
    def tag(response: Response) -> Response:
        response.set_etag(f"{number}-{hashlib.sha256(response.get_data()).hexdigest()[:16]}")
        return response
