"""The one door for plugins: everything a plugin may import from Outrigger is named here, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from core.host.hookspecs import Effects, hookimpl
from core.model.calendar import Calendar, Day
from core.model.choices import OneOf
from core.model.context import Context, Log, PluginSession, Records, Unit
from core.model.effects import (
    CancelTimer,
    Decide,
    Effect,
    EmitEvent,
    Link,
    Notify,
    Reason,
    SendWebhook,
    StartTimer,
    Still,
    UpdateRecord,
)
from core.model.errors import (
    Conflict,
    InvalidRequest,
    LinkExpired,
    LinkUsed,
    NotAllowed,
    NotFound,
    OutriggerError,
    did_you_mean,
)
from core.model.event_type_field import EventTypeField
from core.model.events import Event
from core.model.outcomes import Cancel, Snooze
from core.model.people import People, Person, Resolution
from core.model.records import (
    Activity,
    Complaint,
    Contact,
    Customer,
    Lead,
    Line,
    MarketPrice,
    Order,
    PriceBasis,
    Quote,
    TimerDue,
    UnitChange,
)
from core.model.span_field import SpanField
from core.model.spans import Span, parse_span
from core.model.who_field import Who, WhoList
from core.pipeline.commands import Command, Desk, MessageState, current_desk
from core.pipeline.links import LinkClaims, open_link, use_link
from core.store.columns import InstantColumn, JsonColumn
from core.web.auth import actor, allowed_units, require

if TYPE_CHECKING:
    import flask

    from core.web.parsing import Blueprint

ViewT = TypeVar("ViewT", bound=Callable[..., Any])


def api_blueprint(name: str, *, description: str, url_prefix: str = "") -> Blueprint:
    """Return a blueprint for `register_api`: it reads requests strictly and describes itself in the OpenAPI document.

    Imported only when a plugin's api.py asks, so that workers do not load a web framework.
    """
    from core.web.parsing import Blueprint

    return Blueprint(name, "core.web", url_prefix=url_prefix or None, description=description)


def idempotent(view: ViewT) -> ViewT:
    """Decorate a creating view of `api.py`, below `require` and above its arguments: under the same Idempotency-Key the
    first answer is given again, for a day.
    """
    from core.web import idempotency

    return idempotency.idempotent(view)  # type: ignore[return-value]


def page_blueprint(name: str, module: str) -> flask.Blueprint:
    """Return a blueprint for `register_pages`; `module` is the `__name__` of the plugin's pages.py."""
    from core.web import pages

    return pages.page_blueprint(name, module)


def page(template: str, *, status: int = 200, **values: Any) -> flask.Response:
    """Fill in `templates/<template>` of the plugin whose page is asked for; it extends the shared `page.html`.

    Everything printed is escaped. The template sees `lang`, `zh` or `en`, beside `values`.
    """
    from core.web import pages

    return pages.page(template, status=status, **values)


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print rows under the names of their columns, for a plugin's commands; long values are cut."""
    from core.cli import printing

    printing.print_table(rows, columns)


def print_fields(pairs: Iterable[tuple[str, Any]]) -> None:
    """Print names and values below one another, for a plugin's commands; those without a value are left out."""
    from core.cli import printing

    printing.print_fields(pairs)


def print_json(value: Any) -> None:
    """Print a value as JSON, for the `--json` of a plugin's commands."""
    from core.cli import printing

    printing.print_json(value)


__all__ = [
    "Activity",
    "Calendar",
    "Cancel",
    "CancelTimer",
    "Command",
    "Complaint",
    "Conflict",
    "Contact",
    "Context",
    "Customer",
    "Day",
    "Decide",
    "Desk",
    "Effect",
    "Effects",
    "EmitEvent",
    "Event",
    "EventTypeField",
    "InstantColumn",
    "InvalidRequest",
    "JsonColumn",
    "Lead",
    "Line",
    "Link",
    "LinkClaims",
    "LinkExpired",
    "LinkUsed",
    "Log",
    "MarketPrice",
    "MessageState",
    "NotAllowed",
    "NotFound",
    "Notify",
    "OneOf",
    "Order",
    "OutriggerError",
    "People",
    "Person",
    "PluginSession",
    "PriceBasis",
    "Quote",
    "Reason",
    "Records",
    "Resolution",
    "SendWebhook",
    "Snooze",
    "Span",
    "SpanField",
    "StartTimer",
    "Still",
    "TimerDue",
    "Unit",
    "UnitChange",
    "UpdateRecord",
    "Who",
    "WhoList",
    "actor",
    "allowed_units",
    "api_blueprint",
    "current_desk",
    "did_you_mean",
    "hookimpl",
    "idempotent",
    "open_link",
    "page",
    "page_blueprint",
    "parse_span",
    "print_fields",
    "print_json",
    "print_table",
    "require",
    "use_link",
]
