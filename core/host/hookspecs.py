"""The hooks a plugin may implement; each docstring is the contract, and each fact hook has one canonical event.

`on_*` reacts to a fact and returns effects, `register_*` contributes something once at load, `plugin_*` is told
about the plugin's own life. A plugin may leave out arguments it does not need.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pluggy

from core.model.context import Context
from core.model.effects import Effect
from core.model.events import Event
from core.model.records import Complaint, Customer, Lead, MarketPrice, Order, Quote, TimerDue, UnitChange

PROJECT = "outrigger"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

Effects = Sequence[Effect] | None


# ----------
# Leads (线索)
# ----------


@hookspec
def on_lead_created(event: Event[Lead], ctx: Context[Any]) -> Effects:
    """A lead was captured in the CRM.

    Called once per lead; a later change comes as `on_lead_updated`. Added in 0.1.
    """


@hookspec
def on_lead_updated(event: Event[Lead], ctx: Context[Any]) -> Effects:
    """Fields of a lead changed; `event.changed` names them.

    Not called when a newer update was merged before, nor when the CRM only reports back what Outrigger wrote.
    Added in 0.1.
    """


@hookspec
def on_lead_converted(event: Event[Lead], ctx: Context[Any]) -> Effects:
    """A lead became a customer or a deal.

    Always called, also when it arrives late; see `event.occurred_at`. Added in 0.1.
    """


@hookspec
def on_lead_lost(event: Event[Lead], ctx: Context[Any]) -> Effects:
    """A lead was given up.

    `event.record.lost_reason` tells why, when the CRM says so. Added in 0.1.
    """


# -----------
# Quotes (报价)
# -----------


@hookspec
def on_quote_submitted(event: Event[Quote], ctx: Context[Any]) -> Effects:
    """A quote was handed in for review.

    Called again, as a new event, when a revised quote is handed in. Added in 0.1.
    """


@hookspec
def on_quote_updated(event: Event[Quote], ctx: Context[Any]) -> Effects:
    """Fields of a quote changed.

    Not called for superseded updates and echoes. Added in 0.1.
    """


@hookspec
def on_quote_accepted(event: Event[Quote], ctx: Context[Any]) -> Effects:
    """The customer accepted a quote: the deal is won.

    Always called, also when it arrives late. Added in 0.1.
    """


@hookspec
def on_quote_rejected(event: Event[Quote], ctx: Context[Any]) -> Effects:
    """The customer declined a quote: the deal is lost.

    `event.record.rejected_reason` tells why, when the CRM says so. Added in 0.1.
    """


@hookspec
def on_quote_expired(event: Event[Quote], ctx: Context[Any]) -> Effects:
    """A quote's validity ended without an answer.

    Called when the CRM says so; Outrigger does not watch `valid_until` itself. Added in 0.1.
    """


# -----------
# Orders (订单)
# -----------


@hookspec
def on_order_placed(event: Event[Order], ctx: Context[Any]) -> Effects:
    """An order was placed.

    Not called when an order is split from another; that comes as `on_order_updated`. Added in 0.1.
    """


@hookspec
def on_order_updated(event: Event[Order], ctx: Context[Any]) -> Effects:
    """Fields of an order changed.

    Not called for superseded updates and echoes. Added in 0.1.
    """


@hookspec
def on_order_delayed(event: Event[Order], ctx: Context[Any]) -> Effects:
    """An order's delivery will be later than promised.

    `event.record.estimated_at` is the new date. Added in 0.1.
    """


@hookspec
def on_order_cancelled(event: Event[Order], ctx: Context[Any]) -> Effects:
    """An order was cancelled.

    Always called, also when it arrives late. Added in 0.1.
    """


@hookspec
def on_order_fulfilled(event: Event[Order], ctx: Context[Any]) -> Effects:
    """An order was delivered in full.

    Always called, also when it arrives late. Added in 0.1.
    """


@hookspec
def on_order_paid(event: Event[Order], ctx: Context[Any]) -> Effects:
    """An order was paid.

    Always called, also when it arrives late. Added in 0.1.
    """


# ---------------
# Complaints (投诉)
# ---------------


@hookspec
def on_complaint_opened(event: Event[Complaint], ctx: Context[Any]) -> Effects:
    """A customer complained.

    Called once per complaint; coming back is `on_complaint_reopened`. Added in 0.1.
    """


@hookspec
def on_complaint_updated(event: Event[Complaint], ctx: Context[Any]) -> Effects:
    """Fields of a complaint changed.

    Not called for superseded updates and echoes. Added in 0.1.
    """


@hookspec
def on_complaint_replied(event: Event[Complaint], ctx: Context[Any]) -> Effects:
    """The customer or the service team answered.

    `event.record.waiting_for` tells whose turn it is. Added in 0.1.
    """


@hookspec
def on_complaint_resolved(event: Event[Complaint], ctx: Context[Any]) -> Effects:
    """A complaint was solved.

    `event.record.cause` and `.resolution` tell how, when the CRM says so. Added in 0.1.
    """


@hookspec
def on_complaint_reopened(event: Event[Complaint], ctx: Context[Any]) -> Effects:
    """A solved complaint came back.

    Always called, also when it arrives late. Added in 0.1.
    """


@hookspec
def on_complaint_closed(event: Event[Complaint], ctx: Context[Any]) -> Effects:
    """A complaint was closed.

    Always called, also when it arrives late. Added in 0.1.
    """


# -----------------------------
# Customers, market and records
# -----------------------------


@hookspec
def on_customer_updated(event: Event[Customer], ctx: Context[Any]) -> Effects:
    """Fields of a customer changed, or the customer is new.

    Not called for superseded updates and echoes. Added in 0.1.
    """


@hookspec
def on_market_price_changed(event: Event[MarketPrice], ctx: Context[Any]) -> Effects:
    """A raw-material price moved.

    `event.record.price` is the new one. Added in 0.1.
    """


@hookspec
def on_record_unit_changed(event: Event[UnitChange], ctx: Context[Any]) -> Effects:
    """A record moved from one business unit to another.

    Delivered to the plugins of the new unit and, with `event.unit` the old one, to those of the old unit, so that
    each can say what its open timers do. Added in 0.1.
    """


@hookspec
def on_timer_due(event: Event[TimerDue], ctx: Context[Any]) -> Effects:
    """A timer this plugin started fell due; only the plugin that started it is called.

    `event.late` is true when it fires after a stop of the server or of the plugin. Added in 0.1.
    """


# ---------
# Any event
# ---------


@hookspec
def on_event(event: Event[Any], ctx: Context[Any]) -> Effects:
    """Called for every event type, those of other plugins included.

    For plugins that watch, forward or keep account, and for those whose types are a matter of their settings. A plugin
    that hears few types implements their hooks instead: each event heard in vain costs a delivery.
    Called after the specific hook, in the same delivery, when a plugin has both. Not called for `timer.due`.
    Added in 0.1.
    """


@hookspec
def on_own_event(event: Event[Any], ctx: Context[Any]) -> Effects:
    """An event that this plugin emitted itself, from a handler or from a person's command; `event.data` is a mapping.

    What follows from a person's decision is asked for here, in the order of the record's events. Added in 0.2.
    """


# -------------
# Contributions
# -------------


@hookspec
def register_commands() -> Any:
    """Return a click group with the plugin's own commands; it becomes `outrigger <plugin-name> …`.

    Called once when the command line starts. Added in 0.1.
    """


@hookspec
def register_api() -> Any:
    """Return a flask-smorest blueprint mounted below `/api/v1`; it may read and run commands, not decide.

    Called once when a web process starts; a failure leaves the plugin's API out and the server running. Added in 0.1.
    """


@hookspec
def register_pages() -> Any:
    """Return a Flask blueprint of pages that people open from links in messages; mounted at `/pages/<plugin-name>`.

    A page shows on GET and acts on POST, and knows its visitor by the link alone. Called once when a web process
    starts; a failure leaves the pages out and the server running. Added in 0.2.
    """


# ----------
# Life cycle
# ----------


@hookspec
def plugin_enabled(unit: str) -> None:
    """Told that this plugin is on for a unit: within seconds after the commit that switched it on, by whatever means.

    Called in one worker process of each machine, once for a switch, and for every unit again when that process starts;
    so it must do no harm when it is called twice. Of two switches within a second only the last may be told. What it
    raises changes nothing; its time limit is that of handlers. Added in 0.1.
    """


@hookspec
def plugin_disabled(unit: str) -> None:
    """Told that this plugin is off for a unit; called like `plugin_enabled`, at the start of the worker too.

    From the commit on the plugin has no effect there, whether it was told already or not. Added in 0.1.
    """
