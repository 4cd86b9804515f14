"""Sends one event to a running server as a Standard Webhooks sender would: signed, over HTTP."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import urllib3

from core.egress.http import signature
from core.egress.signing import signing_key
from core.host.environment import read_environment
from core.host.settings import Configuration, SourceSettings
from core.model import strict_json
from core.model.errors import ConfigurationRefused, NotFound, OutriggerError, did_you_mean
from core.model.instants import format_instant

TIMEOUT_S = 15.0


class ServerUnreachable(OutriggerError):
    """The server does not answer; is it running? Start it with `outrigger serve`, or say where it is with --url."""

    code = "server.unreachable"


@dataclass(frozen=True, slots=True)
class Sent:
    """What the server said."""

    status: int
    answer: dict[str, Any] = field(default_factory=dict)

    @property
    def is_ok(self) -> bool:
        """Whether the event is stored, now or before."""
        return self.status in (200, 202)

    @property
    def event_ids(self) -> list[str]:
        """The ids of the event, however the adapter shaped its answer."""
        found = self.answer.get("event_ids") or self.answer.get("events") or []
        return [str(item) for item in found] if isinstance(found, list) else []

    @property
    def detail(self) -> str:
        """Why the server refused."""
        return str(self.answer.get("detail") or self.answer or "no reason given")


def send_standard(
    configuration: Configuration,
    source: str,
    event_type: str,
    data: Mapping[str, Any],
    *,
    now: datetime,
    at: datetime | None = None,
    url: str | None = None,
    message_id: str | None = None,
) -> Sent:
    """Sign and post one event of a `standard` source that happened at `at`, or `now`.

    Raises NotFound, ConfigurationRefused or ServerUnreachable.
    """
    settings = _standard_source(configuration, source)
    identity = message_id or "msg_" + secrets.token_hex(12)
    body = strict_json.dumps({"type": event_type, "timestamp": format_instant(at or now), "data": dict(data)}).encode()
    timestamp = int(now.timestamp())
    headers = {
        "content-type": "application/json",
        "webhook-id": identity,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(signing_key(settings.secrets[0]), identity, timestamp, body),
    }
    base = (url or read_environment().public_url).rstrip("/")
    pool = urllib3.PoolManager(retries=False, timeout=TIMEOUT_S)
    try:
        answer = pool.request("POST", f"{base}/webhooks/{source}", body=body, headers=headers)
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        why = f"{base} does not answer ({type(error).__name__}). {ServerUnreachable.__doc__}"
        raise ServerUnreachable(why) from None
    finally:
        pool.clear()
    return Sent(answer.status, _object(answer.data))


def _standard_source(configuration: Configuration, source: str) -> SourceSettings:
    settings = configuration.sources.get(source)
    if settings is None:
        raise NotFound(f'There is no source "{source[:80]}".{did_you_mean(source, configuration.sources)}')
    if settings.adapter != "standard":
        raise ConfigurationRefused(
            f"The source {source} speaks {settings.adapter}; only a standard source can be sent to from here."
        )
    if not settings.secrets:
        raise ConfigurationRefused(f"The source {source} has no secret to sign with.")
    return settings


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
