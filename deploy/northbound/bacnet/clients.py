# SPDX-License-Identifier: Apache-2.0
"""Clients of the device: who sends a request, and which addresses may change something.

Does not know services. The networks are `northbound.bacnet.networks` of the configuration.

A message has two kinds of addresses. That of its datagram is known by the reply that arrives there;
limits and rights belong to it. What the message says of its origin is only a text: the network and
the address behind a BACnet router, and the address in a Forwarded-NPDU. It is in the name of the
user for the audit log, and a client that names such an origin has no rights.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from deploy.northbound.access.networks import PermittedNetworks

PROTOCOL = "bacnet"
"""Name of the protocol in the audit log."""


@dataclass(frozen=True, slots=True)
class BacnetPeer:
    """Who sends a message. `host`: IP address of its datagram. `claimed`: another origin, or ""."""

    host: str
    claimed: str = ""

    @property
    def user(self) -> str:
        """The name in the audit log."""
        return f"{self.claimed} via {self.host}" if self.claimed else self.host


class PermittedClients:
    """Clients that can acknowledge and write, by network. BACnet has no other proof of identity."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = PermittedNetworks(networks)

    def has(self, peer: BacnetPeer) -> bool:
        """Return whether one of them has the address of a datagram that names no other origin."""
        return not peer.claimed and self.has_host(peer.host)

    def has_host(self, host: str) -> bool:
        """Return whether one of them has an address. For limits; `has` is for rights."""
        return self._networks.has(host)


def peer_of(pdu: Any) -> BacnetPeer:
    """Return who sends a message. `datagram_filter` has noted the address of its datagram."""
    origin, _, _ = str(pdu.pduSource).rpartition("@")
    sent = sender_of(pdu.pduSource)
    host = pdu.pduUserData or sent
    if host != sent:
        origin = f"{origin}@{sent}" if origin else sent
    return BacnetPeer(host, origin)


def sender_of(address: Any) -> str:
    """Return the IP address of a client, or of the BACnet router that it is behind.

    The network layer notes the router, see `router_cache`. Only a broadcast can come from another
    address, see `datagram_filter`.
    """
    return str(address).rpartition("@")[2].partition(":")[0]
