"""Family one: a digest over the raw bytes, in a header (GitHub, Frappe, EspoCRM, Twenty, HubSpot)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.model.errors import SignatureRefused
from webhooks.adapter import InboundRequest, Verifier
from webhooks.verifiers.comparing import TOLERANCE_S, any_equal, check_time, refused

DIGESTS = ("sha256", "sha512", "sha384", "sha1")
ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "hex": lambda digest: digest.hex().encode(),
    "base64": base64.b64encode,
    "raw": bytes,
}

Content = Callable[[InboundRequest, bytes], bytes]
"""Builds the signed bytes from the request and its timestamp header (empty when there is none)."""


def raw_body(request: InboundRequest, timestamp: bytes) -> bytes:
    """The content most senders sign: the body, byte for byte."""
    return request.body


def unchanged(shown: bytes) -> bytes | None:
    """Take a header's value as it is."""
    return shown


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedBytes:
    """A digest of `content` under the secret, shown in `header`.

    `keyed` says HMAC; otherwise the digest is a plain one of secret and content. `unwrap` finds the signature
    inside the header's value. With `timestamp_header` the time must lie within `tolerance_s`.
    """

    header: str
    digest: str = "sha256"
    encoding: str = "hex"
    prefix: bytes = b""
    keyed: bool = True
    content: Content = raw_body
    unwrap: Callable[[bytes], bytes | None] = unchanged
    timestamp_header: str | None = None
    timestamp_per_second: int = 1
    tolerance_s: int = TOLERANCE_S

    def verify(self, request: InboundRequest, secrets: Sequence[bytes]) -> bytes:
        """Return the body. Raises SignatureRefused."""
        shown = request.header(self.header)
        if not shown:
            raise SignatureRefused(f"The request has no {self.header} header.")
        timestamp = b""
        if self.timestamp_header:
            timestamp = request.header(self.timestamp_header)
            check_time(
                timestamp,
                request.received_at,
                per_second=self.timestamp_per_second,
                tolerance_s=self.tolerance_s,
                header=self.timestamp_header,
            )
        if not shown.startswith(self.prefix):
            raise refused()
        signature = self.unwrap(shown[len(self.prefix) :])
        content = self.content(request, timestamp)
        if signature is None or not any_equal(signature, [self._expected(secret, content) for secret in secrets]):
            raise refused()
        return request.body

    def _expected(self, secret: bytes, content: bytes) -> bytes:
        if self.keyed:
            digest = hmac.digest(secret, content, self.digest)
        else:
            digest = hashlib.new(self.digest, secret + content).digest()
        return ENCODINGS[self.encoding](digest)


@dataclass(frozen=True, slots=True)
class ByHeader:
    """Several signatures side by side: the first whose header was sent decides, and the others do not count.

    A sender's newest signature comes first, so that spoiling it does not fall back to a weaker one.
    """

    choices: tuple[tuple[str, Verifier], ...]

    def verify(self, request: InboundRequest, secrets: Sequence[bytes]) -> bytes:
        """Return the payload. Raises SignatureRefused."""
        for header, verifier in self.choices:
            if request.headers.get(header) is not None:
                return verifier.verify(request, secrets)
        names = " or ".join(header for header, _ in self.choices)
        raise SignatureRefused(f"The request has no {names} header.")


@dataclass(frozen=True, slots=True)
class AllOf:
    """Several proofs, each of which must hold; the payload is that of the last."""

    verifiers: tuple[Verifier, ...]

    def verify(self, request: InboundRequest, secrets: Sequence[bytes]) -> bytes:
        """Return the last verifier's payload. Raises SignatureRefused when any one refuses."""
        payload = request.body
        for verifier in self.verifiers:
            payload = verifier.verify(request, secrets)
        return payload
