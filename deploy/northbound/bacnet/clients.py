# SPDX-License-Identifier: Apache-2.0
"""Clients of the device: the address of a request, and which addresses may change something.

Does not know services. The networks are `northbound.bacnet.networks` of the configuration.
"""

from collections.abc import Iterable
from typing import Any

from deploy.northbound.access.networks import PermittedNetworks

PROTOCOL = "bacnet"
"""Name of the protocol in the audit log."""


class PermittedClients:
    """Clients that can acknowledge and write, by network. BACnet has no other proof of identity."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = PermittedNetworks(networks)

    def has(self, source: Any) -> bool:
        """Return whether the address of a request is in one of them."""
        return self._networks.has(host_of(source))


def host_of(source: Any) -> str:
    """Return the IP address of a BACnet address, without its port.

    Of a client behind a BACnet router: its network number and its address there. This is a text of
    the request, so it is in no permitted network.
    """
    text = str(source).rpartition("@")[2]
    host = text.partition(":")[0]
    return text if host.isdecimal() else host
