"""Checks of single values that several sections of plugins.toml have: addresses and references to secrets."""

from __future__ import annotations

from urllib.parse import urlsplit

import marshmallow as ma

from core.host.secrets import check_reference


def web_address(value: str) -> None:
    """Refuse what is no plain http or https address. Raises marshmallow.ValidationError."""
    try:
        parts = urlsplit(value)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.username
        _ = parts.port
    except ValueError:
        fits = False
    if not fits:
        raise ma.ValidationError("Not an http or https address (without a password in it).")


def secret_reference(value: str) -> None:
    """Refuse what is no reference to a secret, such as the secret itself. Raises marshmallow.ValidationError."""
    fault = check_reference(value)
    if fault:
        raise ma.ValidationError(fault)
