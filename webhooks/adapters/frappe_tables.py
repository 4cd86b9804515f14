"""What Frappe, ERPNext, Helpdesk and Frappe CRM call things, and which event each state of a document is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Doctype:
    """One document type: its kind of record, the events of its life, its fields by our names."""

    kind: str
    created: str
    updated: str
    submitted: str
    cancelled: str
    statuses: Mapping[str, str] = field(default_factory=dict)  # status -> event type; others are updates
    fields: Mapping[str, str] = field(default_factory=dict)  # our field -> theirs


def _doctype(
    kind: str,
    fields: Mapping[str, str],
    statuses: Mapping[str, str] | None = None,
    *,
    created: str = "",
    submitted: str = "",
    cancelled: str = "",
) -> Doctype:
    updated = f"{kind}.updated"
    return Doctype(
        kind=kind,
        created=created or updated,
        updated=updated,
        submitted=submitted or updated,
        cancelled=cancelled or updated,
        statuses=statuses or {},
        fields=fields,
    )


_LEAD_FIELDS = {
    "name": "lead_name",
    "company": "company_name",
    "contact.name": "lead_name",
    "contact.email": "email_id",
    "contact.phone": "mobile_no",
    "source": "source",
    "industry": "industry",
    "region": "territory",
    "city": "city",
    "owner": "lead_owner",
    "status": "status",
    "created_at": "creation",
    "customer_id": "customer",
}
_LEAD_STATUSES = {
    "Converted": "lead.converted",
    "Lost Quotation": "lead.lost",
    "Do Not Contact": "lead.lost",
    "Lost": "lead.lost",
    "Unqualified": "lead.lost",
    "Junk": "lead.lost",
}
_CRM_LEAD_FIELDS = _LEAD_FIELDS | {
    "company": "organization",
    "contact.email": "email",
    "lost_reason": "lost_reason",
}
_QUOTE_FIELDS = {
    "currency": "currency",
    "amount": "grand_total",
    "discount": "additional_discount_percentage",
    "payment_terms": "payment_terms_template",
    "valid_until": "valid_till",
    "lines": "items",
    "status": "status",
    "region": "territory",
    "rejected_reason": "order_lost_reason",
}
_QUOTE_STATUSES = {
    "Ordered": "quote.accepted",
    "Partially Ordered": "quote.accepted",
    "Lost": "quote.rejected",
    "Expired": "quote.expired",
}
_DEAL_FIELDS = {
    "lead_id": "lead",
    "customer_id": "organization",
    "owner": "deal_owner",
    "currency": "currency",
    "amount": "deal_value",
    "status": "status",
    "region": "territory",
    "industry": "industry",
    "rejected_reason": "lost_reason",
}
_ORDER_FIELDS = {
    "customer_id": "customer",
    "currency": "currency",
    "amount": "grand_total",
    "lines": "items",
    "promised_at": "delivery_date",
    "status": "status",
    "collected_amount": "advance_paid",
    "region": "territory",
}
_ORDER_STATUSES = {
    "To Bill": "order.fulfilled",
    "Completed": "order.fulfilled",
    "Cancelled": "order.cancelled",
}
_ISSUE_FIELDS = {
    "customer_id": "customer",
    "subject": "subject",
    "body": "description",
    "severity": "priority",
    "category": "issue_type",
    "status": "status",
    "opened_at": "creation",
    "first_response_at": "first_responded_on",
    "resolved_at": "resolution_date",
    "resolution": "resolution_details",
}
_ISSUE_STATUSES = {
    "Replied": "complaint.replied",
    "Resolved": "complaint.resolved",
    "Closed": "complaint.closed",
    "Reopened": "complaint.reopened",
}
_CLAIM_FIELDS = {
    "customer_id": "customer",
    "product": "item_code",
    "batch": "serial_no",
    "body": "complaint",
    "status": "status",
    "opened_at": "complaint_date",
    "resolved_at": "resolution_date",
    "resolution": "resolution_details",
}

DOCTYPES: dict[str, Doctype] = {
    "Lead": _doctype("lead", _LEAD_FIELDS, _LEAD_STATUSES, created="lead.created"),
    "CRM Lead": _doctype("lead", _CRM_LEAD_FIELDS, _LEAD_STATUSES, created="lead.created"),
    "Quotation": _doctype("quote", _QUOTE_FIELDS, _QUOTE_STATUSES, submitted="quote.submitted"),
    "CRM Deal": _doctype("quote", _DEAL_FIELDS, {"Won": "quote.accepted", "Lost": "quote.rejected"}),
    "Sales Order": _doctype(
        "order", _ORDER_FIELDS, _ORDER_STATUSES, submitted="order.placed", cancelled="order.cancelled"
    ),
    "Issue": _doctype("complaint", _ISSUE_FIELDS, _ISSUE_STATUSES, created="complaint.opened"),
    "HD Ticket": _doctype(
        "complaint",
        _ISSUE_FIELDS | {"category": "ticket_type", "department": "agent_group"},
        _ISSUE_STATUSES,
        created="complaint.opened",
    ),
    "Warranty Claim": _doctype("complaint", _CLAIM_FIELDS, {"Closed": "complaint.closed"}, created="complaint.opened"),
    "Customer": _doctype(
        "customer",
        {
            "name": "customer_name",
            "industry": "industry",
            "region": "territory",
            "owner": "account_manager",
            "since": "creation",
        },
    ),
}

LINE_FIELDS = {
    "product": "item_code",
    "family": "item_group",
    "specification": "description",
    "quantity": "qty",
    "unit": "uom",
    "unit_price": "rate",
    "discount": "discount_percentage",
}

PERCENTAGES = frozenset({"additional_discount_percentage", "discount_percentage"})
"""Their fields in per cent; ours are fractions."""

WAITING = {"Replied": "customer", "On Hold": "customer", "Open": None, "Reopened": None}
"""Whom an issue of this status waits for; ERPNext pauses its own clocks on the same states."""
