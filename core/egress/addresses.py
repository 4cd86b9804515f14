"""Decides which addresses an outgoing request may reach, so that a URL cannot be used to look inside the network."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

from core.model.errors import OutriggerError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class DestinationRefused(OutriggerError):
    """The destination resolves to an address that outgoing requests may not reach."""

    code = "egress.destination_refused"


_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_CGNAT = ipaddress.ip_network("100.64.0.0/10")


def innermost(address: Address) -> Address:
    """Return the IPv4 address inside an IPv6 transition form, else the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address.teredo is not None:
            return address.teredo[1]
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_allowed(address: Address, allow: Sequence[str]) -> bool:
    """Whether an address is public, or lies in one of the networks that IT allowed."""
    inner = innermost(address)
    for network in allow:
        parsed = ipaddress.ip_network(network, strict=False)
        if inner.version == parsed.version and inner in parsed:
            return True
    if inner.version == 4 and inner in _CGNAT:
        return False
    return inner.is_global and not inner.is_multicast and not inner.is_reserved


def resolve(host: str, port: int, allow: Sequence[str]) -> str:
    """Resolve a host once and return an address to connect to.

    Raises DestinationRefused when any of its addresses may not be reached, since a name with one public and one
    private address is how rebinding starts.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise OSError(f'the host "{host}" cannot be resolved: {error}') from None
    addresses = list(dict.fromkeys(ipaddress.ip_address(str(item[4][0]).partition("%")[0]) for item in found))
    for address in addresses:
        if not is_allowed(address, allow):
            raise DestinationRefused(
                f'"{host}" resolves to {address}, which is not a public address. If it is a system of your own, add'
                " its network to `egress_allow` under [dispatch] in plugins.toml."
            )
    return str(addresses[0])
