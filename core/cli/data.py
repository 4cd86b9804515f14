"""The command groups about data; the command line's root adds each of them."""

from __future__ import annotations

import click

from core.cli.deliveries import deliveries, outbox
from core.cli.events import events
from core.cli.keys import keys
from core.cli.records import decisions, leads, records
from core.cli.retention import retention

GROUPS: tuple[click.Group, ...] = (events, deliveries, outbox, records, decisions, leads, retention, keys)
