"""Says whether a secret has a form with which its source's verifier can verify anything at all; never shows it."""

from __future__ import annotations

import base64
import binascii

from core.host.settings import SourceSettings
from core.model.errors import ConfigurationRefused
from webhooks.adapter import ADAPTERS
from webhooks.verifiers.standard_webhooks import StandardWebhooks

KEY_BYTES = range(24, 65)
"""How long a Standard Webhooks key is."""
PUBLIC_KEY_BYTES = 32


def check_secret(source: SourceSettings, secret: bytes) -> str | None:
    """Return what is wrong with the form of one of a source's secrets, or None when nothing is."""
    adapter = ADAPTERS.get(source.adapter)
    if adapter is None:
        return None  # the check of the source says so
    try:
        # An adapter that knows several proofs, such as HubSpot's versions, has no single one.
        verifier = getattr(adapter(source), "verifier", None)
    except ConfigurationRefused:
        return None  # the same: its options have faults
    return standard_fault(secret) if isinstance(verifier, StandardWebhooks) else None


def standard_fault(secret: bytes) -> str | None:
    """Return what is wrong with a Standard Webhooks secret: `whsec_` and `whpk_` need base64, others are raw."""
    if secret != secret.strip():
        return "it begins or ends with white space, which is part of the secret and most often a slip of copying."
    if secret.startswith(b"whsk_"):
        return "it is a private key (whsk_), which only the sender may have; put its public key (whpk_) here."
    if secret.startswith(b"whpk_"):
        size = _decoded_size(secret[5:])
        return None if size == PUBLIC_KEY_BYTES else "behind whpk_ there must be base64 of a public key of 32 bytes."
    if secret.startswith(b"whsec_"):
        size = _decoded_size(secret[6:])
        if size is None:
            return "behind whsec_ there must be base64; copy the secret again, as a whole."
        if size not in KEY_BYTES:
            return f"behind whsec_ there must be base64 of a key of 24 to 64 bytes; it is one of {size}."
    return None


def _decoded_size(text: bytes) -> int | None:
    try:
        return len(base64.b64decode(text, validate=True))
    except binascii.Error:
        return None
