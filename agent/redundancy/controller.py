# SPDX-License-Identifier: Apache-2.0
"""The object that the runtime runs: the agent, or one controller of a pair around it.

Does not build the agent and does not run it.
"""

from agent.core.errors import ConfigError
from protocols.modbus.pdu import read, read_holding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from agent.agent import Agent
    from agent.core.config_records import Config, DeviceConfig
    from agent.redundancy.paired_agent import PairedAgent


def make_controller(config: "Config", build: "Callable[[], Agent]") -> "Agent | PairedAgent":
    """Return what to run; `build` makes an agent of `config`. Raises `ConfigError`."""
    for section, settings, _ in config.components:
        if section == "redundancy":
            from agent.redundancy.paired_agent import PairedAgent  # noqa: PLC0415 - few units are pairs

            address = config.buses[0][1]
            reads = [(device.unit, _short_read(device)) for device in config.devices]
            key = bytes.fromhex(settings["key"])
            return PairedAgent(_node(settings), build, str(address), address.char_us, reads, key)
    return build()


def _short_read(device: "DeviceConfig") -> bytes:
    """Return a read of one point of a device, for a request while the line is idle.

    A register of the profile: an exception would not tell which request it belongs to.
    """
    for point in device.profile.polled_items("fast"):
        if point.registers > 0:
            return read(point.function, point.address, point.registers)
    return read_holding(0, 1)


def _node(settings: "dict[str, Any]") -> str:
    node: str = settings["node"]
    if node != "file":
        return node
    path: str = settings["node_file"]
    try:
        with open(path) as file:
            node = file.read(64).strip()
    except (OSError, ValueError) as error:
        raise ConfigError("redundancy.node_file: cannot read %s: %s" % (path, error)) from error
    if node not in ("a", "b"):
        raise ConfigError("redundancy.node_file: %s has %r, not a or b" % (path, node))
    return node
