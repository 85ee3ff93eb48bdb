# SPDX-License-Identifier: Apache-2.0
"""What the controllers of a pair have apart from the line: receivers, broker, loads, the ground.

Does not judge; see the measures `ground_differing` and `ground_lost`. Each controller has a
receiver of its own. Both connect to one broker, with one client id, and to the services of the
loads. A controller that loses its power leaves its connections open at the servers. The loads have
no outlets: a pair has one bus.
"""

from __future__ import annotations

from typing import Any

from agent.port_numbers import RECEIVER
from hil.bench import receiver_choice
from hil.bench.ground_station import MqttGround
from hil.bench.testbed import SITE_E7, LinkControl, Testbed
from hil.devices.gnss.basic_receiver import BasicReceiver
from hil.devices.gnss.receiver import GnssReceiver
from hil.io.endpoints import SerialEndpoint
from hil.io.shared_server import SharedServer
from hil.io.store_endpoint import StoreEndpoint
from hil.shells.several import PausableShell

_LAN_US = 500
APART_US = 5_000_000
"""Error of UTC of a receiver that is apart, µs: more than any bound of a clock that is in order."""


class PairServices:
    """Connects the controllers of `testbed` one after the other; `config` is that of both."""

    def __init__(self, testbed: Testbed, config: dict[str, Any]) -> None:
        self.receivers: list[BasicReceiver | GnssReceiver] = []
        self._testbed = testbed
        self._servers: dict[str, SharedServer] = {}
        settings, bank = testbed.settings, testbed.load_bank
        if settings.pair_uplink:
            broker = SharedServer(testbed.broker, int(settings.broker_latency_ms * 1000))
            self._servers["broker"] = broker
            testbed.connect_link(LinkControl(publish=self._publish))
        if bank is not None:
            bank.leave_out_hall(config)
            for name, bmc in bank.bmcs.items():
                self._servers["throttle." + name] = SharedServer(bmc, _LAN_US)

    def _publish(self, topic: str, payload: bytes, retain: bool) -> None:
        broker, now = self._testbed.broker, self._testbed.world.now
        self._servers["broker"].route(broker.publish(topic, payload, now, 1, retain))

    def connect(self, shell: PausableShell, names: list[str]) -> None:
        """Connect the ports of the next controller; `names` are those of its ports."""
        for name, server in self._servers.items():
            port = names.index(name)
            shell.endpoints[port] = server.connect(shell, port)
        if "broker" in self._servers:
            self._connect_receiver(shell)

    def _connect_receiver(self, shell: PausableShell) -> None:
        testbed, world = self._testbed, self._testbed.world
        name = f"receiver {len(self.receivers) + 1}"
        receiver = receiver_choice.make_receiver(world, testbed.settings, SITE_E7, name)
        self.receivers.append(receiver)
        port = SerialEndpoint(shell, RECEIVER)
        line = receiver_choice.connect_line(
            world, receiver, testbed.settings, port.to_agent, RECEIVER, lambda: port.baud
        )
        port.connect(line)
        shell.endpoints[RECEIVER] = port

    def set_clock_apart(self, node: int, is_apart: bool) -> None:
        """Let the receiver of a controller give a UTC that is `APART_US` late, or the right one."""
        self.receivers[node].inject("time_offset_us", -APART_US if is_apart else 0)

    def watch_logs(self, stores: list[StoreEndpoint], config: dict[str, Any]) -> None:
        """Connect the ground that stores the records of all logs of `stores`."""
        self._testbed.stores["log"] = stores[0]
        key = bytes.fromhex(config["log"].get("ack_key", ""))
        ground = MqttGround(self._testbed, f"{config['site']}/{config['unit']}", key)
        for store in stores[1:]:
            ground.watch_store(store)
        self._testbed.connect_ground(ground)
