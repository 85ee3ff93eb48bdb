# SPDX-License-Identifier: Apache-2.0
"""BACnet service: the process `bacnet`, `northbound.bacnet` of the configuration.

Copies each record of the agent into the objects, and fills the trend logs from the agent's log.
Without `northbound.writes` the device is read-only: no acknowledgement and no set-point.
"""

import asyncio

from deploy.errors import OpsError
from deploy.northbound.bacnet.device import make_device
from deploy.northbound.bacnet.log_fill import fill_from_log
from deploy.northbound.process.context import ServerContext
from deploy.northbound.process.supervisor import start_once

_REFRESH_S = 0.1


async def serve(context: ServerContext) -> None:
    """Serve until cancelled. Raises OpsError: an address or a network is wrong."""
    writer = context.writer if context.settings.key_file() is not None else None
    section, first = context.section("bacnet"), context.source.read()
    try:
        device = make_device(section, first, context.audit, writer, context.settings.state)
    except ValueError as error:
        raise OpsError(f"northbound.bacnet: {error}") from None
    current: tuple[int, bool] | None = None
    filling = start_once("trend logs", fill_from_log(device.trends, context.settings.raw))
    try:
        while True:
            snapshot = context.source.read()
            if (snapshot.sequence, snapshot.stale) != current:
                current = (snapshot.sequence, snapshot.stale)
                device.update(snapshot)
            await asyncio.sleep(_REFRESH_S)
    finally:
        filling.cancel()
        device.close()
