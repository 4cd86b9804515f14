"""Family one, as Standard Webhooks 1.0 has it: `v1` by HMAC-SHA256 and `v1a` by Ed25519, several at once."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from core.model.errors import SignatureRefused
from webhooks.adapter import InboundRequest
from webhooks.verifiers.comparing import TOLERANCE_S, any_equal, check_time, refused

MAX_ID = 256


@dataclass(frozen=True, slots=True)
class StandardWebhooks:
    """Verifies `webhook-signature` over `id.timestamp.body`; `names` is the headers' prefix."""

    names: str = "webhook-"
    tolerance_s: int = TOLERANCE_S

    def verify(self, request: InboundRequest, secrets: Sequence[bytes]) -> bytes:
        """Return the body. Raises SignatureRefused."""
        message_id = request.header(self.names + "id")
        timestamp = request.header(self.names + "timestamp")
        if not message_id or not is_id(message_id):
            raise SignatureRefused(
                f"{self.names}id must hold the message's id: 1 to {MAX_ID} visible ASCII characters and no full stop."
            )
        check_time(
            timestamp,
            request.received_at,
            per_second=1,
            tolerance_s=self.tolerance_s,
            header=self.names + "timestamp",
        )
        content = b".".join((message_id, timestamp, request.body))
        symmetric: list[bytes] = []
        found = False
        for entry in request.header(self.names + "signature").split(b" "):
            version, _, signature = entry.partition(b",")
            if version == b"v1":
                symmetric = symmetric or _signatures(content, secrets)
                found |= any_equal(signature, symmetric)
            elif version == b"v1a":
                found |= _fits_public_key(content, signature, secrets)
        if not found:
            raise refused()
        return request.body


def is_id(message_id: bytes) -> bool:
    """Whether an id can be told apart from the timestamp behind it, and be kept as text."""
    return len(message_id) <= MAX_ID and b"." not in message_id and all(0x21 <= byte <= 0x7E for byte in message_id)


def _signatures(content: bytes, secrets: Sequence[bytes]) -> list[bytes]:
    keys = [key for secret in secrets for key in hmac_keys(secret)]
    return [base64.b64encode(hmac.digest(key, content, "sha256")) for key in keys]


@lru_cache(maxsize=256)
def hmac_keys(secret: bytes) -> tuple[bytes, ...]:
    """Return the keys a secret may stand for.

    `whsec_` is followed by base64. A secret without that prefix is taken as it is, and as base64 when it is
    that, since libraries differ. A public key signs nothing.
    """
    if secret.startswith((b"whpk_", b"whsk_")):
        return ()
    text = secret.removeprefix(b"whsec_")
    keys = [] if text != secret else [secret]
    try:
        decoded = base64.b64decode(text, validate=True)
    except binascii.Error:
        decoded = b""
    if decoded:
        keys.append(decoded)
    return tuple(keys)


@lru_cache(maxsize=256)
def _public_key(secret: bytes) -> Ed25519PublicKey | None:
    if not secret.startswith(b"whpk_"):
        return None
    try:
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(secret[5:], validate=True))
    except (binascii.Error, ValueError):
        return None


def _fits_public_key(content: bytes, signature: bytes, secrets: Sequence[bytes]) -> bool:
    try:
        decoded = base64.b64decode(signature, validate=True)
    except binascii.Error:
        return False
    if base64.b64encode(decoded) != signature:
        return False  # base64 has spare bits; only the one canonical spelling counts
    for secret in secrets:
        key = _public_key(secret)
        if key is None:
            continue
        try:
            key.verify(decoded, content)
        except InvalidSignature:
            continue
        return True
    return False
