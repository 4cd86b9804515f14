"""Family two: SHA-1 over sorted strings and an AES-256-CBC envelope (企业微信, 钉钉, 用友, 纷享销客)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from core.host.secrets import SecretUnavailable
from core.model.errors import SignatureRefused, UnreadableBody
from webhooks.adapter import InboundRequest
from webhooks.verifiers.comparing import any_equal, check_time, refused
from webhooks.verifiers.padding import pad, unpad
from webhooks.verifiers.parts import secret_parts, text_member

BLOCK = 32
RANDOM = 16

# The ciphertext is all that is signed, so it is cut out as bytes: no XML parser sees a stranger's body.
_ENCRYPT = re.compile(rb"<Encrypt>\s*(?:<!\[CDATA\[)?([A-Za-z0-9+/=]+)(?:\]\]>)?\s*</Encrypt>")


@dataclass(frozen=True, slots=True, kw_only=True)
class WxBiz:
    """The envelope with its variants as parameters.

    A secret is JSON text with `token` and `encoding_aes_key`, and `receive_id` where the sender appends one.
    For 用友 it is `app_key` and `app_secret`. The names are the sender's words for signature, timestamp and
    nonce, each with the alternatives seen; `place` says whether they stand in the query or in the body.
    """

    place: str = "query"
    envelope: str = "xml"
    cipher: str = "encrypt"
    signature_names: tuple[str, ...] = ("msg_signature",)
    timestamp_names: tuple[str, ...] = ("timestamp",)
    nonce_names: tuple[str, ...] = ("nonce",)
    trailing_id: bool = True
    tolerance_s: int | None = None
    timestamp_per_second: int = 1

    def verify(self, request: InboundRequest, secrets: Sequence[bytes]) -> bytes:
        """Return the decrypted message. Raises SignatureRefused, the same for every way it can fail."""
        fields = self._fields(request)
        signature, timestamp, nonce = (
            _first(fields, names) for names in (self.signature_names, self.timestamp_names, self.nonce_names)
        )
        ciphertext = self._ciphertext(request)
        if self.tolerance_s is not None:
            check_time(
                timestamp.encode(),
                request.received_at,
                per_second=self.timestamp_per_second,
                tolerance_s=self.tolerance_s,
                header=self.timestamp_names[0],
            )
        for secret in secrets:
            parts = secret_parts(secret)
            expected = sign(token_of(parts), timestamp, nonce, ciphertext)
            if any_equal(signature.encode(), [expected.encode()]):
                return self.open(ciphertext, parts)
        raise refused()

    def open(self, ciphertext: str, parts: Mapping[str, str]) -> bytes:
        """Decrypt one message and check whom it is for. Raises SignatureRefused."""
        key = aes_key(parts)
        try:
            sealed = base64.b64decode(ciphertext, validate=True)
        except binascii.Error:
            raise refused() from None
        if not sealed or len(sealed) % 16:
            raise refused()
        decryptor = Cipher(AES(key), CBC(key[:16])).decryptor()
        plain = unpad(decryptor.update(sealed) + decryptor.finalize(), BLOCK)
        if plain is None or len(plain) < RANDOM + 4:
            raise refused()
        end = RANDOM + 4 + int.from_bytes(plain[RANDOM : RANDOM + 4], "big")
        receiver = plain[end:] if end <= len(plain) else None
        wanted = receiver_of(parts).encode() if self.trailing_id else b""
        if receiver is None or not any_equal(receiver, [wanted]):
            raise refused()
        return plain[RANDOM + 4 : end]

    def seal(self, message: bytes, parts: Mapping[str, str], random: bytes) -> str:
        """Encrypt an answer as this sender wants it; `random` is 16 fresh bytes."""
        key = aes_key(parts)
        receiver = receiver_of(parts).encode() if self.trailing_id else b""
        plain = pad(random + len(message).to_bytes(4, "big") + message + receiver, BLOCK)
        encryptor = Cipher(AES(key), CBC(key[:16])).encryptor()
        return base64.b64encode(encryptor.update(plain) + encryptor.finalize()).decode()

    def _fields(self, request: InboundRequest) -> Mapping[str, object]:
        if self.place == "query":
            return request.query
        document = _document(request)
        return document if isinstance(document, dict) else {}

    def _ciphertext(self, request: InboundRequest) -> str:
        if self.envelope == "xml":
            found = _ENCRYPT.findall(request.body)
            if len(found) != 1:
                raise SignatureRefused("The body has no single Encrypt element.")
            return str(found[0].decode())
        return text_member(_document(request), self.cipher)


def sign(*texts: str) -> str:
    """Return the SHA-1 of the sorted texts, in hex."""
    return hashlib.sha1("".join(sorted(texts)).encode(), usedforsecurity=False).hexdigest()


def token_of(parts: Mapping[str, str]) -> str:
    """Return the text that takes part in the signature."""
    return parts.get("token") or parts.get("app_secret", "")


def receiver_of(parts: Mapping[str, str]) -> str:
    """Return the id that must stand behind the message."""
    return parts.get("receive_id") or parts.get("app_key", "")


def aes_key(parts: Mapping[str, str]) -> bytes:
    """Return the 32-byte key: the base64 of 43 characters, for 用友 made from the application's secret.

    Raises SecretUnavailable when it is none.
    """
    text = parts.get("encoding_aes_key") or parts.get("app_secret", "").replace("-", "").ljust(43, "0")
    try:
        key = base64.b64decode(text + "=")
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise SecretUnavailable("The secret of this source holds no AES key of 43 base64 characters.")
    return key


def _document(request: InboundRequest) -> object:
    try:
        return request.document()
    except UnreadableBody:
        raise SignatureRefused("The envelope is not JSON.") from None


def _first(fields: Mapping[str, object], names: Sequence[str]) -> str:
    for name in names:
        value = fields.get(name)
        if isinstance(value, str):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
    raise SignatureRefused(f"The request has no {names[0]}.")
