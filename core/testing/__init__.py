"""What a plugin author's tests import: events, a context, real tables, a whole server, a clock that stands still.

`lead_event`, `quote_event`, `order_event`, `complaint_event`, `customer_event`, `market_event`, `timer_event`,
`unit_changed_event` and `plugin_event` build events; `event_from_body` and `example_events(folder)` read bodies;
`context(config, …)` builds what a handler is given; `plugin_session(folder)` gives the plugin's own tables;
`plugin_server(folder, settings)` runs a whole server without processes; `filled(folder, template, data)` is what
people are told.
"""

from __future__ import annotations

from core.model.errors import ConfigurationRefused
from core.model.who_field import checking_names
from core.testing.contexts import RecordingLog, context
from core.testing.directories import calendar_of, directory_of
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
from core.testing.messages import filled
from core.testing.server import PluginServer, plugin_server
from core.testing.sessions import TableSession, plugin_session
from core.time.clock import FrozenClock

__all__ = [
    "NOW",
    "ConfigurationRefused",
    "FrozenClock",
    "PluginServer",
    "RecordingLog",
    "TableSession",
    "calendar_of",
    "checking_names",
    "complaint_event",
    "context",
    "customer_event",
    "directory_of",
    "event_from_body",
    "example_events",
    "filled",
    "lead_event",
    "market_event",
    "order_event",
    "plugin_event",
    "plugin_server",
    "plugin_session",
    "quote_event",
    "timer_event",
    "unit_changed_event",
]
