# SPDX-License-Identifier: Apache-2.0
"""Two controllers of a pair on one emulated RS-485 line, in virtual time.

Does not judge. Both run `agent.redundancy.paired_agent` around the agent of the product, with the
devices and the plant of the testbed. The ports of both controllers apart from the bus are empty: no
receiver and no broker. The run records who wrote to an actuator, and when.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

from agent.agent import Agent
from agent.commands import profiles
from agent.config.load import load
from agent.port_numbers import CONSOLE, FIRST_BUS
from agent.redundancy.beacon import UNITS
from agent.redundancy.controller import make_controller
from agent.redundancy.paired_agent import PairedAgent
from hil.bench.testbed import BUS_BAUD, Testbed
from hil.bench.testbed_settings import TestbedSettings
from hil.devices.modbus.requests import WRITE_FUNCTIONS
from hil.io.endpoints import ConsoleEndpoint, SerialEndpoint
from hil.io.store_endpoint import StoreEndpoint
from hil.kernel.dut import AgentDut
from hil.kernel.shared_line import SharedLine
from hil.kernel.world import World
from hil.run.several.pair_wire import PairWire
from hil.run.virtual import START_UTC
from hil.shells.several import PausableShell, run_shells

_SECOND = 1_000_000
_CHAR_US = -(-11 * _SECOND // BUS_BAUD)
_SAMPLE_US = 20_000
PAIR_KEY = bytes(range(32))
"""Key of the pair."""
FAULTS = ("power", "pause", "receiver", "driver", "link", "store")
STORE_PORT, LINK_PORT = FIRST_BUS + 1, FIRST_BUS + 2
"""Ports of the redundancy section; the testbed has one bus and no other component with a port."""


class Write(NamedTuple):
    """A write request that reached the devices: controller (0 or 1), its end in µs, the frame."""

    node: int
    ended_at_us: int
    frame: bytes


def is_device_write(frame: bytes) -> bool:
    """Return whether a frame is a write to a device, and not a beacon."""
    return len(frame) > 3 and frame[0] not in UNITS.values() and frame[1] in WRITE_FUNCTIONS


class PairRun:
    """Both controllers, "a" (0) and "b" (1), on one line. `writes`: all that reached a device."""

    def __init__(
        self, settings: TestbedSettings, seed: int = 1, is_linked: bool = False, **section: Any
    ) -> None:
        self.world = World(seed, START_UTC)
        self.testbed = Testbed(self.world, settings)
        self.config = self.testbed.config(
            "serial:/virtual/receiver?baud=9600",
            f"serial:/virtual/bus?baud={BUS_BAUD}&parity=E",
            "tcp:broker.virtual:1883",
            "store:/virtual/state",
        )
        self.config["redundancy"] = {"node": "a", "key": PAIR_KEY.hex(), **section}
        if is_linked:
            self.config["redundancy"].update(
                port="store:/virtual/pair", ports={"link": "serial:/virtual/link?baud=115200"}
            )
        self.wire = PairWire()
        self.stores: list[StoreEndpoint] = []
        self.line = SharedLine(self.world, self.testbed.bus, _CHAR_US)
        self.line.set_observer(self._observe)
        self.writes: list[Write] = []
        self.console: list[str] = []
        self.agents: list[PairedAgent] = []
        self.shells = [self._make_node(number) for number in (0, 1)]
        self.longest_gap_us = self.supply_error_k = self.largest_step_pct = 0.0
        self._last_active_at = 0
        self._commands = self._read_commands()
        self._measured_from = 1 << 62

    def _make_node(self, number: int) -> PausableShell:
        agent = self._make_agent(number)
        self.agents.append(agent)
        shell = PausableShell(self.world, AgentDut(agent))
        for port in range(FIRST_BUS + 8):
            missing = SerialEndpoint(shell, port)
            missing.unplug()
            shell.endpoints[port] = missing
        bus = SerialEndpoint(shell, FIRST_BUS)
        bus.connect(self.line.add_master(bus.to_agent, FIRST_BUS))  # type: ignore[arg-type]
        shell.endpoints[FIRST_BUS] = bus
        if "ports" in self.config["redundancy"]:
            store = StoreEndpoint(shell, STORE_PORT, random.Random(number))
            self.stores.append(store)
            shell.endpoints[STORE_PORT] = store
            shell.endpoints[LINK_PORT] = self.wire.add_end(shell, LINK_PORT)
        shell.endpoints[CONSOLE] = ConsoleEndpoint(
            shell, CONSOLE, lambda data: self._print(number, data), lambda: None
        )
        return shell

    def _make_agent(self, number: int) -> PairedAgent:
        section = {**self.config["redundancy"], "node": "ab"[number]}
        config, loaded = {**self.config, "redundancy": section}, profiles()
        controller = make_controller(load(config, loaded), lambda: Agent(load(config, loaded)))
        assert isinstance(controller, PairedAgent)
        return controller

    def _print(self, number: int, data: bytes) -> None:
        self.console.append(
            f"{self.world.now / _SECOND:.3f} {'ab'[number]} {data.decode().strip()}"
        )

    def _observe(self, node: int, frame: bytes, now: int) -> None:
        if is_device_write(frame):
            self.writes.append(Write(node, now, frame))

    def at(self, at_s: float, call: Callable[..., None], *args: Any) -> None:
        """Call `call(*args)` at `at_s` seconds."""
        self.world.schedule(int(at_s * _SECOND), call, *args)

    def begin_fault(self, kind: str, node: int) -> None:
        """Begin one of `FAULTS` at a controller."""
        shell = self.shells[node]
        if kind == "power":
            shell.switch_off()
            shell.endpoints[FIRST_BUS].close()
        elif kind == "pause":
            shell.paused = True
        elif kind == "receiver":
            self.line.masters[node].receiver_failed = True
        elif kind == "driver":
            self.line.masters[node].driver_failed = True
        elif kind == "link":
            self.wire.is_cut[node] = True
        elif kind == "store":
            self.stores[node].absent = True
            self.stores[node].fail()
        else:
            raise ValueError(kind)

    def end_fault(self, kind: str, node: int) -> None:
        """End the fault: the controller starts, goes on, or receives and sends again."""
        shell = self.shells[node]
        if kind == "power":
            self.agents[node] = self._make_agent(node)
            shell.switch_on(AgentDut(self.agents[node]))
        elif kind == "pause":
            shell.resume()
        elif kind == "link":
            self.wire.is_cut[node] = False
        elif kind == "store":
            self.stores[node].absent = False
        elif kind == "receiver":
            self.line.masters[node].receiver_failed = False
        else:
            self.line.masters[node].driver_failed = False

    def start(self) -> None:
        """Start both controllers."""
        for shell in self.shells:
            shell.start()

    def run(self, until_s: float) -> None:
        """Run to `until_s` seconds."""
        until = int(until_s * _SECOND)
        run_shells(self.world, self.shells, until)
        self.testbed.plant.advance(until)

    def measure_from(self, at_s: float) -> None:
        """Sample gaps, steps of actuators and the supply temperature from `at_s`, each 20 ms."""
        self._measured_from = self._last_active_at = int(at_s * _SECOND)
        self.world.schedule(self._measured_from, self._sample)

    def _read_commands(self) -> list[float]:
        plant = self.testbed.plant
        return [plant.valve_command_pct, *(pump.target_pct for pump in plant.pumps)]

    def _sample(self) -> None:
        plant, now = self.testbed.plant, self.world.now
        plant.advance(now)
        if now == self._measured_from or self._has_active():
            self._last_active_at = now
        elif any(self._is_fault_free(node) for node in (0, 1)):
            self.longest_gap_us = max(self.longest_gap_us, now - self._last_active_at)
        else:
            self._last_active_at = now
        commands = self._read_commands()
        if now > self._measured_from:
            steps = [abs(b - a) for a, b in zip(self._commands, commands, strict=True)]
            self.largest_step_pct = max(self.largest_step_pct, *steps)
        self._commands = commands
        error_k = abs(plant.supply_true_c - self.testbed.settings.setpoint_c)
        self.supply_error_k = max(self.supply_error_k, error_k)
        self.world.schedule(now + _SAMPLE_US, self._sample)

    def _is_fault_free(self, node: int) -> bool:
        shell, master = self.shells[node], self.line.masters[node]
        return (
            shell.is_on
            and not shell.paused
            and not master.receiver_failed
            and not master.driver_failed
        )

    def _has_active(self) -> bool:
        """Return whether a whole controller may write now."""
        return any(self._is_fault_free(node) and self.agents[node].can_write for node in (0, 1))

    def closest_writes_us(self) -> int:
        """Return the least time between writes of two controllers, µs; very large without."""
        times = [
            after.ended_at_us - before.ended_at_us
            for before, after in zip(self.writes, self.writes[1:], strict=False)
            if before.node != after.node
        ]
        return min(times, default=1 << 62)
