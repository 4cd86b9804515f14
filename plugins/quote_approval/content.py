"""The content of a quote that an approval stands for, its hash, and what differs between two contents; pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC
from typing import Any

from core.api import Quote

from .facts import currency_of, text_of


def content_of(quote: Quote) -> dict[str, Any]:
    """Return what an approval is bound to: who buys what, at which prices and terms, until when.

    Not its status nor its owner: those change without changing the offer.
    """
    return {
        "customer_id": quote.customer_id,
        "currency": currency_of(quote.currency),
        "amount": text_of(quote.amount),
        "discount": text_of(quote.discount),
        "margin": text_of(quote.margin),
        "payment_terms": quote.payment_terms,
        "lead_time_days": quote.lead_time_days,
        "valid_until": quote.valid_until.astimezone(UTC).isoformat() if quote.valid_until else None,
        "price_basis": {"metal": quote.price_basis.metal, "price": text_of(quote.price_basis.price)},
        "lines": [
            {
                "product": line.product,
                "family": line.family,
                "specification": line.specification,
                "quantity": text_of(line.quantity),
                "unit": line.unit,
                "unit_price": text_of(line.unit_price),
                "discount": text_of(line.discount),
            }
            for line in quote.lines
        ],
    }


def hash_of(content: Mapping[str, Any]) -> str:
    """Return the hash of a content; equal offers have equal hashes, however their numbers are written."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of what differs, with both values where they are short."""
    told = []
    for name in after:
        old, new = before.get(name), after[name]
        if old == new:
            continue
        is_short = not isinstance(new, (list, dict))
        told.append(f"{name}: {_word(old)} → {_word(new)}" if is_short else name)
    return tuple(told)


def _word(value: Any) -> str:
    return "–" if value is None else str(value)[:60]
