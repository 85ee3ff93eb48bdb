# SPDX-License-Identifier: Apache-2.0
"""SNMP service: the process `snmp`, `northbound.snmp` of the configuration."""

from deploy.northbound.process.context import ServerContext
from deploy.northbound.process.listener import activated
from deploy.northbound.snmp.process import SnmpProcess, SnmpSettings


async def serve(context: ServerContext) -> None:
    """Serve until cancelled. Raises OpsError: a key is missing or wrong, or there is no snmpd."""
    settings = context.settings
    snmp = SnmpSettings.of(
        context.section("snmp"), settings.path.parent, settings.state, settings.folder
    )
    sockets = sum(len(found) for found in activated().values())
    await SnmpProcess(snmp, context.source, sockets).run()
