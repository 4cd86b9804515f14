"""What a plugin author's tests import: events, a context, real tables, a clock that stands still.

`lead_event`, `quote_event`, `order_event`, `complaint_event`, `customer_event`, `market_event`, `timer_event`,
`unit_changed_event` and `plugin_event` build events; `example_events(folder)` reads a plugin's example files;
`context(config, …)` builds what a handler is given; `plugin_session(folder)` gives the plugin's own tables.
"""

from __future__ import annotations

from core.testing.contexts import RecordingLog, context
from core.testing.events import (
    NOW,
    complaint_event,
    customer_event,
    event_from_body,
    example_events,
    lead_event,
    market_event,
    order_event,
    plugin_event,
    quote_event,
    timer_event,
    unit_changed_event,
)
from core.testing.sessions import TableSession, plugin_session
from core.time.clock import FrozenClock

__all__ = [
    "NOW",
    "FrozenClock",
    "RecordingLog",
    "TableSession",
    "complaint_event",
    "context",
    "customer_event",
    "event_from_body",
    "example_events",
    "lead_event",
    "market_event",
    "order_event",
    "plugin_event",
    "plugin_session",
    "quote_event",
    "timer_event",
    "unit_changed_event",
]
