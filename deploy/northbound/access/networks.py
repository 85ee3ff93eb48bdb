# SPDX-License-Identifier: Apache-2.0
"""Whether the address of a client or of a destination is in one of the permitted networks.

Does not read the configuration and does not look up names.
"""

import ipaddress
from collections.abc import Iterable, Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def is_in_networks(address: str, networks: Sequence[Network]) -> bool:
    """Return whether one of `networks` has the address. IPv4 in the form of IPv6 counts as IPv4.

    Raises ValueError: not an address.
    """
    found = ipaddress.ip_address(address)
    found = getattr(found, "ipv4_mapped", None) or found
    return any(found in network for network in networks)


def client_network(address: str) -> str:
    """Return what one client can own: its address, or the /64 of an IPv6 address (RFC 6177).

    What is no address is returned as it is.
    """
    if ":" not in address:
        return address
    try:
        found = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return f"{ipaddress.IPv6Address(int(found) >> 64 << 64)}/64"


class PermittedNetworks:
    """Networks of clients, from their texts. Raises ValueError: not a network."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(text) for text in networks]

    def has(self, address: str) -> bool:
        """Return whether one of them has the address; no for what is no address."""
        try:
            return is_in_networks(address, self._networks)
        except ValueError:
            return False
