"""API keys: made once and shown once, kept as a hash, found by that hash."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import InvalidRequest, NotFound
from core.store import audit
from core.store.database import Database
from core.store.tables import api_keys
from core.time.clock import Clock
from core.web.auth import Caller, known_role

PREFIX = "ok_"
ALL_UNITS = "*"
_TOKEN = re.compile(r"^ok_[A-Za-z0-9_-]{43}$", re.ASCII)
_SHOWN = ("id", "name", "role", "units", "created_at", "created_by", "revoked_at")


@dataclass(frozen=True, slots=True)
class ApiKeys:
    """Makes, lists, revokes and recognises API keys."""

    database: Database
    clock: Clock

    def create(
        self, name: str, *, role: str, units: Sequence[str] = (ALL_UNITS,), created_by: str
    ) -> tuple[str, dict[str, Any]]:
        """Make a key; return its token, which is not kept and cannot be shown again, and what lists show of it."""
        known_role(role)
        if not 1 <= len(name) <= 100 or not name.isprintable():
            raise InvalidRequest("A key's name has 1 to 100 printable characters; it stands in every trail.")
        chosen = sorted(set(units))
        if not chosen or (ALL_UNITS in chosen and len(chosen) > 1):
            raise InvalidRequest('A key is for named units, or for all of them with "*".')
        token = PREFIX + secrets.token_urlsafe(32)
        row = {
            "id": "key_" + secrets.token_hex(6),
            "name": name,
            "hash": _digest(token),
            "role": role,
            "units": chosen,
            "created_at": self.clock.now(),
            "created_by": created_by,
            "revoked_at": None,
        }
        with self.database.write() as connection:
            connection.execute(sa.insert(api_keys).values(**row))
            self._record(connection, "key.created", row, created_by)
        return token, {name: row[name] for name in _SHOWN}

    def list(self) -> list[dict[str, Any]]:
        """Return every key, the newest first, without anything by which it could be used."""
        statement = sa.select(*(api_keys.c[name] for name in _SHOWN))
        with self.database.read() as connection:
            rows = connection.execute(statement.order_by(api_keys.c.created_at.desc(), api_keys.c.id))
            return [dict(row._mapping) for row in rows]

    def revoke(self, identity: str, *, by: str) -> None:
        """Make a key useless from the next request on; doing it twice is not an error. Raises NotFound."""
        with self.database.write() as connection:
            known = connection.execute(sa.select(api_keys).where(api_keys.c.id == identity)).first()
            if known is None:
                raise NotFound(f'There is no API key "{identity[:80]}".')
            changed = connection.execute(
                sa.update(api_keys)
                .where(api_keys.c.id == identity, api_keys.c.revoked_at.is_(None))
                .values(revoked_at=self.clock.now())
            )
            if changed.rowcount:
                self._record(connection, "key.revoked", known._asdict(), by)

    def recognise(self, token: str) -> Caller | None:
        """Return who holds this token, or None.

        The token is hashed before it is looked up, so how long that takes says nothing about any stored key.
        """
        if not _TOKEN.match(token):
            return None
        statement = sa.select(api_keys).where(api_keys.c.hash == _digest(token), api_keys.c.revoked_at.is_(None))
        with self.database.read() as connection:
            row = connection.execute(statement).one_or_none()
        if row is None:
            return None
        units = None if ALL_UNITS in row.units else frozenset(row.units)
        return Caller(key_id=row.id, name=row.name, role=row.role, units=units)

    def _record(self, connection: Connection, action: str, key: Mapping[str, Any], by: str) -> None:
        details = {name: key[name] for name in ("name", "role", "units")}
        audit.append(connection, actor=by, action=action, subject=key["id"], details=details, now=self.clock.now())


def _digest(token: str) -> str:
    # The token has 256 random bits, so a fast hash is as good as a slow one and cannot be used to tie up the server.
    return hashlib.sha256(token.encode()).hexdigest()
