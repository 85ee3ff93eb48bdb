# SPDX-License-Identifier: Apache-2.0
"""A group of 2 to 16 CDUs in one virtual world, each with its own agent, devices and plant.

Does not judge; see `hil.campaign.group.group_cases`. Shared are:

- the network: `hil.run.several.group_lan`;
- the facility loop: branches in parallel with a common pressure drop, so that each valve takes
  pressure from the others: `(1 + gamma) / (1 + gamma (q / q0)^2)` of the design pressure;
- the heat: the row's power is divided by the secondary flows, as of units that pump into one
  header;
- the pressure of this header, with `shared` of the section `group` set to `header`: see
  `hil.plant.fluid.header`. The pressure sensors of the units then differ by up to `_APART_KPA`.
  Else each plant has its own loop.

The plants exchange heat and pressure each `_EXCHANGE_US`, and the header each `_HEADER_US`. The
ports apart from the bus and the network are empty, but for the receiver with `is_timed`.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from agent.agent import Agent
from agent.commands import profiles
from agent.config.load import load
from agent.port_numbers import BROKER, CONSOLE, FIRST_BUS, RECEIVER, STATE
from hil.bench import receiver_choice
from hil.bench.testbed import BUS_BAUD, Testbed
from hil.bench.testbed_settings import TestbedSettings
from hil.io.endpoints import ConsoleEndpoint, SerialEndpoint
from hil.kernel.dut import AgentDut
from hil.kernel.serial_line import SerialLine
from hil.kernel.world import World
from hil.plant.fluid.header import header_kpa
from hil.run.several.group_lan import GroupLan, pairs_between
from hil.run.virtual import START_UTC
from hil.shells.several import PausableShell, run_shells

FAULTS = (
    *("power", "pumps", "rpu", "return", "pressure", "low", "high"),
    *("alone", "split", "deaf", "loss", "load"),
)
"""Failures of a unit, of its sensors, of the network; and a step of the heat."""
_FALSE_KPA = {"low": -40.0, "high": 40.0}
"""Error of a false pressure sensor."""
_SENSORS = {"return": "return_c", "pressure": "supply_kpa"}
KEY = bytes(range(32))
"""Key of the group."""
CAPACITY_KW = 100.0
_SECOND = 1_000_000
_CHAR_US = -(-11 * _SECOND // BUS_BAUD)
_EXCHANGE_US = 500_000
_HEADER_US = 250_000
_APART_KPA = 0.4
"""Largest error of a pressure sensor at a shared header; the first and the last unit have it."""
_GAMMA = 1.0
"""Common pressure drop over that of a branch at design flow."""
_DESIGN_LPM = 144.0


class GroupRun:
    """The units of a group, numbered from 1. `load_kw`: heat of the row."""

    def __init__(
        self,
        count: int,
        load_kw: float,
        seed: int = 1,
        is_timed: bool = False,
        settings: TestbedSettings | None = None,
        **section: Any,
    ) -> None:
        self.count = count
        self.load_kw = load_kw
        self.settings = settings or TestbedSettings()
        start_us = receiver_choice.parse_start_us(self.settings.start_utc) or START_UTC
        self.world = World(seed, start_us)
        self.lan = GroupLan(self.world.random("lan"))
        self.names = [f"cdu{number:02d}" for number in range(1, count + 1)]
        self.console: list[str] = []
        self._section = section
        self._is_timed = is_timed
        self.testbeds: list[Testbed] = []
        self.agents: list[Agent] = []
        self.shells: list[PausableShell] = []
        self._configs: list[dict[str, Any]] = []
        for number in range(1, count + 1):
            self._add_unit(number, seed)
        self.world.schedule(_EXCHANGE_US, self._exchange)
        if section.get("shared") == "header":
            self._spread_sensors()
            self._exchange_header()
        self.cpu_s = 0.0

    def _add_unit(self, number: int, seed: int) -> None:
        settings = replace(self.settings, it_kw=self.load_kw / self.count)
        self.world.seed = seed * 100 + number  # each plant has its own noise
        testbed = Testbed(self.world, settings)
        config = testbed.config(
            "serial:/virtual/receiver?baud=9600",
            f"serial:/virtual/bus?baud={BUS_BAUD}&parity=E",
            "tcp:broker.virtual:1883",
            "store:/virtual/state",
        )
        config["unit"] = self.names[number - 1]
        config["group"] = {
            "ports": {name: f"udp:10.0.0.{i + 1}:5247" for i, name in enumerate(self.names)},
            "key": KEY.hex(),
            "capacity_kw": CAPACITY_KW,
            "flow": "rpu.FlowLitersPerMinute",
            **self._section,
        }
        self.testbeds.append(testbed)
        self._configs.append(config)
        agent = self._make_agent(number)
        self.agents.append(agent)
        shell = PausableShell(self.world, AgentDut(agent))
        self.shells.append(shell)
        self._connect(number, shell, testbed)

    def _make_agent(self, number: int) -> Agent:
        return Agent(load(self._configs[number - 1], profiles()))

    def _connect(self, number: int, shell: PausableShell, testbed: Testbed) -> None:
        for port in (RECEIVER, BROKER, STATE):
            missing = SerialEndpoint(shell, port)
            missing.unplug()
            shell.endpoints[port] = missing
        if self._is_timed:
            receiver = SerialEndpoint(shell, RECEIVER)
            receiver.connect(
                receiver_choice.connect_line(
                    self.world,
                    testbed.receiver,
                    testbed.settings,
                    receiver.to_agent,
                    RECEIVER,
                    lambda: receiver.baud,
                )
            )
            shell.endpoints[RECEIVER] = receiver
        bus = SerialEndpoint(shell, FIRST_BUS)
        bus.connect(SerialLine(self.world, testbed.bus, _CHAR_US, bus.to_agent, FIRST_BUS))
        shell.endpoints[FIRST_BUS] = bus
        for peer in range(1, self.count + 1):
            port = FIRST_BUS + peer
            shell.endpoints[port] = self.lan.add_end(number, peer, shell, port)
        shell.endpoints[CONSOLE] = ConsoleEndpoint(
            shell, CONSOLE, lambda data: self._print(number, data), lambda: None
        )

    def _print(self, number: int, data: bytes) -> None:
        self.console.append(f"{self.world.now / _SECOND:.1f} {number} {data.decode()}")

    def _exchange(self) -> None:
        """Divide heat and facility pressure between the plants."""
        plants = [testbed.plant for testbed in self.testbeds]
        for plant in plants:
            plant.advance(self.world.now)
        flows = [max(plant.flow_true_lpm, 0.0) for plant in plants]
        total = sum(flows) or 1.0
        opened = sum(plant.fws_flow_lpm / plant.fws_pressure**0.5 for plant in plants)
        ratio = opened / (_DESIGN_LPM * self.count)
        pressure = (1 + _GAMMA) / (1 + _GAMMA * ratio * ratio)
        for plant, flow in zip(plants, flows, strict=True):
            plant.set_load(self.load_kw * flow / total)
            plant.set_fws_pressure(pressure)
        self.world.schedule(self.world.now + _EXCHANGE_US, self._exchange)

    def _spread_sensors(self) -> None:
        """Let the pressure sensors differ: evenly from -`_APART_KPA` to `_APART_KPA`."""
        for number in range(1, self.count + 1):
            self._set_pressure_error(number, 0.0)

    def _apart_kpa(self, index: int) -> float:
        """Return the error of a good pressure sensor."""
        if self._section.get("shared") != "header":
            return 0.0
        return _APART_KPA * (2 * index / max(self.count - 1, 1) - 1)

    def _set_pressure_error(self, number: int, error_kpa: float) -> None:
        sensor = self.testbeds[number - 1].plant.sensor_fault("supply_kpa")
        sensor.inject("offset", self._apart_kpa(number - 1) + error_kpa)

    def _exchange_header(self) -> None:
        """Give the pressure of the header to all units."""
        plants = [testbed.plant for testbed in self.testbeds]
        for plant in plants:
            plant.advance(self.world.now)
        pressure_kpa = header_kpa([plant.branch() for plant in plants])
        for plant in plants:
            plant.set_header(pressure_kpa)
        self.world.schedule(self.world.now + _HEADER_US, self._exchange_header)

    # Faults.

    def switch_off(self, number: int) -> None:
        """Cut the power of a unit: its controller, and its pumps."""
        shell = self.shells[number - 1]
        shell.switch_off()
        for endpoint in shell.endpoints.values():
            endpoint.close()
        self.set_pumps_seized(number, True)

    def switch_on(self, number: int) -> None:
        """Restore the power of a unit."""
        self.set_pumps_seized(number, False)
        self.agents[number - 1] = self._make_agent(number)
        self.shells[number - 1].switch_on(AgentDut(self.agents[number - 1]))

    def begin_fault(self, kind: str, value: float) -> None:
        """Begin one of `FAULTS`. `value`: number of the unit; loss in percent; heat in kW."""
        number = int(value)
        units = set(range(1, self.count + 1))
        if kind == "power":
            self.switch_off(number)
        elif kind == "pumps":
            self.set_pumps_seized(number, True)
        elif kind == "rpu":
            self.testbeds[number - 1].rpu.inject("dead", True)
        elif kind in _SENSORS:
            self.testbeds[number - 1].rpu.break_sensor(_SENSORS[kind])
        elif kind in _FALSE_KPA:
            self._set_pressure_error(number, _FALSE_KPA[kind])
        elif kind in ("alone", "split", "deaf"):
            some = set(range(1, number + 1)) if kind == "split" else {number}
            pairs = pairs_between(some, units)
            if kind == "deaf":
                pairs = {(a, b) for a, b in pairs if b == number}
            self.lan.block(f"{kind} {number}", pairs)
        elif kind == "loss":
            self.lan.set_loss(value / 100)
        elif kind == "load":
            self.load_kw = value * self.count
        else:
            raise ValueError(kind)

    def end_fault(self, kind: str, value: float) -> None:
        """End one of `FAULTS`."""
        number = int(value)
        if kind == "power":
            self.switch_on(number)
        elif kind == "pumps":
            self.set_pumps_seized(number, False)
        elif kind == "rpu":
            self.testbeds[number - 1].rpu.inject("dead", False)
        elif kind in _SENSORS:
            self.testbeds[number - 1].rpu.clear_fault(_SENSORS[kind])
        elif kind in _FALSE_KPA:
            self._set_pressure_error(number, 0.0)
        elif kind == "loss":
            self.lan.set_loss(0.0)
        else:
            self.lan.unblock(f"{kind} {number}")

    def set_pumps_seized(self, number: int, is_seized: bool) -> None:
        """Stop both pumps of a unit, or free them."""
        for pump in self.testbeds[number - 1].plant.pumps:
            pump.set_seized(is_seized)

    def worst_excess_k(self) -> float:
        """Return the largest excess of a supply over its set-point, of the units with a flow, K.

        Without such a unit it is 99.
        """
        beds = [self.testbeds[number - 1] for number in self.running()]
        excess = [bed.plant.supply_true_c - bed.settings.setpoint_c for bed in beds]
        return max(excess, default=99.0)

    def speed_spread_pct(self) -> float:
        """Return the difference between the pump speeds of the running units, percent.

        A unit that has stopped by selection still has a flow for some seconds; it does not count.
        """
        numbers = [number for number in self.running() if self.group(number).runs]
        beds = [self.testbeds[number - 1] for number in numbers]
        speeds = [max(pump.speed_pct for pump in bed.plant.pumps) for bed in beds]
        return max(speeds) - min(speeds) if speeds else 0.0

    def config(self, number: int) -> dict[str, Any]:
        """Return the configuration of a unit."""
        return self._configs[number - 1]

    def group(self, number: int) -> Any:
        """Return the component of a unit."""
        return self.agents[number - 1].service("group")

    def running(self) -> list[int]:
        """Return the units with a flow."""
        return [
            number
            for number in range(1, self.count + 1)
            if self.testbeds[number - 1].plant.flow_true_lpm > 10.0
        ]

    def start(self) -> None:
        """Start all controllers."""
        for shell in self.shells:
            shell.start()

    def run(self, until_s: float) -> None:
        """Run to `until_s` seconds."""
        began = time.process_time()
        until = int(until_s * _SECOND)
        run_shells(self.world, self.shells, until)
        for testbed in self.testbeds:
            testbed.plant.advance(until)
        self.cpu_s += time.process_time() - began
