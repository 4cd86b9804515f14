"""Family three: a SHA-256 over a prefix and the raw body, and AES with its IV in the ciphertext (飞书)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from core.model.errors import SignatureRefused, UnreadableBody
from webhooks.adapter import InboundRequest
from webhooks.verifiers.comparing import any_equal, check_time, refused
from webhooks.verifiers.padding import unpad
from webhooks.verifiers.parts import text_member

BLOCK = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class HashedEnvelope:
    """Verifies `SHA-256(timestamp + nonce + key + raw body)` and decrypts the body's `member` if it has one.

    A body that is not encrypted is returned as it is, once its signature fits.
    """

    signature_header: str = "X-Lark-Signature"
    timestamp_header: str = "X-Lark-Request-Timestamp"
    nonce_header: str = "X-Lark-Request-Nonce"
    member: str = "encrypt"
    tolerance_s: int | None = None

    def verify(self, request: InboundRequest, secrets: Sequence[bytes]) -> bytes:
        """Return the decrypted payload. Raises SignatureRefused."""
        shown = request.header(self.signature_header)
        timestamp = request.header(self.timestamp_header)
        if self.tolerance_s is not None:
            check_time(
                timestamp,
                request.received_at,
                per_second=1,
                tolerance_s=self.tolerance_s,
                header=self.timestamp_header,
            )
        head = timestamp + request.header(self.nonce_header)
        for secret in secrets:
            expected = hashlib.sha256(head + secret + request.body).hexdigest().encode()
            if any_equal(shown, [expected]):
                return self._open(request, secret)
        raise refused()

    def _open(self, request: InboundRequest, secret: bytes) -> bytes:
        try:
            document = request.document()
        except UnreadableBody:
            raise SignatureRefused("The envelope is not JSON.") from None
        if not isinstance(document, dict) or self.member not in document:
            return request.body
        return decrypt(text_member(document, self.member), secret)


def decrypt(ciphertext: str, secret: bytes) -> bytes:
    """Decrypt base64 of IV and AES-256-CBC under SHA-256 of the secret. Raises SignatureRefused."""
    try:
        sealed = base64.b64decode(ciphertext, validate=True)
    except (binascii.Error, ValueError):
        raise refused() from None
    if len(sealed) < 2 * BLOCK or len(sealed) % BLOCK:
        raise refused()
    decryptor = Cipher(AES(hashlib.sha256(secret).digest()), CBC(sealed[:BLOCK])).decryptor()
    plain = unpad(decryptor.update(sealed[BLOCK:]) + decryptor.finalize(), BLOCK)
    if plain is None:
        raise refused()
    return plain
