# SPDX-License-Identifier: Apache-2.0
"""Numbers and names of the ports of an agent.

0 receiver   1 broker   2 state (a store)   3 console (log lines)   4… buses, then the ports
of the components (see `agent.core.component.registry`)
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.config_records import Config

RECEIVER, BROKER, STATE, CONSOLE, FIRST_BUS = 0, 1, 2, 3, 4


def port_names(config: "Config") -> "list[str]":
    """Return the names of the ports; the index is the port number."""
    buses = [name for name, _ in config.buses]
    components = [section for section, _, address in config.components if address is not None]
    component_ports = [section + "." + name for section, name, _ in config.component_ports]
    return ["receiver", "broker", "state", "console"] + buses + components + component_ports
