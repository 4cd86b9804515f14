"""The moments observers may listen to: sent after commit, results ignored, never used to decide anything.

The sender is the business unit's slug (for `event_*` the source's slug, since the unit is not known yet). Observers are
module-level functions, because blinker keeps weak references.
"""

from __future__ import annotations

from typing import Any

import structlog
from blinker import NamedSignal, Namespace

_signals = Namespace()

event_accepted = _signals.signal("event_accepted", doc="Values: `type`, `count`. New events are on disk.")
event_duplicated = _signals.signal("event_duplicated", doc="Values: `count`. Known events came again.")
event_rejected = _signals.signal("event_rejected", doc="Values: `count`. Authentic items did not map and were kept.")
webhook_refused = _signals.signal(
    "webhook_refused", doc="Values: `code`, `status`. A webhook request was refused; the sender may be `unknown`."
)
delivery_completed = _signals.signal(
    "delivery_completed", doc="Values: `plugin`, `event_id`, `seconds`. A handler's effects are committed."
)
delivery_failed = _signals.signal(
    "delivery_failed", doc="Values: `plugin`, `event_id`, `outcome`, `reason`. It runs again, or was cancelled."
)
delivery_discarded = _signals.signal(
    "delivery_discarded", doc="Values: `plugin`, `event_id`, `reason`. Given up after the last attempt, or by a person."
)
effect_sent = _signals.signal(
    "effect_sent", doc="Values: `effect`, `target`, `result` (sent, retryable, discarded, suppressed)."
)
plugin_enabled = _signals.signal("plugin_enabled", doc="Values: `plugin`, `actor`, `reason`.")
plugin_disabled = _signals.signal("plugin_disabled", doc="Values: `plugin`, `actor`, `reason`.")
config_changed = _signals.signal("config_changed", doc="Values: `number`. Another configuration version counts.")

SIGNALS: dict[str, NamedSignal] = dict(_signals)


def notify_observers(signal: NamedSignal, sender: str, **values: Any) -> None:
    """Tell every observer of `signal`; one that raises is logged and the others are told all the same."""
    for receiver in list(signal.receivers_for(sender)):
        try:
            receiver(sender, **values)
        except Exception:
            structlog.get_logger("outrigger.signals").exception(
                "observer failed", signal=signal.name, observer=getattr(receiver, "__qualname__", repr(receiver))
            )
