"""The senders Outrigger understands; importing this package registers them."""

from webhooks.adapters import frappe, generic, hubspot, standard

__all__ = ["frappe", "generic", "hubspot", "standard"]
