"""Reads the parts of a compound secret, and single texts out of an unverified JSON document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from core.host.secrets import SecretUnavailable
from core.model.errors import SignatureRefused


@lru_cache(maxsize=256)
def secret_parts(secret: bytes) -> Mapping[str, str]:
    """Return the parts of a secret that is a JSON object of texts: `{"token": …, "encoding_aes_key": …}`.

    Raises SecretUnavailable without repeating anything of it.
    """
    try:
        parts = json.loads(secret)
    except ValueError:
        parts = None
    if not isinstance(parts, dict) or not all(isinstance(value, str) for value in parts.values()):
        raise SecretUnavailable("The secret of this source must be a JSON object of texts, as its adapter documents.")
    return MappingProxyType(parts)


def member(document: object, path: str) -> object:
    """Follow a dotted path through objects; None where it leads nowhere."""
    for name in path.split("."):
        document = document.get(name) if isinstance(document, dict) else None
    return document


def text_member(document: object, path: str) -> str:
    """Return the text at a dotted path. Raises SignatureRefused when there is none."""
    value = member(document, path)
    if not isinstance(value, str):
        raise SignatureRefused(f"The body has no text at {path}.")
    return value
