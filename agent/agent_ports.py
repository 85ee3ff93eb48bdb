# SPDX-License-Identifier: Apache-2.0
"""The ports of one agent: its receiver, its uplink and a link for each other port.

Does not open ports; `Agent.start` does. Only the start needs this code: MicroPython unloads it. The
code of a receiver or of an uplink is loaded only if the unit has one.
"""

from agent.core.port_link import PortLink
from agent.port_numbers import BROKER, FIRST_BUS, RECEIVER, STATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.clock.utc_clock import UtcClock
    from agent.core.config_records import Config
    from agent.telemetry.rows import Telemetry
    from agent.telemetry.uplink import Uplink
    from drivers.gnss.receiver import ReceiverDriver


class AgentPorts:
    """The ports. `links`: all but the broker's; `bus_links` are those of the buses among them.

    `min_component_port` is the first port number of the components. `birth`: the first message of
    the uplink.
    """

    def __init__(
        self, config: "Config", clock: "UtcClock", telemetry: "Telemetry", birth: bytes
    ) -> None:
        self.links: list[PortLink] = []
        self.receiver = self._make_receiver(config)
        self.min_component_port = FIRST_BUS + len(config.buses)
        self.bus_links = [
            PortLink(FIRST_BUS + index, name, str(address))
            for index, (name, address) in enumerate(config.buses)
        ]
        self.links.extend(self.bus_links)
        self.uplink = _make_uplink(config, clock, telemetry, birth)
        self.status_link: PortLink | None = None
        if config.status_store is not None:
            self.status_link = PortLink(STATE, "state", str(config.status_store))
            self.links.append(self.status_link)

    def _make_receiver(self, config: "Config") -> "ReceiverDriver | None":
        address = config.receiver
        if address is None:
            return None
        from drivers.gnss.fix_rules import RELEASE_UTC_US  # noqa: PLC0415 - only with a receiver
        from drivers.gnss.receiver import ReceiverDriver  # noqa: PLC0415 - only with a receiver

        self.links.append(PortLink(RECEIVER, "receiver", str(address)))
        return ReceiverDriver(
            RECEIVER,
            address.baud,
            address.bits_per_char,
            config.receiver_latency_us,
            min_utc_us=RELEASE_UTC_US,
        )


def _make_uplink(
    config: "Config", clock: "UtcClock", telemetry: "Telemetry", birth: bytes
) -> "Uplink | None":
    if config.broker is None:
        return None
    from agent.telemetry.uplink import Uplink, make_broker_link  # noqa: PLC0415 - only with a broker

    return Uplink(config, make_broker_link(BROKER, config.broker, clock), telemetry, birth)
