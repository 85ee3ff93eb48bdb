# SPDX-License-Identifier: Apache-2.0
"""Routes to other BACnet networks: none is kept, because an answer goes the way of its request.

Does not route. With its setting `route_aware`, bacpypes3 notes the router of each request beside
the network and the address of the client; answers and notifications go to this router. So the
device needs no table of routes, and no host can fill one or change it. Messages about routes and
about the number of the own network are dropped before; see `datagram_filter`.
"""

from typing import Any

from bacpypes3.netservice import RouterInfoCache
from bacpypes3.settings import settings

settings["route_aware"] = True


class NoRouterCache(RouterInfoCache):
    """Knows no route, and learns none."""

    async def update_path_info(self, snet: Any, address: Any, dnets: Any) -> None:
        """Ignore that a request came from a network."""

    async def set_path_info(self, snet: Any, dnet: Any, address: Any, status: Any) -> bool:
        """Ignore a route."""
        return False

    async def set_router_dnets(self, snet: Any, address: Any, dnets: Any) -> bool:
        """Ignore the networks of a router."""
        return False
