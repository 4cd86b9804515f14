"""Requests that a server must refuse, and how: forged, stale, unreadable, too large, or for nobody."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from deploy.demo.crms.request import Crm, Request, compact
from deploy.demo.crms.standard import StandardCrm
from deploy.demo.facts import Fact

STRANGER = "whsec_c3RyYW5nZXItc3RyYW5nZXItc3RyYW5nZXItMDAwMDA="


@dataclass(frozen=True, slots=True)
class Refusal:
    """A bad request, what is wrong with it, and the status it must get."""

    what: str
    request: Request
    status: int


def refusals(crm: StandardCrm, crms: dict[str, Crm], samples: dict[str, Fact], now: datetime) -> list[Refusal]:
    """Return the bad requests of the demo; `samples` holds one good fact of every source to spoil."""
    good = samples["crm"]
    stranger = StandardCrm("crm", STRANGER)
    nobody = replace(crm.request([good], now), path="/webhooks/nobody")
    deep = b'{"type":"lead.created","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    large = compact({"type": "lead.created", "data": {"id": "big", "requirement": "铝" * 400_000}})
    twice = b'{"type":"lead.created","type":"lead.lost","data":{"id":"twice"}}'
    return [
        Refusal("signed with a stranger's secret", stranger.request([good], now), 401),
        Refusal("signed an hour ago", crm.request([good], now - timedelta(hours=1)), 401),
        Refusal("changed on the way (erp)", crms["erp"].request([samples["erp"]], now).tampered(), 401),
        Refusal("changed on the way (hubspot)", crms["hubspot"].request([samples["hubspot"]], now).tampered(), 401),
        Refusal(
            "no token (servicedesk)", _without_headers(crms["servicedesk"].request([samples["servicedesk"]], now)), 401
        ),
        Refusal("for a source nobody configured", nobody, 404),
        Refusal("not JSON", crm.raw("bad-json", b"<xml>not json</xml>", now), 400),
        Refusal("nested 100,000 levels deep", crm.raw("bad-deep", deep, now), 400),
        Refusal("the same key twice", crm.raw("bad-keys", twice, now), 400),
        Refusal("larger than 1 MB", crm.raw("bad-large", large, now), 413),
    ]


def rejected_items(crm: StandardCrm, now: datetime) -> list[Request]:
    """Return authentic requests that do not map; the server keeps them as rejected, with the reason."""
    unknown = {"type": "lead.craeted", "timestamp": _text(now), "data": {"id": "LD-typo"}}
    money = {"type": "quote.submitted", "timestamp": _text(now), "data": {"id": "QT-money", "amount": "1e999999"}}
    return [crm.message("demo-unknown-type", unknown, now), crm.message("demo-money", money, now)]


def contradiction(crm: StandardCrm, fact: Fact, now: datetime) -> Request:
    """Return a request under an id already used, with another body: the first one stands."""
    body = {"type": fact.type, "timestamp": _text(fact.at), "data": {**fact.data, "requirement": "Another text."}}
    return crm.message(fact.id, body, now)


def _without_headers(request: Request) -> Request:
    return replace(request, headers={"Content-Type": "application/json"})


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
