"""Makes a creating call safe to repeat: under the same Idempotency-Key the first answer is given again."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import sqlalchemy as sa
from flask import Response, request
from werkzeug.exceptions import HTTPException

from core.model.errors import Conflict, InvalidRequest, OutriggerError
from core.store.database import Database
from core.store.tables import idempotency_keys as table
from core.web.auth import caller
from core.web.services import services

KEPT = timedelta(hours=24)
RUNNING = 0
"""The status of a call that has begun and not yet answered."""


def idempotent(view: Callable[..., Response]) -> Callable[..., Response]:
    """Decorate a creating view, outside of its arguments and response decorators.

    The same key with another body is refused; while the first call still runs, a second is a conflict. A call that
    was refused may be made again under its key. One that ended otherwise may have done a part, or all, of what it was
    asked, as when the answer to a commit was lost: its key stays taken, and a person looks first.
    """

    @functools.wraps(view)
    def once(*args: Any, **kwargs: Any) -> Response:
        given = request.headers.get("Idempotency-Key")
        if given is None:
            return view(*args, **kwargs)
        if not 1 <= len(given) <= 255 or not given.isprintable():
            raise InvalidRequest(errors=[{"path": "Idempotency-Key", "message": "1 to 255 printable characters."}])
        database = services().database
        key = _digest(caller().key_id, request.method, request.path, given)
        asked = _digest(request.query_string.decode("latin-1"), hashlib.sha256(request.get_data()).hexdigest())
        earlier = _begin(database, key, asked)
        if earlier is not None:
            return earlier
        try:
            response = view(*args, **kwargs)
        except (OutriggerError, HTTPException) as error:
            status = error.http_status if isinstance(error, OutriggerError) else error.code
            if status is not None and status < HTTPStatus.INTERNAL_SERVER_ERROR:
                with database.write() as connection:
                    connection.execute(sa.delete(table).where(table.c.key == key))
            raise
        with database.write() as connection:
            connection.execute(
                sa.update(table)
                .where(table.c.key == key)
                .values(status=response.status_code, response=response.get_data(as_text=True))
            )
        return response

    return once


def _begin(database: Database, key: str, asked: str) -> Response | None:
    """Note that the call has begun, or return the answer it got before."""
    now = services().clock.now()
    try:
        with database.write() as connection:
            connection.execute(sa.delete(table).where(table.c.created_at < now - KEPT))
            row = connection.execute(sa.select(table).where(table.c.key == key)).one_or_none()
            if row is None:
                connection.execute(
                    sa.insert(table).values(key=key, request_hash=asked, status=RUNNING, response="", created_at=now)
                )
                return None
    except sa.exc.IntegrityError:
        raise Conflict("A call under this Idempotency-Key is running; ask again in a moment.") from None
    if row.request_hash != asked:
        raise InvalidRequest("This Idempotency-Key was used for another request; take a new one.")
    if row.status == RUNNING:
        raise Conflict("A call under this Idempotency-Key is running or was cut off; look before you repeat it.")
    return Response(row.response, row.status, {"Idempotent-Replayed": "true"}, mimetype="application/json")


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
