"""Makes a stored message ready to go: still true, its link still open, and the token in its place."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from core.egress.sent import Outgoing
from core.model.errors import LinkExpired, LinkUsed
from core.model.outcomes import NO_LONGER_TRUE
from core.pipeline.links import stand_in, token_of
from core.pipeline.standing import no_longer
from core.store.database import Database


class Withheld(Exception):
    """The message is not to be sent any more."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def make_ready(database: Database, row: Any, now: datetime) -> Outgoing:
    """Return the message of an outbox row as it goes out. Raises Withheld saying why it does not.

    Only a message with a condition or a link costs a look into the database.
    """
    if row.effect != "notify":
        return Outgoing(row.id, row.body, row.created_at)
    data = json.loads(row.channel_data or "{}")
    link = data.get("link", "")
    if link is None:
        raise Withheld("this replay made no link; replay the event with its messages going out")
    body = row.body
    if row.still_true or link:
        with database.read() as connection:
            reason = no_longer(connection, row.still_true, row.plugin) if row.still_true else None
            if reason:
                raise Withheld(f"{NO_LONGER_TRUE}{reason}")
            if link:
                try:
                    body = body.replace(stand_in(link), token_of(connection, link, row.id, now))
                except (LinkExpired, LinkUsed) as error:
                    raise Withheld(f"{NO_LONGER_TRUE}{error.message}") from None
    return Outgoing(row.id, body, row.created_at, data.get("address", {}))
