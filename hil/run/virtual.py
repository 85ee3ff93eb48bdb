# SPDX-License-Identifier: Apache-2.0
"""Runs a scenario in virtual time: testbed, endpoints, shell and controller.

Does not judge (see `hil.scenario.judge`) and does not read measures (see `hil.measure`). At the end
of each second of the world it takes one sample of the plant and of the last status of the agent.
The digest covers all inputs and outputs of the controller.
"""

import gc
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from agent.commands import profiles
from agent.port_numbers import BROKER, CONSOLE, FIRST_BUS, RECEIVER, STATE
from hil.bench import optional_sections, receiver_choice
from hil.bench.ground_station import MqttGround
from hil.bench.testbed import BUS_BAUD, LinkControl, Testbed
from hil.bench.testbed_satcom import SatcomTestbed
from hil.bench.testbed_settings import several_setting
from hil.errors import BenchError
from hil.io.endpoints import ConsoleEndpoint, SerialEndpoint, SinkEndpoint, TcpEndpoint
from hil.io.store_endpoint import StoreEndpoint
from hil.kernel.dut import Dut, DutFactory, InProcessDut
from hil.kernel.serial_line import SerialLine
from hil.kernel.world import World
from hil.measure.registry import read
from hil.scenario.judge import Evaluator
from hil.scenario.model import Scenario
from hil.scenario.timeline import schedule
from hil.shells.virtual import VirtualShell

START_UTC = 1_795_500_000_000_000
"""UTC at the start of a virtual run, µs: 2026-11-24T06:00:00Z. Settings can replace it."""

_SECOND = 1_000_000
_START_STEP_US, _START_TIMEOUT_US = 10_000, 10_000_000
_BITS_8E1 = 11
_CONTAINED = re.compile(r" fault |: starts again$|MemoryError")
"""A line of a contained exception, or of a runtime that starts its agent again after one."""


@dataclass(frozen=True)
class RunResult:
    """Identity and result of a run."""

    scenario: str
    seed: int
    dut: str
    failures: tuple[str, ...]
    digest: str | None
    virtual_s: float
    wall_s: float

    def record(self) -> dict[str, Any]:
        """Return the JSON record of `coldloop hil run --json`."""
        return {
            "scenario": self.scenario,
            "seed": self.seed,
            "dut": self.dut,
            "verdict": "fail" if self.failures else "pass",
            "digest": self.digest,
            "virtual_s": self.virtual_s,
            "wall_s": round(self.wall_s, 3),
            "speed": round(self.virtual_s / self.wall_s, 1),
            "failures": list(self.failures),
        }


def name_interruption(scenario: Scenario, seconds: int) -> list[str]:
    """Return the failure of a run that ended before its scenario; it is not judged further."""
    total = int(scenario.seconds)
    return [f"interrupted after {seconds} of {total} s"] if seconds < total else []


@cache
def _freeze_loaded_code() -> None:
    """Let the garbage collector skip what is loaded now: a scan takes 4 ms, a run often 60 ms."""
    if hasattr(gc, "freeze"):  # not in PyPy
        gc.freeze()


class VirtualRun:
    """One scenario with one seed, ready to `run`."""

    def __init__(self, scenario: Scenario, seed: int, make_dut: DutFactory = InProcessDut) -> None:
        _freeze_loaded_code()
        settings = scenario.settings
        if several_setting(settings):
            raise BenchError(
                f"{scenario.name}: a row with {several_setting(settings)} runs with "
                "`coldloop hil run` in virtual time only"
            )
        self.scenario = scenario
        self.status: dict[str, Any] | None = None
        self.console: list[str] = []
        self.status_text = b""
        self.world = World(
            seed,
            receiver_choice.parse_start_us(settings.start_utc) or START_UTC,
            int(settings.drift_ppm * 1000),
        )
        self.testbed = Testbed(self.world, settings)
        self.config = self.testbed.config(
            f"serial:/virtual/receiver?baud={receiver_choice.line_baud(settings)}",
            f"serial:/virtual/bus?baud={BUS_BAUD}&parity=E",
            "tcp:broker.virtual:1883",
            "store:/virtual/state",
        )
        self._new_dut: Callable[[], Dut] = lambda: self._make_dut(make_dut, self.config)
        self.dut = self._new_dut()
        self.shell = VirtualShell(self.world, self.dut)
        self._connect_ports()
        self._connect_components(self.config)
        self.evaluator = Evaluator(scenario)
        self.seconds = 0
        self._start_us = 0
        if not getattr(self.dut, "start_takes_time", False):
            schedule(scenario, self.testbed)

    def _make_dut(self, make_dut: DutFactory, config: dict[str, Any]) -> Dut:
        """Make the controller; with remote management it starts from the records of its store."""
        arguments: tuple[Any, ...] = (config, profiles())
        if "remote" in config:
            store = self.testbed.stores.get("remote")
            arguments = (*arguments, dict(store.records) if store is not None else {})
        dut = make_dut(*arguments)
        look_ahead = getattr(dut, "look_ahead", None)
        if look_ahead is not None:
            look_ahead(self.world)
        return dut

    def _connect_ports(self) -> None:
        shell, world, testbed = self.shell, self.world, self.testbed
        receiver_endpoint = SerialEndpoint(shell, RECEIVER)
        receiver_line = receiver_choice.connect_line(
            world,
            testbed.receiver,
            testbed.settings,
            receiver_endpoint.to_agent,
            RECEIVER,
            lambda: receiver_endpoint.baud,
        )
        receiver_endpoint.connect(receiver_line)
        max_rx_bytes: int | None = getattr(self.dut, "max_rx_bytes", None)
        receiver_choice.connect_pulses(
            world,
            testbed.receiver,
            testbed.settings,
            lambda _: shell.event(RECEIVER, "pulse"),
            RECEIVER,
        )
        bus_endpoint = SerialEndpoint(shell, FIRST_BUS)
        char_us = -(-_BITS_8E1 * _SECOND // BUS_BAUD)
        bus_line = SerialLine(world, testbed.bus, char_us, bus_endpoint.to_agent, FIRST_BUS)
        bus_endpoint.connect(bus_line)
        if max_rx_bytes is not None:  # the controller has UARTs with short FIFOs
            for line in (receiver_line, bus_line):
                line.set_chunk(max_rx_bytes)
        shell.endpoints.update({RECEIVER: receiver_endpoint, FIRST_BUS: bus_endpoint})
        broker_endpoint = TcpEndpoint(
            shell, BROKER, testbed.broker, int(testbed.settings.broker_latency_ms * 1000)
        )
        testbed.connect_link(
            LinkControl(
                broker_endpoint.set_down,
                broker_endpoint.set_silent,
                broker_endpoint.set_cut_after,
                lambda topic, payload, retain: broker_endpoint.device_link.send_replies(
                    testbed.broker.publish(topic, payload, world.now, 1, retain)
                ),
            )
        )
        shell.endpoints[BROKER] = broker_endpoint
        shell.endpoints[STATE] = SinkEndpoint(shell, STATE, self._store_status)
        shell.endpoints[CONSOLE] = ConsoleEndpoint(
            shell, CONSOLE, self._append_console, self._restart
        )

    def _connect_components(self, config: dict[str, Any]) -> None:
        """Connect the stores of the components, the modem and the load bank."""
        for port, section, address in optional_sections.assign_ports(config):
            if address.startswith(("store:", "local:")):
                store = StoreEndpoint(self.shell, port, self.world.random("store " + section))
                self.shell.endpoints[port] = self.testbed.stores[section] = store
            elif section == "modem" and self.testbed.satcom is not None:
                self._connect_modem(port, self.testbed.satcom)
        free = optional_sections.first_free_port(config)
        if self.testbed.load_bank is not None:
            self.testbed.load_bank.connect(self.shell, config, free)
            free += len(self.testbed.load_bank.bmcs)
        self.testbed.further_receivers.connect(self.shell, free)
        self.testbed.connect_power(self._set_power)
        self.testbed.connect_injection(self._inject)
        if "log" in config:
            key = bytes.fromhex(config["log"].get("ack_key", ""))
            unit_path = f"{config['site']}/{config['unit']}"
            self.testbed.connect_ground(MqttGround(self.testbed, unit_path, key))

    def _connect_modem(self, port: int, satcom: SatcomTestbed) -> None:
        """Connect the satellite modem to its port."""
        endpoint = SerialEndpoint(self.shell, port)
        line = SerialLine(
            self.world, satcom.device, satcom.char_us, endpoint.to_agent, port, chunk=32
        )
        endpoint.connect(line)
        self.shell.endpoints[port] = endpoint
        satcom.inject = line.inject
        self.testbed.connect_modem(endpoint)

    def _inject(self, piece: str, call: int) -> None:
        """Make a piece of the present controller raise at a call number."""
        self.dut.inject(piece, call)

    def _set_power(self, is_on: bool) -> None:
        """Cut the controller's power, or restore it: it restarts with the records of its stores."""
        if is_on:
            self.dut = self._new_dut()
            self.shell.switch_on(self.dut)
            return
        self.shell.switch_off()
        self.dut.close()
        self.status_text = b""
        for endpoint in self.shell.endpoints.values():
            if isinstance(endpoint, StoreEndpoint):
                endpoint.cut_power()
            else:
                endpoint.close()

    def _restart(self) -> None:
        """Restart the controller at its request; the ports are closed in order."""
        self.shell.switch_off()
        self.dut.close()
        for endpoint in self.shell.endpoints.values():
            endpoint.close()
        self.dut = self._new_dut()
        self.shell.switch_on(self.dut)

    def _store_status(self, data: bytes) -> None:
        self.status_text = data.split(b"\0", 1)[1]

    def _append_console(self, data: bytes) -> None:
        line = data.decode()
        self.console.append(f"{self.world.now / _SECOND:.1f} s {line}")
        self.testbed.history.add_console(self.world.now, line)

    def close(self) -> None:
        """End the controller and release its resources."""
        self.dut.close()

    def sample(self, name: str) -> float | None:
        """Read one measure now."""
        return read(self.testbed, self.status, name)

    def run(self, on_second: Callable[[int], None] | None = None) -> float:
        """Run to the end of the scenario; give the wall time in s."""
        started_s = time.perf_counter()
        self.shell.start()
        self.await_first_status()
        seconds = int(self.scenario.seconds)
        for second in range(1, seconds + 1):
            until = self._start_us + second * _SECOND
            self.shell.run(until)
            self.testbed.plant.advance(until)
            self.status = json.loads(self.status_text) if self.status_text else None
            self.evaluator.sample(second, self.sample)
            if on_second is not None:
                on_second(second)
            self.seconds = second
        return time.perf_counter() - started_s

    def await_first_status(self) -> None:
        """Run a board until its first status, where the scenario begins; as hil/run/real.py.

        The agent of the other controllers runs from the start. Raises BenchError.
        """
        if not getattr(self.dut, "start_takes_time", False):
            return
        while not self.status_text:
            if self.world.now >= _START_TIMEOUT_US:
                raise BenchError("the board sent no status in 10 s")
            self.shell.run(self.world.now + _START_STEP_US)
        self._start_us = self.world.now
        schedule(self.scenario, self.testbed, self._start_us)

    def contained_faults(self) -> list[str]:
        """Give the exceptions that the controller has contained, unless the scenario injects any.

        Neither its guard nor a new start of its runtime must hide an error from the bench.
        """
        if any(event.do == "raise_in" for event in self.scenario.events):
            return []
        return list(filter(_CONTAINED.search, self.console))

    def make_result(self, dut: str, wall_s: float) -> RunResult:
        """Return the result of the run, or of its part until it was interrupted."""
        failures = self.evaluator.failures() + self.contained_faults()
        return RunResult(
            self.scenario.name,
            self.world.seed,
            dut,
            tuple(name_interruption(self.scenario, self.seconds) or failures),
            self.shell.digest.text(),
            float(self.seconds),
            wall_s,
        )
