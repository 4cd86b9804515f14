"""Resolves references to secrets, such as `env:ERP_WEBHOOK_SECRET`: configuration never holds a secret."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from core.model.errors import OutriggerError

MAX_SECRET_BYTES = 16 * 1024


class SecretUnavailable(OutriggerError):
    """A secret that the configuration refers to cannot be read; nothing was accepted. Send it again later."""

    code = "secret.unavailable"
    http_status = 503


def check_reference(reference: str) -> str | None:
    """Return what is wrong with the form of a reference, or None; whether it resolves is another question.

    A text without a known scheme may be a secret pasted by mistake, so the answer never repeats it.
    """
    scheme, _, rest = reference.partition(":")
    if scheme == "env":
        if rest and rest.replace("_", "a").isalnum() and rest.isascii():
            return None
        return "env: needs the name of an environment variable behind it, such as env:ERP_WEBHOOK_SECRET."
    if scheme == "file":
        return (
            None if rest.startswith("/") else "file: needs an absolute path behind it, such as file:/run/secrets/erp."
        )
    return (
        "A secret is referred to as env:NAME or file:/path. What stands here is not shown, since it may be "
        "the secret itself; if it is, replace it."
    )


def resolve_secret(reference: str, environ: Mapping[str, str] | None = None) -> bytes:
    """Return the secret behind a reference. Raises SecretUnavailable, which names the reference and no more.

    `env:NAME` reads the variable NAME, or else the file that NAME_FILE names; `file:/path` reads that file.
    One line end at the end of a file is not part of the secret; an empty secret is refused.
    """
    fault = check_reference(reference)
    if fault:
        raise SecretUnavailable(fault)
    environ = os.environ if environ is None else environ
    scheme, _, rest = reference.partition(":")
    if scheme == "file":
        return _read(Path(rest), reference)
    if rest in environ:
        return _checked(environ[rest].encode("utf-8", "surrogateescape"), reference)
    path = environ.get(f"{rest}_FILE")
    if path is None:
        raise SecretUnavailable(
            f"The secret {reference} cannot be read: set {rest}, or {rest}_FILE to a file that holds it."
        )
    return _read(Path(path), reference)


def _read(path: Path, reference: str) -> bytes:
    try:
        with path.open("rb") as file:
            value = file.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise SecretUnavailable(
            f"The secret {reference} cannot be read from its file: {error.strerror or type(error).__name__}."
        ) from None
    if len(value) > MAX_SECRET_BYTES:
        raise SecretUnavailable(f"The file of the secret {reference} is larger than {MAX_SECRET_BYTES} bytes.")
    return _checked(value.removesuffix(b"\n").removesuffix(b"\r"), reference)


def _checked(value: bytes, reference: str) -> bytes:
    if not value:
        raise SecretUnavailable(f"The secret {reference} is empty; anybody could sign with that.")
    return value
