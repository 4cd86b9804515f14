"""Family four: a secret shown as it is, in a header, the query, Basic credentials or the body itself."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from core.model.errors import SignatureRefused
from webhooks.adapter import InboundRequest
from webhooks.verifiers.comparing import any_equal, refused
from webhooks.verifiers.parts import text_member

PLACES = ("header", "query", "basic", "body")


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticSecret:
    """A secret in `place`, under `name`: a header, a query parameter, or a dotted path into a JSON body.

    For `basic` the secret is `user:password`. `prefix` stands before it in a header, such as `Bearer `.
    """

    place: str = "header"
    name: str = "Authorization"
    prefix: str = ""

    def verify(self, request: InboundRequest, secrets: Sequence[bytes]) -> bytes:
        """Return the body. Raises SignatureRefused, or UnreadableBody where the body should hold it."""
        if not any_equal(self._shown(request), secrets):
            raise refused()
        return request.body

    def _shown(self, request: InboundRequest) -> bytes:
        if self.place == "basic":
            scheme, _, credentials = request.header("Authorization").partition(b" ")
            if scheme.lower() != b"basic":
                raise SignatureRefused("The request has no Basic credentials.")
            try:
                return base64.b64decode(credentials, validate=True)
            except ValueError:
                raise refused() from None
        if self.place == "query":
            return request.query.get(self.name, "").encode("utf-8", "surrogatepass")
        if self.place == "body":
            return text_member(request.document(), self.name).encode()
        shown = request.header(self.name)
        prefix = self.prefix.encode()
        if not shown.startswith(prefix):
            raise refused()
        return shown[len(prefix) :]
