"""Reads the keys that sign outgoing webhooks."""

from __future__ import annotations

import base64
import binascii

from core.host.secrets import resolve_secret
from core.model.errors import OutriggerError


def signing_key(reference: str) -> bytes:
    """Return the key behind a secret reference; a `whsec_` secret is base64, anything else is used as it is."""
    secret = resolve_secret(reference)
    if secret.startswith(b"whsec_"):
        try:
            return base64.b64decode(secret[6:], validate=True)
        except binascii.Error:
            raise OutriggerError(f"The secret {reference} starts with whsec_ but is no base64 behind it.") from None
    return secret
