# SPDX-License-Identifier: Apache-2.0
"""Whether the address of a client or of a destination is in one of the permitted networks.

Does not read the configuration and does not look up names.
"""

import ipaddress
from collections.abc import Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def is_in_networks(address: str, networks: Sequence[Network]) -> bool:
    """Return whether one of `networks` has the address. IPv4 in the form of IPv6 counts as IPv4.

    Raises ValueError: not an address.
    """
    found = ipaddress.ip_address(address)
    found = getattr(found, "ipv4_mapped", None) or found
    return any(found in network for network in networks)
