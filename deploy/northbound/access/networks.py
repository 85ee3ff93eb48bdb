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
