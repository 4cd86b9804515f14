"""What HubSpot calls things: its objects, their properties by our names, and the stages that are facts."""

from __future__ import annotations

OBJECT_TYPES = {
    "0-1": "contact",
    "0-2": "company",
    "0-3": "deal",
    "0-5": "ticket",
    "0-14": "quote",
    "0-123": "order",
    "0-136": "lead",
}
"""Object type ids of the generic subscriptions, by the names that the older subscriptions use."""

KINDS = {
    "lead": "lead",
    "contact": "lead",
    "quote": "quote",
    "deal": "quote",
    "order": "order",
    "ticket": "complaint",
    "company": "customer",
}
"""The kind of record each object is; where two objects feed one kind, the first keeps its ids as they are."""

CREATED = {
    "lead": "lead.created",
    "contact": "lead.created",
    "quote": "quote.submitted",
    "deal": "quote.updated",  # a new deal is an intention; nobody handed in a quote yet
    "order": "order.placed",
    "ticket": "complaint.opened",
    "company": "customer.updated",
}

PROPERTIES: dict[str, dict[str, str]] = {
    "lead": {
        "name": "hs_lead_name",
        "owner": "hubspot_owner_id",
        "status": "hs_pipeline_stage",
        "created_at": "hs_createdate",
        "lost_reason": "hs_lead_disqualification_reason",
    },
    "contact": {
        "contact.email": "email",
        "contact.phone": "phone",
        "company": "company",
        "city": "city",
        "region": "state",
        "industry": "industry",
        "owner": "hubspot_owner_id",
        "status": "hs_lead_status",
        "source": "hs_analytics_source",
        "requirement": "message",
        "created_at": "createdate",
    },
    "quote": {
        "owner": "hubspot_owner_id",
        "currency": "hs_currency",
        "amount": "hs_quote_amount",
        "payment_terms": "hs_terms",
        "valid_until": "hs_expiration_date",
        "status": "hs_status",
    },
    "deal": {
        "owner": "hubspot_owner_id",
        "currency": "deal_currency_code",
        "amount": "amount",
        "status": "dealstage",
        "need": "description",
        "strategy": "closed_won_reason",
        "rejected_reason": "closed_lost_reason",
    },
    "order": {
        "currency": "hs_currency_code",
        "amount": "hs_total_price",
        "status": "hs_pipeline_stage",
    },
    "ticket": {
        "subject": "subject",
        "body": "content",
        "severity": "hs_ticket_priority",
        "category": "hs_ticket_category",
        "channel": "source_type",
        "status": "hs_pipeline_stage",
        "owner": "hubspot_owner_id",
        "opened_at": "createdate",
        "first_response_at": "first_agent_reply_date",
        "resolved_at": "closed_date",
        "resolution": "hs_resolution",
    },
    "company": {
        "name": "name",
        "industry": "industry",
        "region": "state",
        "owner": "hubspot_owner_id",
        "since": "createdate",
    },
}

STAGES: dict[str, dict[str, str]] = {
    "lead": {"qualified-stage-id": "lead.converted", "unqualified-stage-id": "lead.lost"},
    "contact": {"OPEN_DEAL": "lead.converted", "UNQUALIFIED": "lead.lost"},
    "quote": {"PENDING_APPROVAL": "quote.submitted"},
    "deal": {"closedwon": "quote.accepted", "closedlost": "quote.rejected"},
    "ticket": {"4": "complaint.closed"},
}
"""Values of the property behind `status` that are a fact of their own, in HubSpot's default pipelines."""
