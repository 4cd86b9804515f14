"""The parameters by which each known sender fits its family; an adapter takes its verifier from here."""

from __future__ import annotations

import base64
import binascii
import re

from webhooks.adapter import InboundRequest, Verifier
from webhooks.verifiers.hashed_envelope import HashedEnvelope
from webhooks.verifiers.signed import ByHeader, SignedBytes
from webhooks.verifiers.standard_webhooks import StandardWebhooks
from webhooks.verifiers.wxbiz import WxBiz

# HubSpot decodes these, and only these, before it signs a URL with version 3.
_HUBSPOT_DECODED = {
    b"%3A": b":", b"%2F": b"/", b"%3F": b"?", b"%40": b"@", b"%21": b"!", b"%24": b"$",
    b"%27": b"'", b"%28": b"(", b"%29": b")", b"%2A": b"*", b"%2C": b",", b"%3B": b";",
}  # fmt: skip
_HUBSPOT_ESCAPE = re.compile(rb"%(?:3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)", re.IGNORECASE)


def hubspot_url(url: bytes) -> bytes:
    """Decode the escapes that HubSpot decodes before signing with version 3; others stay as they are."""
    return _HUBSPOT_ESCAPE.sub(lambda found: _HUBSPOT_DECODED[found.group().upper()], url)


def _hubspot_v3_content(request: InboundRequest, timestamp: bytes) -> bytes:
    return request.method.encode() + hubspot_url(request.url_bytes()) + request.body + timestamp


def _hubspot_v2_content(request: InboundRequest, timestamp: bytes) -> bytes:
    return request.method.encode() + request.url_bytes() + request.body


def _twenty_content(request: InboundRequest, timestamp: bytes) -> bytes:
    return timestamp + b":" + request.body


def _behind_webhook_id(shown: bytes) -> bytes | None:
    """Unwrap EspoCRM's base64 of `<webhook id>:<signature>`."""
    try:
        decoded = base64.b64decode(shown, validate=True)
    except binascii.Error:
        return None
    if base64.b64encode(decoded) != shown:
        return None
    webhook_id, _, signature = decoded.partition(b":")
    return signature if webhook_id else None


STANDARD: Verifier = StandardWebhooks()
GITHUB: Verifier = SignedBytes(header="X-Hub-Signature-256", prefix=b"sha256=")
FRAPPE: Verifier = SignedBytes(header="X-Frappe-Webhook-Signature", encoding="base64")
HUBSPOT_V1: Verifier = SignedBytes(header="X-HubSpot-Signature", keyed=False)
HUBSPOT_V2: Verifier = SignedBytes(header="X-HubSpot-Signature", keyed=False, content=_hubspot_v2_content)
HUBSPOT_V3: Verifier = SignedBytes(
    header="X-HubSpot-Signature-v3",
    encoding="base64",
    content=_hubspot_v3_content,
    timestamp_header="X-HubSpot-Request-Timestamp",
    timestamp_per_second=1000,
)
TWENTY: Verifier = SignedBytes(
    header="X-Twenty-Webhook-Signature",
    content=_twenty_content,
    timestamp_header="X-Twenty-Webhook-Timestamp",
    timestamp_per_second=1000,
)
ESPOCRM: Verifier = ByHeader(
    (
        ("Signature", SignedBytes(header="Signature", unwrap=_behind_webhook_id)),
        ("X-Signature", SignedBytes(header="X-Signature", unwrap=_behind_webhook_id, encoding="raw")),
    )
)
WECOM: Verifier = WxBiz()
DINGTALK: Verifier = WxBiz(
    envelope="json",
    signature_names=("msg_signature", "signature"),
    timestamp_names=("timestamp", "timeStamp"),
)
YONYOU: Verifier = WxBiz(place="body", envelope="json", signature_names=("msgSignature",))
FXIAOKE: Verifier = WxBiz(
    place="body",
    envelope="json",
    cipher="content",
    signature_names=("sig",),
    timestamp_names=("timeStamp",),
    trailing_id=False,
    tolerance_s=500,
    timestamp_per_second=1000,
)
FEISHU: Verifier = HashedEnvelope()
