"""Family five: who a sender is told by its network address, and by a value it must repeat (Salesforce)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.model.errors import SignatureRefused
from webhooks.adapter import InboundRequest
from webhooks.verifiers.comparing import any_equal, refused

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Extract = Callable[[InboundRequest], str]
"""Finds the value in the request that must equal one of the source's secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkIdentity:
    """Accepts requests from `networks`, and with `value_of` only those whose value equals one of the secrets.

    The address is that of the connection, or the one a trusted proxy names when the server is told how many
    proxies stand before it.
    """

    networks: tuple[Network, ...] = ()
    value_of: Extract | None = None

    def __post_init__(self) -> None:
        """Refuse to be built without any condition, since that would accept everybody."""
        if not self.networks and self.value_of is None:
            raise ValueError("a network identity needs networks or a required value")

    def verify(self, request: InboundRequest, secrets: Sequence[bytes]) -> bytes:
        """Return the body. Raises SignatureRefused."""
        if self.networks and not self._is_inside(request.remote_addr):
            raise SignatureRefused("Requests from this network address are not accepted for this source.")
        if self.value_of is not None and not any_equal(self.value_of(request).encode(), secrets):
            raise refused()
        return request.body

    def _is_inside(self, address: str) -> bool:
        try:
            client = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = getattr(client, "ipv4_mapped", None)
        return any((mapped or client) in network for network in self.networks)


def parse_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Read networks in CIDR form. Raises ValueError naming the one that is none."""
    return tuple(ipaddress.ip_network(text) for text in texts)
