# SPDX-License-Identifier: Apache-2.0
"""The bench in real time: a row on real ports, and the agent as a process.

Does not run a scenario; see `hil.run.real`, `hil.page` and `hil.demo`, which use it. The serial
lines are pseudo-terminals. The broker is a TCP socket on loopback, or an external one. The state
folder is temporary. True UTC is the clock of the machine. A fleet (`hil.bench.device_fleet`) adds
two ports. Each Modbus device can be replaced by a real one at any time (`hil.bench.device_swap`).
"""

import json
import shutil
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from agent.port_numbers import FIRST_BUS, RECEIVER
from agent.telemetry.status import STATUS_FILE
from hil.bench import receiver_choice
from hil.bench.agent_factory import AgentFactory, BoardAgent
from hil.bench.device_fleet import LINE_UNITS, TCP_UNITS, DeviceFleet
from hil.bench.device_swap import DeviceSwap, SwapBus
from hil.bench.testbed import (
    BUS_BAUD,
    FIRST_DRIVE_UNIT,
    RPU_UNIT,
    VALVE_UNIT,
    LinkControl,
    Testbed,
)
from hil.bench.testbed_satcom import BAUD_RATES
from hil.bench.testbed_settings import TestbedSettings, several_setting
from hil.errors import BenchError
from hil.io.real_ports import PtyPort, PulsePipe, TcpListener
from hil.kernel.serial_line import SerialLine
from hil.kernel.world import World
from hil.run.agent_process import AgentSubprocess, agent_command
from hil.run.site_servers import SiteServers
from hil.shells.realtime import RealTimeShell, raw_offset_us

_SECOND = 1_000_000
_BITS_8E1 = 11
_FLEET_RANK = 100
_BUS_OPTIONS = f"baud={BUS_BAUD}&parity=E"
_VIRTUAL_FOLDER = "/virtual/"
_HEALTH_S = 15
"""Health window of a change from the keys of operators, s."""


class RealBench:
    """A row in real time. A `with` block closes ports, agent and folder at its end.

    `device_swap` replaces devices by real ones. The names are `rpu`, `valve`, `drive1`, `drive2`,
    and those of the fleet. `make_board_agent` makes the agent for the interpreter "qemu".
    """

    def __init__(
        self,
        settings: TestbedSettings,
        seed: int,
        broker: str | None = None,
        fleet: bool = False,
        make_board_agent: AgentFactory | None = None,
    ) -> None:
        if several_setting(settings):
            raise BenchError(f"a row with {several_setting(settings)} runs in virtual time only")
        self.folder = Path(tempfile.mkdtemp(prefix="coldloop-"))
        self.world = World(seed, time.time_ns() // 1000)
        self.shell = RealTimeShell(self.world)
        self.testbed = Testbed(self.world, settings)
        self._agent_clock_is_raw = True
        self.testbed.set_true_utc(self._true_utc)
        self.receiver = PtyPort(self.shell)
        self.bus = PtyPort(self.shell)
        self.testbed.further_receivers.open_terminals(self.shell, _FLEET_RANK + 2)
        self.pulses: PulsePipe | None = None
        self.broker: TcpListener | None = None
        self._agent: AgentSubprocess | None = None
        self.site_servers: SiteServers | None = None
        self.operator_keys: list[dict[str, Any]] = []
        """Public keys of operators instead of those of the bench; the part `remote` uses them."""
        self._make_board_agent = make_board_agent
        self._board_agent: BoardAgent | None = None
        self._connect_ports()
        if broker is None:
            latency = int(settings.broker_latency_ms * 1000)
            self.broker = TcpListener(self.shell, self.testbed.broker, latency)
            self.testbed.connect_link(LinkControl(self.broker.set_down))
            broker = f"127.0.0.1:{self.broker.address[1]}"
        self.ports = {
            "receiver": f"serial:{self.receiver.path}?baud={receiver_choice.line_baud(settings)}",
            "bus": f"serial:{self.bus.path}?{_BUS_OPTIONS}",
            "broker": f"tcp:{broker}",
        }
        self.load_ports = self._serve_loads()
        self.device_swap = DeviceSwap(self.shell)
        self._register_devices()
        self.modem: PtyPort | None = None
        self._connect_modem()
        self.fleet: DeviceFleet | None = None
        self.bus8: PtyPort | None = None
        self.modbus_tcp: TcpListener | None = None
        if fleet:
            self._add_fleet()

    def _true_utc(self, agent_us: int) -> int:
        """Return the true UTC (Unix µs) at `agent_us` of the agent's clock."""
        offset = raw_offset_us() if self._agent_clock_is_raw else 0
        return self.world.utc(agent_us - offset - self.shell.start_us)

    def _serve_loads(self) -> list[TcpListener]:
        """Give each service of the load bank a port on loopback."""
        load_bank = self.testbed.load_bank
        if load_bank is None:
            return []
        ports = []
        for name, server in load_bank.list_servers().items():
            ports.append(TcpListener(self.shell, server))
            load_bank.addresses[name] = f"tcp:127.0.0.1:{ports[-1].address[1]}"
        return ports

    def _register_devices(self) -> None:
        """Register the devices of the row in `device_swap`."""
        testbed, line = self.testbed, self.bus.line
        if line is None:
            return
        swap_bus = SwapBus("bus", testbed.bus, line.inject, ("serial", "tcp"), _BUS_OPTIONS)
        self.device_swap.add("rpu", swap_bus, RPU_UNIT)
        self.device_swap.add("valve", swap_bus, VALVE_UNIT)
        for i in range(len(testbed.drives)):
            self.device_swap.add(f"drive{i + 1}", swap_bus, FIRST_DRIVE_UNIT + i)

    def _add_fleet(self) -> None:
        """Connect the fleet to a serial line and a TCP host."""
        fleet = self.fleet = DeviceFleet(self.world)
        bus8 = self.bus8 = PtyPort(self.shell)
        char_us = _BITS_8E1 * _SECOND // BUS_BAUD
        line = SerialLine(self.world, fleet.line, char_us, bus8.to_agent, _FLEET_RANK)
        bus8.connect(line)
        host = fleet.host
        tcp = self.modbus_tcp = TcpListener(self.shell, host)
        tcp.device_link.send_replies([])
        self.ports["bus8"] = f"serial:{bus8.path}?{_BUS_OPTIONS}"
        self.ports["modbus_tcp"] = f"tcp:127.0.0.1:{tcp.address[1]}"
        line_bus = SwapBus("bus8", fleet.line, line.inject, ("serial", "tcp"), _BUS_OPTIONS)
        host_bus = SwapBus(
            "modbus_tcp",
            host,
            lambda frame: tcp.device_link.send_replies(host.forward_reply(frame)),
            ("tcp",),
            framed=True,
        )
        for swap_bus, units in ((line_bus, LINE_UNITS), (host_bus, TCP_UNITS)):
            for name, unit in units.items():
                self.device_swap.add(name, swap_bus, unit)

    def _connect_ports(self) -> None:
        testbed, receiver = self.testbed, self.receiver
        receiver.connect(
            receiver_choice.connect_line(
                self.world,
                testbed.receiver,
                testbed.settings,
                receiver.to_agent,
                RECEIVER,
                lambda: None,
            )
        )
        if testbed.settings.receiver_pps:
            pipe = self.pulses = PulsePipe(f"{self.folder}/pulses", self.shell.start_us)
            receiver_choice.connect_pulses(
                self.world, testbed.receiver, testbed.settings, pipe.write_edge, RECEIVER
            )
        char_us = _BITS_8E1 * _SECOND // BUS_BAUD
        line = SerialLine(self.world, testbed.bus, char_us, self.bus.to_agent, FIRST_BUS)
        self.bus.connect(line)
        self.world.schedule(0, self._advance_plants)

    def _advance_plants(self) -> None:
        """Advance the plants four times a second, also if no device gets a request."""
        self.testbed.plant.advance(self.world.now)
        if self.fleet is not None:
            self.fleet.advance(self.world.now)
        self.world.schedule(self.world.now + _SECOND // 4, self._advance_plants)

    def _connect_modem(self) -> None:
        """Connect the satellite modem, if the row has one, to a pseudo-terminal."""
        satcom = self.testbed.satcom
        if satcom is None:
            return
        port = self.modem = PtyPort(self.shell)
        line = SerialLine(
            self.world, satcom.device, satcom.char_us, port.to_agent, _FLEET_RANK + 1, 32
        )
        port.connect(line)
        satcom.inject = line.inject

    def config(self, dut: str = "cpython") -> dict[str, Any]:
        """Write the configuration of an agent for this bench.

        Only an agent on CPython gets the pulses of the receiver; MicroPython needs a pin of a
        board.
        """
        ports = self.ports
        config = self.testbed.config(
            ports["receiver"], ports["bus"], ports["broker"], f"store:{self.folder}"
        )
        if self.pulses is not None and dut == "cpython":
            config["pps"] = {"port": f"pps:{self.pulses.path}"}
        if "log" in config:
            (self.folder / "log").mkdir(exist_ok=True)
            config["log"]["port"] = f"store:{self.folder}/log"
        if "modem" in config and self.modem is not None:
            baud = BAUD_RATES[self.testbed.settings.modem]
            config["modem"]["port"] = f"serial:{self.modem.path}?baud={baud}"
            (self.folder / "modem").mkdir(exist_ok=True)
            config["modem_store"]["port"] = f"store:{self.folder}/modem"
        self._assign_folders(config)
        if self.operator_keys:
            config["remote"].update(keys=list(self.operator_keys), health_s=_HEALTH_S)
        if self.site_servers is not None:
            self.site_servers.extend(config)
        return config

    def add_site_servers(self) -> SiteServers:
        """Serve the site from the next start of the agent on; see `hil.run.site_servers`."""
        self.site_servers = SiteServers(self.folder)
        return self.site_servers

    def _assign_folders(self, config: dict[str, Any]) -> None:
        """Give the store of each component its own folder."""
        for section in config.values():
            port = str(section.get("port", "")) if isinstance(section, dict) else ""
            kind, _, path = port.partition(":")
            if path.startswith(_VIRTUAL_FOLDER):
                folder = self.folder / path.removeprefix(_VIRTUAL_FOLDER)
                folder.mkdir(exist_ok=True)
                section["port"] = f"{kind}:{folder}"

    def start_agent(self, dut: str = "cpython", log: Path | None = None) -> None:
        """Start the agent on the interpreter `dut` as a process; `log` gets its output.

        Raises BenchError if the interpreter is not installed.
        """
        self._agent_clock_is_raw = dut == "cpython"
        path = self.folder / "unit.json"
        arguments = agent_command(dut, bool(self.testbed.settings.parts))
        config = self.config(dut)
        if dut == "qemu":
            if self._make_board_agent is None:
                raise BenchError("qemu: this bench has no factory for an agent on a board")
            self._board_agent = self._make_board_agent(self)
            config, arguments = self._board_agent.config(), self._board_agent.command()
        path.write_text(json.dumps(config, indent=2), encoding="utf-8")
        self._agent = AgentSubprocess(dut, [*arguments, str(path)], log)

    def agent_exit_code(self) -> int | None:
        """Return the exit code of an agent that has ended; None: it runs."""
        return None if self._agent is None else self._agent.exit_code()

    def status(self) -> dict[str, Any] | None:
        """Read the last status of the agent; None: there is none yet."""
        if self._board_agent is not None:
            return self._board_agent.status
        try:
            text = (self.folder / STATUS_FILE).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        status: dict[str, Any] = json.loads(text)
        return status

    def stop_agent(self) -> None:
        """Terminate the agent; kill it after 5 s. The ports of a board are closed."""
        if self._agent is not None:
            self._agent.stop()
        if self._board_agent is not None:
            self._board_agent.close()
            self._board_agent = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop_agent()
        self.device_swap.close()
        for port in (
            *(self.receiver, self.bus, self.broker, self.bus8, self.modbus_tcp, self.modem),
            self.pulses,
            *self.load_ports,
        ):
            if port is not None:
                port.close()
        self.shell.close()
        shutil.rmtree(self.folder, ignore_errors=True)
