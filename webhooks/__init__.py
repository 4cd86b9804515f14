"""How a CRM sends us events: one adapter for each dialect, and the routes that receive them."""

from __future__ import annotations

from core.host.secrets import check_reference
from core.host.settings import SourceSettings
from core.model.errors import did_you_mean
from webhooks import adapters as _adapters  # importing them registers them
from webhooks.adapter import ADAPTERS, Adapter, Fault, InboundRequest, Reply, register_adapter
from webhooks.routes import blueprint

__all__ = ["ADAPTERS", "Adapter", "InboundRequest", "Reply", "blueprint", "check_source", "register_adapter"]

del _adapters


def check_source(source: SourceSettings) -> list[Fault]:
    """Return every fault of a source's adapter, secrets and options, each with its path below the source."""
    cls = ADAPTERS.get(source.adapter)
    if cls is None:
        hint = did_you_mean(source.adapter, ADAPTERS)
        return [{"path": "adapter", "message": f'There is no adapter "{source.adapter}".{hint}'}]
    faults = [
        {"path": f"options.{fault['path']}", "message": fault["message"]} for fault in cls.check_options(source.options)
    ]
    for position, reference in enumerate(source.secrets):
        fault = check_reference(reference)
        if fault:
            faults.append({"path": f"secrets[{position}]", "message": fault})
    if not source.secrets and cls.wants_secret(source.options):
        faults.append({"path": "secrets", "message": "This adapter needs a secret, such as env:CRM_WEBHOOK_SECRET."})
    return faults
