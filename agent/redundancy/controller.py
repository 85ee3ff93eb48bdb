# SPDX-License-Identifier: Apache-2.0
"""The object that the runtime runs: the agent, or one controller of a pair around it.

Does not build the agent and does not run it.
"""

from agent.core.errors import ConfigError
from agent.port_numbers import port_names
from protocols.modbus.pdu import read, read_holding
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from agent.agent import Agent
    from agent.core.config_records import Config, DeviceConfig
    from agent.redundancy.pair_settings import PairSettings
    from agent.redundancy.paired_agent import PairedAgent
    from agent.remote.storage.boot_state import BootState

SECTION = "redundancy"
_REMOTE = "remote"


def make_controller(
    config: "Config", build: "Callable[[], Agent]", boot: "BootState | None" = None
) -> "Agent | PairedAgent":
    """Return what to run; `build` makes an agent of `config`, started from `boot`.

    Raises `ConfigError`.
    """
    for section, settings, _ in config.components:
        if section == SECTION:
            from agent.redundancy.paired_agent import PairedAgent  # noqa: PLC0415 - few units are pairs

            return PairedAgent(_pair_settings(config, settings, boot), build)
    return build()


def _pair_settings(
    config: "Config", settings: "dict[str, Any]", boot: "BootState | None"
) -> "PairSettings":
    from agent.redundancy.beacon import PEER  # noqa: PLC0415 - few units are pairs
    from agent.redundancy.pair_settings import PairSettings  # noqa: PLC0415 - few units are pairs

    bus = config.buses[0][1]
    node = _node(settings)
    names = port_names(config)
    addresses = {
        name: address for section, name, address in config.component_ports if section == SECTION
    }
    store = link = remote = None
    for section, _, address in config.components:
        if section == SECTION and address is not None:
            store = (names.index(SECTION), str(address))
        elif section == _REMOTE and address is not None and boot is not None:
            remote = (names.index(_REMOTE), str(address), boot)
    if "link" in addresses:
        link = (names.index(SECTION + ".link"), str(addresses["link"]))
    elif addresses:
        own, peer = addresses[node], addresses[PEER[node]]
        text = "%s?from=%s" % (peer.location(), own.location().partition(":")[2])
        link = (names.index("%s.%s" % (SECTION, node)), text)
    return PairSettings(
        node,
        bytes.fromhex(settings["key"]),
        str(bus),
        bus.char_us,
        [(device.unit, _short_read(device)) for device in config.devices],
        store,
        link,
        [names.index("%s.%s" % (SECTION, name)) for name in addresses],
        settings.get("rotate_h", 0) * 3600 * SECOND,
        remote,
    )


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
