# SPDX-License-Identifier: Apache-2.0
"""Runs a unit's configuration in virtual time against emulated twins of its devices.

Does not judge and does not choose the scenario; see `hil.run.unit.unit_suite`. The events act on
the twins, the buses and the plant. Once a second the status of the agent is sampled.
"""

import json
import time
from collections.abc import Callable
from typing import Any

from agent.port_numbers import BROKER, CONSOLE, FIRST_BUS, RECEIVER, STATE
from hil.bench.optional_sections import assign_ports, first_free_port
from hil.devices.power.redfish_bmc import RedfishBmc
from hil.errors import BenchError
from hil.io.endpoints import ConsoleEndpoint, SerialEndpoint, SinkEndpoint, TcpEndpoint
from hil.io.store_endpoint import StoreEndpoint
from hil.kernel.dut import Dut, DutFactory, InProcessDut
from hil.kernel.serial_line import SerialLine
from hil.kernel.world import World
from hil.run.unit import unit_measures
from hil.run.unit.twin_loads import SECTION as LOADS
from hil.run.unit.twin_loads import TwinLoads
from hil.run.unit.twin_row import TwinBus, TwinRow
from hil.run.unit.unit_file import UnitFile
from hil.run.virtual import START_UTC, RunResult, name_interruption
from hil.scenario.judge import Evaluator
from hil.scenario.model import Scenario, ScenarioEvent
from hil.shells.virtual import VirtualShell

_SECOND = 1_000_000
_TCP_LATENCY_US = 1_000


class TwinRun:
    """One scenario of a unit with one seed, ready to `run`."""

    def __init__(
        self, unit: UnitFile, scenario: Scenario, seed: int, make_dut: DutFactory = InProcessDut
    ) -> None:
        self.unit = unit
        self.scenario = scenario
        self.status: dict[str, Any] | None = None
        self.console: list[str] = []
        self._status_text = b""
        self.world = World(seed, START_UTC, 0)
        self.row = TwinRow(self.world, unit)
        self.config = self.row.config()
        self.loads: TwinLoads | None = None
        if scenario.settings.parts == LOADS:
            self.loads = TwinLoads(unit.loads, self.row.plant)
            self.loads.extend(self.config)
        self._make_dut: Callable[[], Dut] = lambda: make_dut(self.config, unit.raw_profiles)
        self.dut: Dut = self._make_dut()
        self.shell = VirtualShell(self.world, self.dut)
        self._ports: dict[str, SerialEndpoint | TcpEndpoint] = {}
        self._connect()
        self._fws_c = self.row.plant.fws_c
        self.evaluator = Evaluator(scenario)
        self.seconds = 0
        for event in scenario.events:
            self._schedule(event)

    def _connect(self) -> None:
        shell = self.shell
        for i, bus in enumerate(self.row.buses):
            self._ports[bus.name] = self._bus_endpoint(bus, FIRST_BUS + i)
            shell.endpoints[FIRST_BUS + i] = self._ports[bus.name]
        shell.endpoints[STATE] = SinkEndpoint(shell, STATE, self._store_status)
        shell.endpoints[CONSOLE] = ConsoleEndpoint(
            shell, CONSOLE, self._append_console, self._restart
        )
        for port in (RECEIVER, BROKER):
            shell.endpoints[port] = SinkEndpoint(shell, port, lambda _: None)
        for port, section, _ in assign_ports(self.config):
            random = self.world.random("store " + section)
            shell.endpoints[port] = StoreEndpoint(shell, port, random)
        if self.loads is not None:
            free = first_free_port(self.config)
            for i, name in enumerate(sorted(self.config[LOADS]["ports"])):
                bmc = self.loads.services.get(name) or RedfishBmc([])
                shell.endpoints[free + i] = TcpEndpoint(shell, free + i, bmc, _TCP_LATENCY_US)

    def _bus_endpoint(self, bus: TwinBus, port: int) -> SerialEndpoint | TcpEndpoint:
        if bus.is_tcp:
            return TcpEndpoint(self.shell, port, bus.host, _TCP_LATENCY_US)
        endpoint = SerialEndpoint(self.shell, port)
        char_us = -(-bus.bits * _SECOND // bus.baud)
        endpoint.connect(SerialLine(self.world, bus.line, char_us, endpoint.to_agent, port))
        return endpoint

    # Events.

    def _schedule(self, event: ScenarioEvent) -> None:
        action = getattr(self, f"_do_{event.do}", None)
        if action is None:
            raise BenchError(f"{self.scenario.name}: no event {event.do!r} of a unit")
        at = round(event.at_s * _SECOND)
        self.world.schedule(at, action, event, True)
        if event.for_s is not None:
            self.world.schedule(at + round(event.for_s * _SECOND), action, event, False)

    def _do_it_load(self, event: ScenarioEvent, starts: bool) -> None:
        if starts and event.value is not None:
            self.row.plant.set_load(event.value)

    def _do_fws_temp(self, event: ScenarioEvent, starts: bool) -> None:
        if event.value is not None:
            self.row.plant.set_fws(event.value if starts else self._fws_c)

    def _do_silent(self, event: ScenarioEvent, starts: bool) -> None:
        self.row.hosts[event.text].inject("dead", starts)

    def _do_unplug(self, event: ScenarioEvent, starts: bool) -> None:
        port = self._ports[event.text]
        if isinstance(port, TcpEndpoint):
            port.set_down(starts)
        elif starts:
            port.unplug()
        else:
            port.plug()

    def _do_flag(self, event: ScenarioEvent, starts: bool) -> None:
        device, _, bit = event.text.partition(".")
        self.row.twins[device].set_flag(bit, starts)

    def _do_reboot(self, event: ScenarioEvent, starts: bool) -> None:
        self.row.hosts[event.text].reboot(self.world.now)

    def _do_foreign_write(self, event: ScenarioEvent, starts: bool) -> None:
        device, _, point = event.text.partition(".")
        self.row.twins[device].write_lowest(point, self.world.now)

    def _do_ignore_writes(self, event: ScenarioEvent, starts: bool) -> None:
        self.row.hosts[event.text].inject("ignore_writes", starts)

    def _do_restart_agent(self, event: ScenarioEvent, starts: bool) -> None:
        self._restart()

    # The run.

    def _restart(self) -> None:
        self.shell.switch_off()
        self.dut.close()
        for endpoint in self.shell.endpoints.values():
            endpoint.close()
        self.dut = self._make_dut()
        self.shell.switch_on(self.dut)

    def _store_status(self, data: bytes) -> None:
        self._status_text = data.split(b"\0", 1)[1]

    def _append_console(self, data: bytes) -> None:
        self.console.append(f"{self.world.now / _SECOND:.1f} s {data.decode()}")

    def close(self) -> None:
        """End the controller and release its resources."""
        self.dut.close()

    def sample(self, name: str) -> float | None:
        """Read one measure now."""
        if name.startswith("shown:"):
            return self._shown(name.removeprefix("shown:"))
        if name == "output_error_pct":
            return self._output_error()
        if name in ("loads_limited", "load_limit_pct") and self.loads is not None:
            return self.loads.limited() if name == "loads_limited" else self.loads.limit_pct()
        return unit_measures.read(name, self.status, self.row.plant)

    def _output_error(self) -> float | None:
        """Return the largest difference between a request and the register of a twin, %."""
        control = self.unit.raw["control"]
        errors = []
        if "valve" in control.get("supply", {}):
            name = control["supply"]["valve"]
            errors.append(self._difference("valve_command_pct", name, "valve"))
        for i, name in enumerate(control.get("dp", {}).get("pumps", [])):
            errors.append(self._difference(f"pump_command_pct:{i + 1}", name, "pump"))
        known = [error for error in errors if error is not None]
        return max(known) if len(known) == len(errors) else None

    def _difference(self, measure: str, name: str, role: str) -> float | None:
        wanted = unit_measures.read(measure, self.status, None)
        return None if wanted is None else abs(wanted - self.row.twins[name].shown_output(role))

    def _shown(self, source: str) -> float:
        """Return the value of a written point in the registers of a twin, in its unit."""
        device, _, point = source.partition(".")
        return self.row.twins[device].value(point)

    def run(self, on_second: Callable[[int], None]) -> float:
        """Run to the end of the scenario; give the wall time in s."""
        started_s = time.perf_counter()
        self.shell.start()
        for second in range(1, int(self.scenario.seconds) + 1):
            self.shell.run(second * _SECOND)
            self.row.plant.advance(second * _SECOND)
            self.status = json.loads(self._status_text) if self._status_text else None
            self.evaluator.sample(second, self.sample)
            on_second(second)
            self.seconds = second
        return time.perf_counter() - started_s

    def make_result(self, dut: str, wall_s: float) -> RunResult:
        """Return the result of the run, or of its part until it was interrupted.

        A contained exception of the agent is a failure.
        """
        faults = [line for line in self.console if " fault " in line]
        failures = self.evaluator.failures() + faults
        return RunResult(
            self.scenario.name,
            self.world.seed,
            dut,
            tuple(name_interruption(self.scenario, self.seconds) or failures),
            self.shell.digest.text(),
            float(self.seconds),
            wall_s,
        )
