# SPDX-License-Identifier: Apache-2.0
"""SNMP service: the process `snmp`, `northbound.snmp` of the configuration."""

from deploy.errors import OpsError
from deploy.northbound.process.context import ServerContext
from deploy.northbound.process.listener import activated
from deploy.northbound.snmp.process import SnmpProcess, SnmpSettings

_OTHERS = ("http", "modbus", "modbus-tls", "bacnet")
"""Names of the sockets of the other servers."""


async def serve(context: ServerContext) -> None:
    """Serve until cancelled. Raises OpsError: a key is missing or wrong, or there is no snmpd."""
    settings = context.settings
    snmp = SnmpSettings.of(context.section("snmp"), settings.path.parent, settings.state)
    await SnmpProcess(snmp, context.source, _own_sockets()).run()


def _own_sockets() -> int:
    """Return the number of sockets that systemd has passed for snmpd. Raises OpsError."""
    passed = activated()
    own = sorted(at for name, found in passed.items() if name not in _OTHERS for at in found)
    if own and own[0] != min(at for found in passed.values() for at in found):
        raise OpsError("northbound.snmp: snmpd needs a service without sockets of other servers")
    return len(own)
