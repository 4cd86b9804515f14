"""What a person may ask of the clocks: to have the open ones recomputed by today's policies and calendar."""

from __future__ import annotations

import sqlalchemy as sa

from core.api import Decide, Desk, EmitEvent, NotFound, did_you_mean

from .models import ClockRow
from .rules import OPEN

PLUGIN = "sla_escalation"
ASKED = f"{PLUGIN}.recompute_asked"


def recompute(desk: Desk, unit: str, *, actor: str, reason: str) -> int:
    """Ask for the unit's open clocks to be recomputed; return of how many records.

    Each record's clocks are recomputed in the order of its events, and each change is a decision with before and
    after. Raises NotFound for a unit that is not configured.
    """
    units = sorted(slug for slug, plugin in desk.settings if plugin == PLUGIN)
    if unit not in units:
        raise NotFound(f'There is no unit "{unit[:80]}".{did_you_mean(unit, units)}')
    open_here = (
        sa.select(ClockRow.source, ClockRow.kind, ClockRow.record_id)
        .where(ClockRow.unit == unit, ClockRow.state.in_(OPEN))
        .distinct()
        .order_by(ClockRow.source, ClockRow.kind, ClockRow.record_id)
    )
    asked = Decide(
        kind="sla_recompute", outcome="asked", summary=f"重新计算时限 recompute the clocks of {unit}: {reason}",
        rule="person", inputs={"unit": unit, "reason": reason},
    )  # fmt: skip
    with desk.command(plugin=PLUGIN, unit=unit, actor=actor) as command:
        records = list(command.session.execute(open_here))
        for source, kind, record_id in records:
            about = {"source": source, "kind": kind, "record_id": record_id}
            command.decide(asked, **about)
            command.emit(EmitEvent(type=ASKED, data={"by": actor, "reason": reason}), **about)
    return len(records)
