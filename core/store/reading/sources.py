"""Names the source of a record, where only one has it: what is about it then stands in order in an index."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.store.tables import records


def only_source(connection: Connection, kind: str | None, record_id: str | None) -> str | None:
    """Return the one source that has a record of this kind and id, or None."""
    if kind is None or record_id is None:
        return None
    its = sa.select(records.c.source).where(records.c.kind == kind, records.c.record_id == record_id).limit(2)
    sources = connection.execute(its).scalars().all()
    return str(sources[0]) if len(sources) == 1 else None
