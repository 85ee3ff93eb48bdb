# SPDX-License-Identifier: Apache-2.0
"""The further receivers of a row, for the section `receivers` of the unit's configuration.

Does not emulate a receiver; see `hil.devices.gnss`. They have the dialect of the main receiver, no
pulses, and no faults: faults act on the main receiver. `parts = "receivers"` and `receivers = 2` or
3 in the `[row]` of a scenario give one or two of them.
"""

from typing import Any

from hil.bench import receiver_choice
from hil.bench.testbed_settings import TestbedSettings
from hil.io.endpoints import SerialEndpoint
from hil.io.real_ports import PtyPort
from hil.kernel.world import World
from hil.shells.realtime import RealTimeShell
from hil.shells.virtual import VirtualShell


class FurtherReceivers:
    """The further receivers by name. `addresses`: the port of each."""

    def __init__(self, world: World, settings: TestbedSettings, site_e7: tuple[int, int]) -> None:
        self._settings = settings
        self.receivers = {
            f"r{i}": receiver_choice.make_receiver(world, settings, site_e7, f"receiver {i}")
            for i in range(2, settings.receivers + 1)
        }
        baud = receiver_choice.line_baud(settings)
        self._options = f"?baud={baud}"
        self.addresses = {name: f"serial:/virtual/{name}{self._options}" for name in self.receivers}

    def extend_config(self, config: dict[str, Any]) -> None:
        """Write the ports of the section `receivers`, if the configuration has it."""
        if "receivers" in config:
            config["receivers"]["ports"] = dict(self.addresses)

    def connect(self, shell: VirtualShell, first_free: int) -> None:
        """Connect the receivers in virtual time; their ports begin at `first_free`."""
        for port, name in enumerate(sorted(self.receivers), first_free):
            endpoint = SerialEndpoint(shell, port)
            endpoint.connect(
                receiver_choice.connect_line(
                    shell.world,
                    self.receivers[name],
                    self._settings,
                    endpoint.to_agent,
                    port,
                    lambda: None,
                )
            )
            shell.endpoints[port] = endpoint

    def open_terminals(self, shell: RealTimeShell, first_rank: int) -> list[PtyPort]:
        """Connect the receivers to pseudo-terminals, in real time."""
        ports = []
        for rank, name in enumerate(sorted(self.receivers), first_rank):
            port = PtyPort(shell)
            port.connect(
                receiver_choice.connect_line(
                    shell.world,
                    self.receivers[name],
                    self._settings,
                    port.to_agent,
                    rank,
                    lambda: None,
                )
            )
            self.addresses[name] = f"serial:{port.path}{self._options}"
            ports.append(port)
        return ports
