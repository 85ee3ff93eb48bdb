# SPDX-License-Identifier: Apache-2.0
"""The controller under test as the RP2040 image in an emulator, in virtual time.

    UART 0  GNSS receiver    UART 1  field bus    UART 2  broker, through `serial_gateway`
    USB console  status once a second, console lines

Does not emulate the chip: `coldloop firmware emulate` runs it (rp2040js). The emulator runs ahead
to the next event of the bench (`look_ahead`), and ends WINDOW_US after the first output of the
image. So its bytes reach the bench up to one window late. The bench models the time of the lines 0
and 1; the UARTs of the chip model their FIFOs. The emulator models line 2, which is made of PIO
state machines, bit by bit.

The unit comes from a factory: a first start has formatted its storage before the run. A power cut
within a call of the flash leaves a part of it.
"""

import base64
import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from agent.port_numbers import BROKER, CONSOLE, FIRST_BUS, RECEIVER, STATE
from agent.telemetry.status import STATUS_FILE
from drivers.errors import PortError
from drivers.ports.cpython.emulator_pipe import (
    FLASH_VARIABLE,
    EmulatorOutput,
    EmulatorPipe,
    emulator_command,
)
from hil.errors import BenchError
from hil.kernel.dut import Actions, StepResult
from hil.kernel.world import World
from hil.shells.serial_gateway import SerialGateway

WINDOW_US = 500
AHEAD_US = 10_000
"""Longest run of the emulator ahead of the bench."""
CHUNK = 8
"""Bytes that arrive immediately: a quarter of the FIFO of the chip."""
_STEP_NS, _SETTLE_NS, _ANSWER_NS = 10_000_000, 300_000_000, 6_000_000_000
_BROKER_PINS, BROKER_BAUD = bytes((8, 9)), 115_200
"""Output and input of UART 2 (deploy/firmware/board_files/rp2040.toml)."""
_NO_UART = "uart:99"
"""A UART that no board has: the status goes to the console alone."""
_STORE = "store:/flash/store"
"""The folder that the start of a board makes (deploy/firmware/rp2/_start.py)."""
_PULSE_PIN, LED_PIN = 15, 25
"""Pins of the pulse and of the LED (deploy/firmware/board_files/rp2040.toml)."""
_POWER_ON, _POWER_OFF, _RUN_UNTIL, _ADD_UART, _CLEAR_FIGURES = b"1", b"0", b"R", b"L", b"Z"
_TYPE_TEXT, _UART_INPUT, _SET_PIN, _READ_FIGURES, _READ_RAM = b"T", b"U", b"G", b"S", b"M"
"""Kinds of requests to the emulator (deploy/firmware/rp2/emulator/main.mjs)."""
_CONSOLE_OUTPUT, _UART_OUTPUT, _RESET, _PIN_OUTPUT = b"c", b"u", b"r", b"g"
_FIGURES, _RAM, _REACHED = b"s", b"m", b"t"
"""Kinds of its outputs."""
_UARTS = {RECEIVER: 0, FIRST_BUS: 1, BROKER: 2}
_PORTS = {number: port for port, number in _UARTS.items()}
_STATUS_HEAD = STATUS_FILE.encode() + b"\0"
_LINE = re.compile(
    rb"(?:coldloop: |coldloop agent: |port \d+: |alarm |unit |fault |/flash/|/rom/)[^\n]*\n"
    rb"|Traceback [^\n]*\n|^  File [^\n]*\n|^\w+(?:Error|Interrupt|Exit|Iteration)\b[^\n]*\n",
    re.MULTILINE,
)
"""A line of the start-up or of the agent beside the status, or of the traceback of an exception."""
_folders: dict[int, tuple[dict[str, Any], tempfile.TemporaryDirectory[str]]] = {}
"""The flash of each run, by the identity of its configuration: it stays over a power cut."""


class Rp2040Dut:
    """The emulated board. Raises BenchError if the emulator ends unexpectedly."""

    max_rx_bytes = CHUNK
    start_takes_time = True
    """The scenario begins with the first status, not with the power; see `hil.run.virtual`."""

    def __init__(
        self,
        config: dict[str, Any],
        _profiles: dict[str, dict[str, Any]],
        _records: dict[str, bytes] | None = None,
    ) -> None:
        self.board_config = board_config = make_config(config)
        """The configuration of the board."""
        if id(config) not in _folders:
            _folders[id(config)] = (config, tempfile.TemporaryDirectory())
        folder = Path(_folders[id(config)][1].name)
        (folder / "unit.json").write_text(json.dumps(board_config))
        self.flash = folder / "flash.bin"
        """The content of its flash, as it was when the emulator last stored it."""
        self._command = emulator_command(self.flash)
        self._command += ["--config", str(folder / "unit.json")]
        is_new = not (folder / "started").exists()
        unit_flash = os.environ.get(FLASH_VARIABLE)
        if unit_flash and is_new:
            shutil.copyfile(unit_flash, self.flash)
        if not self.flash.exists():
            self._build()
        self._pipe = EmulatorPipe(self._command)
        self._ran_ns = 0
        self._console = b""
        if unit_flash and is_new:
            self._install(json.dumps(board_config).encode())
        if is_new:
            self._first_start()
            (folder / "started").touch()
        self._request(_CLEAR_FIGURES)
        self._request(_ADD_UART, 2, BROKER_BAUD, _BROKER_PINS)
        self._world: World | None = None
        self._on_us, self._on_ns = 0, self._ran_ns
        self._started_us = 0
        """Time of the bench at which the timer of the chip began: power on, or the last reset."""
        self._reached_us = 0
        self._pending: Actions = []
        self._addresses = {
            RECEIVER: board_config["receiver"]["port"],
            FIRST_BUS: next(iter(board_config["buses"].values())),
        }
        self._gateway = SerialGateway(str(board_config.get("broker", {}).get("address", "")))
        self.figures: dict[str, Any] = {}
        self.first_output_us: int | None = None
        """Time from power on to the first byte on the field bus."""
        self.led_trace: list[tuple[int, int]] = []
        """Changes of the LED: time since power on in us, level."""

    def look_ahead(self, world: World) -> None:
        """Run the emulator to the next event of this world instead of in short slices."""
        self._world = world

    def _build(self) -> None:
        completed = subprocess.run(
            [*self._command, "--build"], capture_output=True, text=True, check=False
        )
        if completed.returncode:
            raise BenchError(f"rp2040: {completed.stderr.strip()}")

    def _first_start(self) -> None:
        """Do what a factory does: start once, so that the board formats its storage."""
        self._request(_POWER_ON)
        self._await(b"port %d: opened" % FIRST_BUS)
        self._run_for(_SETTLE_NS)
        self._request(_POWER_OFF)

    def _install(self, config: bytes) -> None:
        """Give a unit the configuration of the bench, through its recovery mode (Ctrl-C)."""
        self._request(_POWER_ON)
        self._await(b"configuration /")
        self._type(b"\x03")
        self._await(b"recovery mode")
        text = base64.b64encode(config).decode()
        lines = [text[at : at + 76] for at in range(0, len(text), 76)]
        for line in ("config " + hashlib.sha256(config).hexdigest(), *lines, "."):
            self._type(line.encode() + b"\r")
            self._run_for(_STEP_NS)
        self._await(b"coldloop: stored")
        self._request(_POWER_OFF)

    def _type(self, text: bytes) -> None:
        self._request(_TYPE_TEXT, 0, 0, text)

    def _await(self, words: bytes) -> None:
        """Run until the console has had these words. Raises BenchError."""
        end, text = self._ran_ns + _ANSWER_NS, b""
        while words not in text:
            if self._ran_ns >= end:
                raise BenchError(f"rp2040: the unit did not say {words!r}: {text[-400:]!r}")
            text += self._run_for(_STEP_NS)

    def _run_for(self, nanoseconds: int) -> bytes:
        """Run; return what the console has had."""
        self._ran_ns += nanoseconds
        outputs = self._request(_RUN_UNTIL, 0, self._ran_ns)
        return b"".join(output.data for output in outputs if output.kind == _CONSOLE_OUTPUT)

    def start(self, now: int) -> StepResult:
        """Switch the power on."""
        self._on_us = self._reached_us = self._started_us = now
        self._request(_POWER_ON)
        opened: Actions = [
            (port, "open", str(address).encode()) for port, address in self._addresses.items()
        ]
        return now, opened

    def receive(self, port: int, data: bytes, now: int) -> StepResult:
        """Deliver bytes from a port."""
        if port in _UARTS:
            self._post(_UART_INPUT, _UARTS[port], 0, data)
        return max(now, self._reached_us), []

    def event(self, port: int, kind: str, now: int) -> StepResult:
        """Deliver an event of a port: only a pulse reaches the chip."""
        actions = self._gateway.event(kind) if port == BROKER else []
        if kind == "pulse":
            self._post(_SET_PIN, _PULSE_PIN, 1)
            self._post(_SET_PIN, _PULSE_PIN, 0)
        return max(now, self._reached_us), actions

    def wake(self, now: int) -> StepResult:
        """Hand over what the chip has put out until now; without any, run the chip ahead."""
        actions, self._pending = self._pending, []
        if actions:  # the bench can answer now, before the chip runs on
            return now, actions
        self._run(self._horizon(now))
        return max(now, self._reached_us), []

    def _horizon(self, now: int) -> int:
        """Return the time of the next event that can change an input of the chip."""
        if self._world is None:
            return now + WINDOW_US
        times = [now + AHEAD_US]
        if self._world.heap:
            times.append(self._world.heap[0][0])
        return min(times)

    def inject(self, piece: str, call: int) -> None:
        """Raise BenchError: nothing reaches into the image. `piece`, `call`: see `Dut.inject`."""
        raise BenchError(f"rp2040: {piece}: this controller takes no injected exception")

    def read_figures(self) -> dict[str, Any]:
        """Return the figures of the emulator: instructions, erases, lost bytes."""
        for kind, _, _, data in self._request(_READ_FIGURES):
            if kind == _FIGURES:
                self.figures = json.loads(data)
        return self.figures

    def read_ram(self) -> bytes:
        """Return the RAM of the chip, from 0x20000000 on."""
        return b"".join(data for kind, _, _, data in self._request(_READ_RAM) if kind == _RAM)

    def close(self) -> None:
        """Cut the power, store the flash and end the emulator; repeated calls are harmless."""
        if self._pipe.is_running:
            now = self._reached_us if self._world is None else self._world.now
            with contextlib.suppress(BenchError):
                self._request(_POWER_OFF, 0, self._nanoseconds(now))
                self.read_figures()
        self._pipe.close()

    def _nanoseconds(self, now: int) -> int:
        """Return the time of the emulator at a time of the bench."""
        return self._on_ns + (now - self._on_us) * 1000

    def _microseconds(self, at_ns: int) -> int:
        """Return the time since power on, rounded up."""
        return -((self._on_ns - at_ns) // 1000)

    def _run(self, until: int) -> None:
        """Run until a time, or shortly after the first output; keep what the image has written."""
        actions = self._pending
        for kind, number, at_ns, data in self._request(
            _RUN_UNTIL, WINDOW_US // 100, self._nanoseconds(until)
        ):
            at_us = self._microseconds(at_ns)
            if kind == _UART_OUTPUT:
                port = _PORTS[number]
                if port == FIRST_BUS and self.first_output_us is None:
                    self.first_output_us = at_us
                is_gateway = port == BROKER
                made = self._gateway.take(data, at_us) if is_gateway else [(port, "write", data)]
                for action in made:
                    is_next = actions and actions[-1][:2] == action[:2] == (port, "write")
                    before = actions.pop()[2] if is_next else b""
                    actions.append((*action[:2], before + action[2]))
            elif kind == _CONSOLE_OUTPUT:
                actions += self._on_console(data)
            elif kind == _PIN_OUTPUT and number == LED_PIN and data[0] < 2:
                self.led_trace.append((at_us, data[0]))
            elif kind == _RESET:
                self._started_us = self._on_us + at_us
                actions.append((CONSOLE, "write", b"the board was reset, reason %d" % number))
            elif kind == _REACHED:
                self._reached_us = self._on_us + at_us

    def _on_console(self, data: bytes) -> Actions:
        """Split the console into lines and records of the status.

        A record is complete if it is JSON. A line in the middle of it is taken out. An unreadable
        record ends when the next one begins; then the status stays as it was.
        """
        self._console += data
        actions: Actions = []
        found = self._console.rfind(_STATUS_HEAD)
        if found < 0:
            lines, end = self._console, self._console.rfind(b"\n") + 1
            self._console = lines[end:]
            return [(CONSOLE, "write", line.strip()) for line in _LINE.findall(lines[:end])]
        before, record = self._console[:found], self._console[found:]
        actions += [(CONSOLE, "write", line.strip()) for line in _LINE.findall(before)]
        self._console = record
        if b"}" in data:
            text = _LINE.sub(b"", record)
            with contextlib.suppress(ValueError):
                status = json.loads(text.removeprefix(_STATUS_HEAD))
                status["mono_us"] += self._started_us  # as the bench counts
                actions += [(CONSOLE, "write", line.strip()) for line in _LINE.findall(record)]
                actions.append((STATE, "write", _STATUS_HEAD + json.dumps(status).encode()))
                self._console = b""
        return actions

    def _request(
        self, kind: bytes, number: int = 0, value: int = 0, data: bytes = b""
    ) -> list[EmulatorOutput]:
        """Send a request; return the outputs."""
        try:
            return self._pipe.request(kind, number, value, data)
        except PortError as error:
            raise BenchError(f"rp2040: {error}") from None

    def _post(self, kind: bytes, number: int, value: int, data: bytes = b"") -> None:
        """Send a request with the next one."""
        try:
            self._pipe.post(kind, number, value, data)
        except PortError as error:
            raise BenchError(f"rp2040: {error}") from None


def make_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration for the board: its ports, and its one folder for all stores."""
    changed: dict[str, Any] = json.loads(json.dumps(config))
    for section in changed.values():
        if isinstance(section, dict) and str(section.get("port")).startswith("store:"):
            section["port"] = _STORE
    if "broker" in changed:
        changed["broker"]["address"] = f"uart:2?baud={BROKER_BAUD}"
    changed["state"] = _NO_UART
    receiver = changed["receiver"]
    receiver["port"] = "uart:0?" + str(receiver["port"]).partition("?")[2]
    name, address = next(iter(changed["buses"].items()))
    changed["buses"] = {name: "uart:1?" + str(address).partition("?")[2]}
    return changed
