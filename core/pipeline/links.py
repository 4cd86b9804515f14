"""Signed links to plugins' pages: made for one person and one matter, opened any number of times, used once.

A token is 16 bytes that nobody can guess and 16 bytes of HMAC-SHA256 over them, the plugin and the page, in base64url.
The first half is an HMAC too, of the message's id: so it is as good as random to whoever lacks the key, the sender can
make it again on every attempt, and it is stored nowhere. The database holds its SHA-256 alone; a message in the outbox
holds a stand-in where the token goes. The key comes from OUTRIGGER_SECRET_KEY, or is made once and kept in
`server_keys`; then whoever reads the whole database can make links, which the variable prevents.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.host.environment import read_environment
from core.host.secrets import resolve_secret
from core.model.effects import Link
from core.model.errors import ConfigurationRefused, EffectRefused, LinkExpired, LinkUsed, NotFound
from core.model.instants import format_instant
from core.model.schemas import canonical
from core.pipeline.commands import Command, current_desk
from core.store.bulk import insert_rows
from core.store.tables import links, server_keys

LONGEST_VALID = timedelta(hours=72)
STAND_IN_CHARS = 43
"""As long as a token, so that a message keeps its length when the token takes the stand-in's place."""

_VARIABLE = "OUTRIGGER_SECRET_KEY"
_SHORTEST_KEY = 32
_KEY_NAME = "links"
_HALF = 16
_PAGE = re.compile(r"^[a-z0-9][a-z0-9_-]{0,62}$")
_TOKEN = re.compile(r"^[A-Za-z0-9_-]{43}$")
_UNKNOWN = "This link is not known here. Check that it was copied whole, or ask for a new one."


@dataclass(frozen=True, slots=True)
class LinkClaims:
    """What a link says, as it was signed: who may use it, what it is about, and until when."""

    plugin: str
    page: str
    subject: Mapping[str, Any]
    person: str  # slug in the directory
    unit: str
    event_id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Made:
    """A link as it was made: its row, its address with the stand-in, and the stand-in."""

    row: Mapping[str, Any]
    url: str

    @property
    def id(self) -> str:
        """The token's SHA-256, by which the link is stored."""
        return str(self.row["id"])


def make_link(
    connection: Connection, link: Link, *, message_id: str, plugin: str, person: str, unit: str, event_id: str,
    now: datetime,
) -> Made:  # fmt: skip
    """Make the link of a message for a person. Raises EffectRefused for a page or a time that cannot be."""
    if not _PAGE.match(link.page):
        raise EffectRefused(
            f'A link\'s page is named in lower-case letters, digits, `-` and `_`, not "{link.page[:80]}".'
        )
    if not timedelta(0) < link.valid_for <= LONGEST_VALID:
        raise EffectRefused(f"A link is valid for more than no time and at most {LONGEST_VALID}, not {link.valid_for}.")
    token = _token(_key(connection, now), message_id, plugin, link.page)
    row = {
        "id": _stored_as(token),
        "plugin": plugin,
        "page": link.page,
        "subject": canonical(link.subject),
        "person": person,
        "unit": unit,
        "event_id": event_id,
        "created_at": now,
        "expires_at": now + link.valid_for,
        "used_at": None,
    }
    return Made(row, address(plugin, link.page, stand_in(row["id"])))


def address(plugin: str, page: str, last: str) -> str:
    """Return the address of a page under the public URL."""
    return f"{read_environment().public_url}/pages/{plugin.replace('_', '-')}/{page}/{last}"


def stand_in(link_id: str) -> str:
    """Return what stands for the token in a stored message; useless to whoever reads it, and guessed by nobody."""
    return link_id[:STAND_IN_CHARS]


def token_of(connection: Connection, link_id: str, message_id: str, now: datetime) -> str:
    """Make the token of a stored message again.

    Raises LinkExpired when the link is over, or the key is another by now; LinkUsed when it was used meanwhile.
    """
    row = connection.execute(sa.select(links).where(links.c.id == link_id)).one_or_none()
    if row is None:
        raise LinkExpired("its link is gone")
    if row.used_at is not None:
        raise LinkUsed("its link was used already")
    if row.expires_at <= now:
        raise LinkExpired(f"its link expired at {format_instant(row.expires_at)}")
    key = _known_key(connection)
    token = _token(key, message_id, row.plugin, row.page) if key is not None else ""
    if _stored_as(token) != link_id:
        raise LinkExpired("its link was signed with another key than the server has now")
    return token


def open_link(token: str, *, plugin: str, page: str) -> LinkClaims:
    """Return what a link says; looking changes nothing.

    Raises NotFound for one that was never made, or was made for another page; LinkExpired and LinkUsed.
    """
    desk = current_desk()
    with desk.read() as session:
        connection = session.connection()
        key = _known_key(connection)
        if key is None or not _is_genuine(key, token, plugin, page):
            raise NotFound(_UNKNOWN)
        row = connection.execute(sa.select(links).where(links.c.id == _stored_as(token))).one_or_none()
    if row is None or (row.plugin, row.page) != (plugin, page):
        raise NotFound(_UNKNOWN)
    _check_open(row, desk.now())
    return _claims(row)


def use_link(command: Command, token: str) -> LinkClaims:
    """Use a link up, in the command's transaction: of several at once one wins, when that one is committed.

    Raises LinkUsed for the others, LinkExpired for one that is over, NotFound for one that this plugin never made.
    """
    mine = links.c.id == _stored_as(token), links.c.plugin == command.plugin
    connection = command.session.connection()
    taken = connection.execute(
        sa.update(links)
        .where(*mine, links.c.used_at.is_(None), links.c.expires_at > command.now)
        .values(used_at=command.now)
    )
    row = connection.execute(sa.select(links).where(*mine)).one_or_none()
    if row is None:
        raise NotFound(_UNKNOWN)
    if taken.rowcount != 1:
        _check_open(row, command.now)
    return _claims(row)


def _check_open(row: Any, now: datetime) -> None:
    if row.used_at is not None:
        raise LinkUsed
    if row.expires_at <= now:
        raise LinkExpired


def _claims(row: Any) -> LinkClaims:
    return LinkClaims(row.plugin, row.page, row.subject, row.person, row.unit, row.event_id, row.expires_at)


# ---------------------------------------------------------------------------------------------------- key and tokens


def _known_key(connection: Connection) -> bytes | None:
    """Return the key that signs: the configured one, else the one this server made, else None."""
    if _VARIABLE in os.environ or f"{_VARIABLE}_FILE" in os.environ:
        key = resolve_secret(f"env:{_VARIABLE}")
        if len(key) < _SHORTEST_KEY:
            raise ConfigurationRefused(
                f"{_VARIABLE} is shorter than {_SHORTEST_KEY} characters, so links could be guessed; take a random one,"
                " such as `openssl rand -hex 32` prints."
            )
        return key
    kept = sa.select(server_keys.c.value).where(server_keys.c.name == _KEY_NAME)
    value = connection.execute(kept).scalar_one_or_none()
    return None if value is None else base64.b64decode(value)


def _key(connection: Connection, now: datetime) -> bytes:
    """Return the key that signs, inside a write transaction; the first time one is made.

    It is not remembered by the process: a transaction that is undone takes a key that it made with it.
    """
    key = _known_key(connection)
    if key is None:
        made = {"name": _KEY_NAME, "value": base64.b64encode(secrets.token_bytes(32)).decode(), "created_at": now}
        insert_rows(connection, server_keys, [made], on_conflict="ON CONFLICT (name) DO NOTHING")
        key = _known_key(connection)
        assert key is not None
    return key


def _token(key: bytes, message_id: str, plugin: str, page: str) -> str:
    unguessable = _mac(key, "token", message_id)
    token = unguessable + _mac(key, "link", unguessable.hex(), plugin, page)
    return base64.urlsafe_b64encode(token).rstrip(b"=").decode()


def _is_genuine(key: bytes, token: str, plugin: str, page: str) -> bool:
    """Whether this server signed the token for this page; told in constant time and before anything is looked up."""
    if not _TOKEN.match(token):
        return False
    try:
        raw = base64.b64decode(token + "=", altchars=b"-_", validate=True)
    except binascii.Error:
        return False
    # The last character holds two bits that are not part of the token: only one spelling of it is the token.
    is_canonical = base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == token
    return hmac.compare_digest(raw[_HALF:], _mac(key, "link", raw[:_HALF].hex(), plugin, page)) and is_canonical


def _mac(key: bytes, *parts: str) -> bytes:
    return hmac.new(key, "\x1f".join(parts).encode(), hashlib.sha256).digest()[:_HALF]


def _stored_as(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
