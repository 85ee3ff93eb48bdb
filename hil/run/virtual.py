"""A scenario in virtual time: row, far ends, shell and controller joined, run, sampled, judged.

One sample a second is taken, when the world's second has passed, of the plant and of what the
agent last said of itself. The digest covers everything that went in and out of the controller.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from agent.agent import BROKER, CONSOLE, FIRST_BUS, RECEIVER, STATE
from agent.commands import profiles
from hil.bench import optional_sections, receiver_choice
from hil.bench.ground_station import Ground
from hil.bench.testbed import BUS_BAUD, Row
from hil.bench.testbed_satcom import Satellite
from hil.io.endpoints import ConsoleEnd, SerialEnd, SinkEnd, TcpEnd
from hil.io.store_endpoint import StoreEnd
from hil.kernel.dut import Dut, InProcess, MakeDut
from hil.kernel.serial_line import SerialLine
from hil.kernel.world import World
from hil.measure.registry import read
from hil.scenario.judge import Judge
from hil.scenario.model import Scenario
from hil.scenario.timeline import schedule
from hil.shells.virtual import VirtualShell

START_UTC = 1_795_500_000_000_000
"""UTC at the start of every virtual run, microseconds: 2026-11-24T06:00:00Z."""

_SECOND = 1_000_000
_BITS_8E1 = 11


@dataclass(frozen=True)
class Outcome:
    """What a run was and how it was judged."""

    scenario: str
    seed: int
    dut: str
    failures: tuple[str, ...]
    digest: str | None
    virtual_s: float
    wall_s: float

    def record(self) -> dict[str, Any]:
        """Give the outcome as the JSON record of `coldloop hil run --json`."""
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


class VirtualRun:
    """One scenario with one seed, ready to `run`."""

    def __init__(self, scenario: Scenario, seed: int, make_dut: MakeDut = InProcess) -> None:
        setting = scenario.row
        self.scenario = scenario
        self.status: dict[str, Any] | None = None
        self.console: list[str] = []
        self._status_text = b""
        self.world = World(
            seed,
            receiver_choice.start_us(setting.start_utc) or START_UTC,
            int(setting.drift_ppm * 1000),
        )
        self.row = Row(self.world, setting)
        self.config = self.row.config(
            f"serial:/virtual/receiver?baud={receiver_choice.baud(setting)}",
            f"serial:/virtual/bus?baud={BUS_BAUD}&parity=E",
            "tcp:broker.virtual:1883",
            "store:/virtual/state",
        )
        self._make: Callable[[], Dut] = lambda: self._made(make_dut, self.config)
        self.dut = self._make()
        self.shell = VirtualShell(self.world, self.dut)
        self._join()
        self._join_parts(self.config)
        self.judge = Judge(scenario)
        schedule(scenario, self.row)

    def _made(self, make_dut: MakeDut, config: dict[str, Any]) -> Dut:
        """Make the controller; one that takes changes from afar starts from what its store kept."""
        if "remote" not in config:
            return make_dut(config, profiles())
        store = self.row.stores.get("remote")
        return make_dut(config, profiles(), dict(store.records) if store is not None else {})

    def _join(self) -> None:
        shell, world, row = self.shell, self.world, self.row
        end = SerialEnd(shell, RECEIVER)
        end.line = receiver_choice.line(
            world, row.receiver, row.setting, end.to_agent, RECEIVER, lambda: end.baud
        )
        receiver_choice.pulses(
            world, row.receiver, row.setting, lambda _: shell.event(RECEIVER, "pulse"), RECEIVER
        )
        bus = SerialEnd(shell, FIRST_BUS)
        char_us = -(-_BITS_8E1 * _SECOND // BUS_BAUD)
        bus.line = SerialLine(world, row.bus, char_us, bus.to_agent, FIRST_BUS)
        shell.ends.update({RECEIVER: end, FIRST_BUS: bus})
        broker = TcpEnd(shell, BROKER, row.broker, int(row.setting.broker_latency_ms * 1000))
        row.set_link_down, row.set_link_silent = broker.set_down, broker.set_silent
        row.cut_link_after = partial(setattr, broker, "cut_after")
        row.publish = lambda topic, payload, retain: broker.serving.say(
            row.broker.publish(topic, payload, world.now, 1, retain)
        )
        shell.ends[BROKER] = broker
        shell.ends[STATE] = SinkEnd(shell, STATE, self._take_status)
        shell.ends[CONSOLE] = ConsoleEnd(shell, CONSOLE, self._take_line, self._restart)

    def _join_parts(self, config: dict[str, Any]) -> None:
        """Give each store of a part its flash."""
        for port, section, address in optional_sections.ports(config):
            if address.startswith("store:"):
                store = StoreEnd(self.shell, port, self.world.random("store " + section))
                self.shell.ends[port] = self.row.stores[section] = store
            elif section == "modem" and self.row.satellite is not None:
                self._join_modem(port, self.row.satellite)
        if self.row.bank is not None:
            self.row.bank.join(self.shell, config, optional_sections.first_free(config))
        self.row.set_power = self._set_power
        if "log" in config:
            key = bytes.fromhex(config["log"].get("ack_key", ""))
            self.row.ground = Ground(self.row, f"{config['site']}/{config['unit']}", key)

    def _join_modem(self, port: int, satellite: Satellite) -> None:
        """Put the satellite modem behind its port."""
        end = SerialEnd(self.shell, port)
        end.line = SerialLine(
            self.world, satellite.device, satellite.char_us, end.to_agent, port, chunk=32
        )
        self.shell.ends[port] = end
        satellite.say = end.line.say
        self.row.modem_port = end

    def _set_power(self, on: bool) -> None:
        """Cut the controller's power, or give it back: it starts anew with what its stores kept."""
        if on:
            self.dut = self._make()
            self.shell.switch_on(self.dut)
            return
        self.shell.switch_off()
        self.dut.close()
        self._status_text = b""
        for end in self.shell.ends.values():
            if isinstance(end, StoreEnd):
                end.cut()
            else:
                end.close()

    def _restart(self) -> None:
        """Start the controller anew because it asked for it; its ports are closed in order."""
        self.shell.switch_off()
        self.dut.close()
        for end in self.shell.ends.values():
            end.close()
        self.dut = self._make()
        self.shell.switch_on(self.dut)

    def _take_status(self, data: bytes) -> None:
        self._status_text = data.split(b"\0", 1)[1]

    def _take_line(self, data: bytes) -> None:
        self.console.append(f"{self.world.now / _SECOND:.1f} s {data.decode()}")

    def sample(self, name: str) -> float | None:
        """Read one measure now."""
        return read(self.row, self.status, name)

    def run(self, each_second: Callable[[int], None] | None = None) -> float:
        """Run to the end of the scenario; return the seconds it took on the wall."""
        began = time.perf_counter()
        self.shell.start()
        whole = int(self.scenario.seconds)
        for second in range(1, whole + 1):
            self.shell.run(second * _SECOND)
            self.row.plant.advance(second * _SECOND)
            self.status = json.loads(self._status_text) if self._status_text else None
            self.judge.sample(second, self.sample)
            if each_second is not None:
                each_second(second)
        return time.perf_counter() - began

    def outcome(self, dut: str, wall_s: float) -> Outcome:
        """Judge the run."""
        return Outcome(
            self.scenario.name,
            self.world.seed,
            dut,
            tuple(self.judge.failures()),
            self.shell.digest.text(),
            float(int(self.scenario.seconds)),
            wall_s,
        )
