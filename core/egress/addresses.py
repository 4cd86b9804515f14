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
_ISATAP = (0x00005EFE, 0x02005EFE)
"""What stands before the IPv4 address in the lower half of an ISATAP address."""

_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "100.64.0.0/10",  # carrier-grade NAT, and the metadata service of one cloud
        "168.63.129.16/32",  # the host beneath the machines of another
        "192.0.0.0/24",  # protocol assignments
        "192.88.99.0/24",  # the former 6to4 relays
        "2001::/23",  # protocol assignments
        "3fff::/20",  # documentation
        "fec0::/10",  # site-local, the forerunner of unique local addresses
    )
)
"""Networks that are not public although Python's table, which differs between its releases, may call them global."""


def innermost(address: Address) -> Address:
    """Return the IPv4 address inside an IPv6 transition form, else the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address.teredo is not None:
            return address.teredo[1]
        if address in _NAT64 or (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_allowed(address: Address, allow: Sequence[str]) -> bool:
    """Whether an address is public, or lies in one of the networks that IT allowed."""
    inner = innermost(address)
    for network in allow:
        parsed = ipaddress.ip_network(network, strict=False)
        if inner.version == parsed.version and inner in parsed:
            return True
    if any(inner.version == network.version and inner in network for network in _NOT_PUBLIC):
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
