# SPDX-License-Identifier: Apache-2.0
"""Two controllers of a pair on one emulated RS-485 line, in virtual time.

Does not judge. Both run `agent.redundancy.paired_agent` around the agent of the product, with the
devices and the plant of the testbed. The ports of both controllers apart from the bus are empty: no
receiver and no broker, but for a pair with services (`pair_services`). The run records who wrote
to an actuator, and when.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from agent.agent import Agent
from agent.commands import profiles
from agent.config.load import load
from agent.port_numbers import CONSOLE, FIRST_BUS, port_names
from agent.redundancy.beacon import UNITS
from agent.redundancy.controller import make_controller
from agent.redundancy.paired_agent import PairedAgent
from agent.redundancy.stored_epoch import COMMAND_KEY, command_text
from agent.remote.update.boot import start_config
from hil.bench.optional_sections import assign_ports
from hil.bench.testbed import BUS_BAUD, RPU_UNIT, Testbed
from hil.bench.testbed_settings import TestbedSettings
from hil.devices.modbus.requests import WRITE_FUNCTIONS
from hil.io.endpoints import ConsoleEndpoint, SerialEndpoint, TcpEndpoint
from hil.io.store_endpoint import StoreEndpoint
from hil.kernel.dut import AgentDut
from hil.kernel.serial_line import LinePeer
from hil.kernel.shared_line import SharedLine
from hil.kernel.world import World
from hil.plant.plant import Plant
from hil.run.several.other_version import VersionedPort
from hil.run.several.pair_meter import PairMeter
from hil.run.several.pair_services import PairServices
from hil.run.several.pair_wire import PairWire
from hil.run.virtual import START_UTC
from hil.shells.several import PausableShell, run_shells
from protocols.modbus.pdu import read_holding
from protocols.modbus.rtu import build_frame

_SECOND = 1_000_000
_CHAR_US = -(-11 * _SECOND // BUS_BAUD)
_SAMPLE_US = 20_000
PAIR_KEY = bytes(range(32))
"""Key of the pair."""
FAULTS = (
    *("power", "pause", "receiver", "driver", "stuck", "babble", "link", "store", "key"),
    *("version", "clock", "swap", "out"),
)
"""Faults of a controller, and commands of a person (`swap`, `out`). `clock` needs receivers."""
_BABBLE_US = 30_000
"""Time from one frame of a babbling port to the next one; a frame of 8 bytes takes 4.6 ms."""
_START_US = 500_000
"""Time in which a process starts again."""
_PORTS = 16
"""Ports of a controller from its bus on; those without an endpoint cannot be opened."""


NodeAction = Callable[[int], None]


def _with(act: Callable[[int, bool], None], is_on: bool, node: int) -> None:
    act(node, is_on)


class Write(NamedTuple):
    """A write request that reached the devices: controller (0 or 1), its end in µs, the frame."""

    node: int
    ended_at_us: int
    frame: bytes


def is_device_write(frame: bytes) -> bool:
    """Return whether a frame is a write to a device, and not a beacon."""
    return len(frame) > 3 and frame[0] not in UNITS.values() and frame[1] in WRITE_FUNCTIONS


class PairRow(NamedTuple):
    """What both controllers have in common: the plant, the devices on the line, the configuration.

    `config` has no section `redundancy`. `profiles`: those of its devices. `print_line` gets each
    line of a console. `probe`: a read request to a device, for a port that babbles. `connect`
    connects further ports of the next controller: its shell, and the names of its ports.
    `set_clock_apart` lets the receiver of a controller give another UTC, or the right one.
    """

    plant: Plant
    devices: LinePeer
    char_us: int
    config: dict[str, Any]
    profiles: dict[str, dict[str, Any]]
    setpoint_c: float
    probe: bytes
    print_line: Callable[[int, str], None]
    connect: Callable[[PausableShell, list[str]], None] = lambda _, __: None
    set_clock_apart: Callable[[int, bool], None] = lambda _, __: None


class ControllerPair:
    """Both controllers, "a" (0) and "b" (1), on one line. `writes`: all that reached a device."""

    def __init__(
        self,
        world: World,
        row: PairRow,
        is_linked: bool = False,
        key: bytes = PAIR_KEY,
        **section: Any,
    ) -> None:
        self.world = world
        self._row = row
        self.plant = row.plant
        self.config = row.config
        self.config["redundancy"] = {"node": "a", "key": key.hex(), **section}
        if is_linked:
            self.config["redundancy"].update(
                port="store:/virtual/pair", ports={"link": "serial:/virtual/link?baud=115200"}
            )
        if "remote" in self.config:
            self.config["redundancy"].update(node="file", node_file="/virtual/node")
        self.wire = PairWire()
        self.stores: list[StoreEndpoint] = []
        self.section_stores: list[dict[str, StoreEndpoint]] = []
        """The stores of each controller by the names of their sections."""
        self.line = SharedLine(world, row.devices, row.char_us)
        self.line.set_observer(self._observe)
        self.writes: list[Write] = []
        self.console: list[str] = []
        self.agents: list[PairedAgent] = []
        self.takeovers = self.restarts = 0
        self._babbling: set[int] = set()
        self._key = key
        self._keys = [key, key]
        self._versioned: list[VersionedPort] = []
        self.shells = [self._make_node(number) for number in (0, 1)]
        self._faults = self._make_faults()
        self.meter = PairMeter(row.plant, row.setpoint_c)

    def _make_node(self, number: int) -> PausableShell:
        agent = self._make_agent(number)
        self.agents.append(agent)
        shell = PausableShell(self.world, AgentDut(agent))
        for port in range(FIRST_BUS + _PORTS):
            missing = SerialEndpoint(shell, port)
            missing.unplug()
            shell.endpoints[port] = missing
        bus = SerialEndpoint(shell, FIRST_BUS)
        versioned = VersionedPort(self.line, self._key, bus.to_agent, FIRST_BUS)
        self._versioned.append(versioned)
        bus.connect(versioned)
        shell.endpoints[FIRST_BUS] = bus
        by_section: dict[str, StoreEndpoint] = {}
        for port, name, address in assign_ports(self.config):
            if address.startswith(("store:", "local:")):
                store = StoreEndpoint(shell, port, random.Random(number))
                shell.endpoints[port] = by_section[name] = store
                self.stores += [store] if name == "redundancy" else []
        self.section_stores.append(by_section)
        names = port_names(load(self.config, self._row.profiles))
        if "ports" in self.config["redundancy"]:
            port = names.index("redundancy.link")
            shell.endpoints[port] = self.wire.add_end(shell, port)
        shell.endpoints[CONSOLE] = ConsoleEndpoint(
            shell,
            CONSOLE,
            lambda data: self._print(number, data),
            lambda: self._restart(number),
        )
        self._row.connect(shell, names)
        return shell

    def _make_agent(self, number: int) -> PairedAgent:
        section = {**self.config["redundancy"], "key": self._keys[number].hex()}
        config, loaded = {**self.config, "redundancy": section}, self._row.profiles
        if "remote" in config:
            return self._start_from_store(number, config)
        section["node"] = "ab"[number]
        controller = make_controller(load(config, loaded), lambda: Agent(load(config, loaded)))
        assert isinstance(controller, PairedAgent)
        return controller

    def _start_from_store(self, number: int, raw: dict[str, Any]) -> PairedAgent:
        """Make the agent from the records of its store. The letter stands in a file of its own."""
        stores = self.section_stores[number] if number < len(self.section_stores) else {}
        records = dict(stores["remote"].records) if stores else {}
        config, boot = start_config(raw, records.get, lambda new: load(new, self._row.profiles))
        for name, settings, _ in config.components:
            if name == "redundancy":
                settings["node"] = "ab"[number]
        controller = make_controller(config, lambda: Agent(config, boot), boot)
        assert isinstance(controller, PairedAgent)
        return controller

    def _restart(self, node: int) -> None:
        """Start the process of a controller again, at its request."""
        shell = self.shells[node]
        shell.switch_off()
        for endpoint in shell.endpoints.values():
            endpoint.close()
        self.restarts += 1
        self.world.schedule(self.world.now + _START_US, self._start_power, node)

    def _print(self, number: int, data: bytes) -> None:
        line = data.decode().strip()
        self.takeovers += line == f"pair {'ab'[number]}: active"
        self._row.print_line(self.world.now, line)
        self.console.append(f"{self.world.now / _SECOND:.3f} {'ab'[number]} {line}")

    def _observe(self, node: int, frame: bytes, now: int) -> None:
        if is_device_write(frame):
            self.writes.append(Write(node, now, frame))
            self.meter.add_write(node, now)

    def at(self, at_s: float, call: Callable[..., None], *args: Any) -> None:
        """Call `call(*args)` at `at_s` seconds."""
        self.world.schedule(int(at_s * _SECOND), call, *args)

    def begin_fault(self, kind: str, node: int) -> None:
        """Begin one of `FAULTS` at a controller. Raises KeyError for another one."""
        self._faults[kind][0](node)

    def end_fault(self, kind: str, node: int) -> None:
        """End the fault: the controller starts, goes on, or receives and sends again."""
        self._faults[kind][1](node)

    def _make_faults(self) -> dict[str, tuple[NodeAction, NodeAction]]:
        """Return start and end of each fault."""

        def switch(act: Callable[[int, bool], None]) -> tuple[NodeAction, NodeAction]:
            return partial(_with, act, True), partial(_with, act, False)

        line, shells = self.line, self.shells
        return {
            "power": (self._cut_power, self._start_power),
            "pause": (lambda node: shells[node].pause(), lambda node: shells[node].resume()),
            "receiver": switch(line.fail_receiver),
            "driver": switch(line.fail_driver),
            "stuck": switch(line.hold),
            "babble": (self._begin_babble, self._babbling.discard),
            "link": switch(self.wire.cut),
            "store": switch(lambda node, is_dead: self.stores[node].set_absent(is_dead)),
            "key": switch(self._change_key),
            "version": switch(self._change_version),
            "clock": switch(self._row.set_clock_apart),
            "swap": (lambda node: self.command(node, "swap"), lambda _: None),
            "out": (lambda node: self.command(node, "out"), lambda node: self.command(node, "in")),
        }

    def command(self, node: int, name: str) -> None:
        """Give a command of `COMMANDS` to a controller, as `coldloop pair` does."""
        epoch = self.agents[node].beacons.epoch
        self.stores[node].records[COMMAND_KEY] = command_text(self._keys[node], name, epoch)

    def _cut_power(self, node: int) -> None:
        shell = self.shells[node]
        shell.switch_off()
        for endpoint in shell.endpoints.values():
            if isinstance(endpoint, StoreEndpoint):
                endpoint.cut_power()
            elif isinstance(endpoint, TcpEndpoint):
                endpoint.set_silent(True)  # the server does not learn of it
            else:
                endpoint.close()

    def _start_power(self, node: int) -> None:
        if self.shells[node].is_on:
            return
        for endpoint in self.shells[node].endpoints.values():
            if isinstance(endpoint, TcpEndpoint):
                endpoint.set_silent(False)
        self.agents[node] = self._make_agent(node)
        self.shells[node].switch_on(AgentDut(self.agents[node]))

    def _change_key(self, node: int, is_other: bool) -> None:
        """Restart a controller with another key of the pair, or with the right one."""
        self._keys[node] = bytes(32) if is_other else self._key
        self._cut_power(node)
        self._start_power(node)

    def _change_version(self, node: int, is_other: bool) -> None:
        """Restart a controller with another version of the beacon, or with that of its peer."""
        self._cut_power(node)
        self._versioned[node].set_other(is_other)
        self._start_power(node)

    def _begin_babble(self, node: int) -> None:
        self._babbling.add(node)
        self._babble(node)

    def _babble(self, node: int) -> None:
        """Send a valid read request, again and again."""
        if node in self._babbling:
            self.line.send(node, self._row.probe)
            self.at((self.world.now + _BABBLE_US) / _SECOND, self._babble, node)

    def start(self) -> None:
        """Start both controllers."""
        for shell in self.shells:
            shell.start()

    def run(self, until_s: float) -> None:
        """Run to `until_s` seconds."""
        until = int(until_s * _SECOND)
        run_shells(self.world, self.shells, until)
        self.plant.advance(until)

    def measure_from(self, at_s: float) -> None:
        """Sample gaps, steps of actuators and the supply temperature from `at_s`, each 20 ms."""
        begin_us = int(at_s * _SECOND)
        self.world.schedule(begin_us, self._begin_measurement)

    def _begin_measurement(self) -> None:
        self.meter.start(self.world.now)
        self._sample()

    @property
    def longest_gap_us(self) -> int:
        """Longest time without a controller that may write, while a whole one is there, µs."""
        return self.meter.longest_gap_us

    @property
    def largest_step_pct(self) -> float:
        """Largest step of an actuator's command in 20 ms, percent."""
        return self.meter.largest_step_pct

    @property
    def supply_error_k(self) -> float:
        """Largest distance of the true supply temperature from its set-point, K."""
        return self.meter.supply_error_k

    def _sample(self) -> None:
        now = self.world.now
        self.plant.advance(now)
        has_whole = any(self._is_fault_free(node) for node in (0, 1))
        self.meter.sample(now, self._has_active(), has_whole)
        self.world.schedule(now + _SAMPLE_US, self._sample)

    def _is_fault_free(self, node: int) -> bool:
        """Return whether a controller can work: none on a line that is held or babbled on.

        One that a person took out of the pair does not count.
        """
        shell, master = self.shells[node], self.line.masters[node]
        return (
            shell.is_on
            and not shell.paused
            and not master.receiver_failed
            and not master.driver_failed
            and not self._babbling
            and not self.line.is_held
            and self.agents[node].role != "out"
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


class PairRun(ControllerPair):
    """The pair on the row of a testbed. `services`: what both have apart from the line."""

    def __init__(
        self, settings: TestbedSettings, seed: int = 1, is_linked: bool = False, **section: Any
    ) -> None:
        world = World(seed, START_UTC)
        self.testbed = Testbed(world, settings)
        config = self.testbed.config(
            "serial:/virtual/receiver?baud=9600",
            f"serial:/virtual/bus?baud={BUS_BAUD}&parity=E",
            "tcp:broker.virtual:1883",
            "store:/virtual/state",
        )
        self.services = PairServices(self.testbed, config)
        row = PairRow(
            self.testbed.plant,
            self.testbed.bus,
            _CHAR_US,
            config,
            profiles(),
            settings.setpoint_c,
            build_frame(RPU_UNIT, read_holding(0, 1)),
            self.testbed.history.add_console,
            self.services.connect,
            self.services.set_clock_apart,
        )
        super().__init__(world, row, is_linked, PAIR_KEY, **section)
        if "log" in config:
            self.services.watch_logs([stores["log"] for stores in self.section_stores], config)
