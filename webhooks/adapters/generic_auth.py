"""The `auth` option of the generic adapter: which of the verifier families, with which parameters."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from core.model.errors import did_you_mean
from webhooks.adapter import Fault, InboundRequest, Verifier
from webhooks.option_faults import unknown_keys
from webhooks.verifiers.network import NetworkIdentity, parse_networks
from webhooks.verifiers.signed import DIGESTS, AllOf, SignedBytes
from webhooks.verifiers.static import PLACES, StaticSecret

KINDS = (*PLACES, "hmac", "network")
_STATIC_KEYS = {
    "header": ("name", "prefix"),
    "query": ("name",),
    "basic": (),
    "body": ("name",),
    "hmac": ("name", "digest", "encoding", "prefix", "content", "timestamp_header", "timestamp_unit"),
    "network": (),
}
_UNITS = {"s": 1, "ms": 1000}
_PART = re.compile(r"\{(body|timestamp|method|url)\}")
_PARTS: dict[str, Callable[[InboundRequest, bytes], bytes]] = {
    "body": lambda request, timestamp: request.body,
    "timestamp": lambda request, timestamp: timestamp,
    "method": lambda request, timestamp: request.method.encode(),
    "url": lambda request, timestamp: request.url_bytes(),
}


def auth_faults(auth: Any) -> list[Fault]:
    """Return every fault of the `auth` table."""
    if not isinstance(auth, Mapping):
        return [{"path": "auth", "message": 'This must be a table such as { kind = "header", name = "X-Token" }.'}]
    kind = auth.get("kind", "header")
    if kind not in KINDS:
        hint = did_you_mean(str(kind), KINDS)
        return [{"path": "auth.kind", "message": f"One of {', '.join(KINDS)}.{hint}"}]
    faults = unknown_keys(auth, ("kind", "networks", *_STATIC_KEYS[kind]), "auth.")
    for key in _STATIC_KEYS[kind]:
        if not isinstance(auth.get(key, ""), str):
            faults.append({"path": f"auth.{key}", "message": "This must be a text."})
    if kind in ("query", "body", "hmac") and not auth.get("name"):
        faults.append({"path": "auth.name", "message": f"Say the name under which the {kind} carries its proof."})
    if kind == "network" and not auth.get("networks"):
        faults.append({"path": "auth.networks", "message": 'List the sender\'s networks, such as "192.0.2.0/24".'})
    if "networks" in auth:
        faults += _network_faults(auth["networks"])
    if kind == "hmac" and not faults:
        faults += _hmac_faults(auth)
    return faults


def _network_faults(networks: Any) -> list[Fault]:
    if not isinstance(networks, list) or not all(isinstance(item, str) for item in networks):
        return [{"path": "auth.networks", "message": "This must be a list of networks in CIDR form."}]
    try:
        parse_networks(networks)
    except ValueError as error:
        return [{"path": "auth.networks", "message": f"{error}."}]
    return []


def _hmac_faults(auth: Mapping[str, Any]) -> list[Fault]:
    faults = []
    for key, known in (
        ("digest", DIGESTS),
        ("encoding", ("hex", "base64")),
        ("timestamp_unit", tuple(_UNITS)),
    ):
        value = auth.get(key)
        if value is not None and value not in known:
            message = f"One of {', '.join(known)}.{did_you_mean(value, known)}"
            faults.append({"path": f"auth.{key}", "message": message})
    content = auth.get("content", "{body}")
    if "{body}" not in content:
        faults.append({"path": "auth.content", "message": "Without {body} the signature would not cover the body."})
    if bool(auth.get("timestamp_header")) != ("{timestamp}" in content):
        faults.append(
            {
                "path": "auth.timestamp_header",
                "message": "A timestamp protects only when it is signed: give both timestamp_header and "
                "{timestamp} in content, or neither.",
            }
        )
    return faults


def build_verifier(auth: Mapping[str, Any]) -> Verifier:
    """Build the verifier that a faultless `auth` table describes."""
    kind = auth.get("kind", "header")
    networks = parse_networks(auth.get("networks", ()))
    place = NetworkIdentity(networks=networks) if networks else None
    if kind == "network" and place is not None:
        return place
    proof: Verifier
    if kind == "hmac":
        proof = SignedBytes(
            header=auth["name"],
            digest=auth.get("digest", "sha256"),
            encoding=auth.get("encoding", "hex"),
            prefix=auth.get("prefix", "").encode(),
            content=_content(auth.get("content", "{body}")),
            timestamp_header=auth.get("timestamp_header"),
            timestamp_per_second=_UNITS[auth.get("timestamp_unit", "s")],
        )
    elif kind == "header" and "name" not in auth:
        proof = StaticSecret(place="header", name="Authorization", prefix=auth.get("prefix", "Bearer "))
    else:
        proof = StaticSecret(place=kind, name=auth.get("name", ""), prefix=auth.get("prefix", ""))
    return AllOf((place, proof)) if place is not None else proof


def _content(template: str) -> Callable[[InboundRequest, bytes], bytes]:
    pieces = _PART.split(template)  # texts and names of parts, by turns

    def build(request: InboundRequest, timestamp: bytes) -> bytes:
        return b"".join(
            _PARTS[piece](request, timestamp) if position % 2 else piece.encode()
            for position, piece in enumerate(pieces)
        )

    return build
