# SPDX-License-Identifier: Apache-2.0
"""Routes to other BACnet networks, within limits: any host can send messages about them.

Does not route. bacpypes3 keeps each route that it learns, without a limit.
"""

from typing import Any

from bacpypes3.netservice import RouterInfoCache

_MAX_ROUTERS = 64


class BoundedRouterCache(RouterInfoCache):
    """Routes to other networks, learned from their messages; at most 64."""

    async def set_path_info(self, snet: Any, dnet: Any, address: Any, status: Any) -> bool:
        """Keep a route if there is room."""
        if len(self.path_info) >= _MAX_ROUTERS and (snet, dnet) not in self.path_info:
            return False
        return bool(await super().set_path_info(snet, dnet, address, status))

    async def set_router_dnets(self, snet: Any, address: Any, dnets: Any) -> bool:
        """Keep the networks of a router if there is room."""
        if len(self.router_dnets) >= _MAX_ROUTERS or len(dnets) > _MAX_ROUTERS:
            return False
        return bool(await super().set_router_dnets(snet, address, dnets))

    async def update_source_network(self, old_snet: Any, new_snet: Any) -> None:
        """Take over the routes when the own network gets a number; bacpypes3 expects all of them.

        Any host can send that number, so a route can be there under the new number already.
        """
        for known in (self.router_dnets, self.path_info):
            for key in [key for key in known if key[0] == old_snet]:
                known[(new_snet, key[1])] = known.pop(key)
