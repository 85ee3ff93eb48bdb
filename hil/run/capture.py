# SPDX-License-Identifier: Apache-2.0
"""A capture: all inputs and outputs of a controller, with times, as lines of JSON.

    {"format": "coldloop-capture-1", "config": {...}, "note": "..."}
    [123456, 0, "receive", "2447..."]      microseconds, port, kind, bytes in hexadecimal
    [123500, 4, "write", "0c03..."]        an operation of the controller (write, open, close, …)

Inputs are `start`, `stop`, `receive` and `event`; all other lines are outputs. `start` is power on;
it holds the stored records of a unit with remote management. After `stop` the controller does
nothing more. A capture that does not end with `stop` was cut. A capture from the field can hold
inputs only. Then `CapturePlayer` gives the outputs of the present code.

A capture can come from other people. Each line is checked when it is read. The time of a replay is
limited by the number of lines: the controller runs for at most a day between two of them.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.commands import profiles
from hil.errors import BenchError
from hil.io.register_trace import CaptureLine, ReplayedRegisters
from hil.kernel.dut import Dut, DutFactory, StepResult
from hil.kernel.serial_line import NEVER

FORMAT = "coldloop-capture-1"
INPUTS = ("start", "stop", "receive", "event")
NO_PORT = -1
_MAX_GAP_US = 86_400_000_000
_MAX_TIME_US = 10 * 366 * _MAX_GAP_US
_MAX_PORT = 63


@dataclass
class RunCapture:
    """The configuration of the controller, and the lines in the order of their times."""

    config: dict[str, Any]
    lines: list[CaptureLine] = field(default_factory=list)
    note: str = ""

    def set_config(self, config: dict[str, Any]) -> None:
        """Set the configuration of the controller."""
        self.config = config

    @property
    def outputs(self) -> list[CaptureLine]:
        """Operations of the controller."""
        return [line for line in self.lines if line[2] not in INPUTS]

    @property
    def inputs(self) -> list[CaptureLine]:
        """Inputs of the controller."""
        return [line for line in self.lines if line[2] in INPUTS]

    @property
    def is_complete(self) -> bool:
        """Return whether the last input is `stop`: nothing was cut from the end."""
        inputs = self.inputs
        return bool(inputs) and inputs[-1][2] == "stop"

    def to_text(self) -> str:
        """Write the capture as lines of JSON."""
        head = {"format": FORMAT, "config": self.config, "note": self.note}
        entries = [[at_us, port, kind, data.hex()] for at_us, port, kind, data in self.lines]
        return "".join(
            json.dumps(entry, separators=(",", ":")) + "\n" for entry in (head, *entries)
        )


def parse(text: Iterable[str], source: str) -> RunCapture:
    """Read a capture; raises BenchError that names the line."""
    capture: RunCapture | None = None
    running, last_us = True, 0  # without `start` the controller starts at the first line
    for number, line in enumerate(text, 1):
        try:
            entry = json.loads(line)
            if capture is None:
                capture = _parse_head(entry)
                continue
            parsed = _parse_line(entry)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BenchError(f"{source}:{number}: not a line of a capture: {error}") from None
        gap_us = parsed[0] - last_us if capture.lines else 0
        if gap_us < 0:
            raise BenchError(f"{source}:{number}: the times do not increase")
        if running and gap_us > _MAX_GAP_US:
            raise BenchError(
                f"{source}:{number}: more than a day after the line before it; the controller runs"
            )
        capture.lines.append(parsed)
        last_us = parsed[0]
        running = parsed[2] == "start" or (running and parsed[2] != "stop")
    if capture is None:
        raise BenchError(f"{source}: empty")
    return capture


def _parse_head(entry: Any) -> RunCapture:
    if entry["format"] != FORMAT:
        raise ValueError(f"format {entry['format']!r} is not {FORMAT}")
    if not isinstance(entry["config"], dict):
        raise TypeError("the configuration is not an object")
    return RunCapture(entry["config"], note=str(entry.get("note", "")))


def _parse_line(entry: Any) -> CaptureLine:
    at_us, port, kind, text = entry
    if type(at_us) is not int or not 0 <= at_us <= _MAX_TIME_US:
        raise ValueError("the time is not a whole number of microseconds in ten years")
    if type(port) is not int or not NO_PORT <= port <= _MAX_PORT:
        raise ValueError(f"the port is not a number from {NO_PORT} to {_MAX_PORT}")
    if not isinstance(kind, str):
        raise TypeError("the kind is not a text")
    data = bytes.fromhex(text)
    if kind == "start":
        _parse_records(data)
    elif kind in ("receive", "event") and port == NO_PORT:
        raise ValueError(f"{kind} without a port")
    elif kind == "event":
        data.decode("ascii")
    return at_us, port, kind, data


def _parse_records(data: bytes) -> dict[str, bytes]:
    """Return the stored records of a line `start`."""
    records = json.loads(data or b"{}")
    if not isinstance(records, dict):
        raise TypeError("the stored records are not an object")
    return {name: bytes.fromhex(text) for name, text in records.items()}


def load(path: Path) -> RunCapture:
    """Read a capture file; raises BenchError."""
    try:
        with open(path, encoding="utf-8") as file:
            return parse(file, str(path))
    except OSError as error:
        raise BenchError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BenchError(f"{path}: not UTF-8 text") from None


class CapturingDut:
    """A controller under test; it writes its inputs and outputs to a capture."""

    def __init__(
        self, dut: Dut, capture: RunCapture, records: dict[str, bytes] | None = None
    ) -> None:
        self._dut = dut
        self._lines = capture.lines
        self._now = 0
        texts = {name: data.hex() for name, data in (records or {}).items()}
        self._records = json.dumps(texts).encode() if texts else b""

    def _record_step(self, step_result: StepResult, now: int) -> StepResult:
        self._lines.extend((now, port, op, bytes(data)) for port, op, data in step_result[1])
        self._now = now
        return step_result

    def inject(self, piece: str, call: int) -> None:
        """Make a piece of the agent raise at a call number. The capture does not hold it."""
        self._dut.inject(piece, call)

    def start(self, now: int) -> StepResult:
        """Start the controller."""
        self._lines.append((now, NO_PORT, "start", self._records))
        return self._record_step(self._dut.start(now), now)

    def receive(self, port: int, data: bytes, now: int) -> StepResult:
        """Deliver bytes."""
        return self._step(
            (now, port, "receive", bytes(data)), lambda: self._dut.receive(port, data, now)
        )

    def event(self, port: int, kind: str, now: int) -> StepResult:
        """Deliver an event of a port."""
        return self._step(
            (now, port, "event", kind.encode()), lambda: self._dut.event(port, kind, now)
        )

    def _step(self, line: CaptureLine, call: Callable[[], StepResult]) -> StepResult:
        """Record an input and its outputs; Ctrl-C within the step leaves neither."""
        count = len(self._lines)
        self._lines.append(line)
        try:
            return self._record_step(call(), line[0])
        except KeyboardInterrupt:
            del self._lines[count:]
            raise

    def wake(self, now: int) -> StepResult:
        """Tell the controller that its deadline has passed."""
        return self._record_step(self._dut.wake(now), now)

    def close(self) -> None:
        """Stop the controller."""
        self._lines.append((self._now, NO_PORT, "stop", b""))
        self._dut.close()


class CapturePlayer:
    """Feeds the inputs of a capture to a controller at their times; `outputs` are its operations.

    At equal times inputs come before the deadline of the controller, as in the virtual shell. With
    `registers`, replies show the registers that this controller wrote, within a tolerance.
    """

    def __init__(
        self, capture: RunCapture, make_dut: DutFactory, registers: ReplayedRegisters | None = None
    ) -> None:
        self.outputs: list[CaptureLine] = []
        self._capture = capture
        self._make_dut = make_dut
        self._registers = registers
        self._dut: Dut
        self._running = False
        self._deadline = NEVER

    def play(self) -> list[CaptureLine]:
        """Play the capture; give the operations."""
        lines = self._capture.lines
        if not lines or lines[0][2] != "start":
            self._start(lines[0][0] if lines else 0, b"")
        try:
            for at_us, port, kind, data in self._capture.inputs:
                self._advance_to(at_us + (kind == "stop"))
                if kind == "start":
                    self._start(at_us, data)
                elif kind == "stop":
                    self._stop()
                elif kind == "receive":
                    reply = (
                        data
                        if self._registers is None
                        else self._registers.adapt_reply(port, at_us, data)
                    )
                    self._process_step(self._dut.receive(port, reply, at_us), at_us)
                else:
                    self._process_step(self._dut.event(port, data.decode(), at_us), at_us)
            if lines:
                self._advance_to(lines[-1][0] + 1)
        finally:
            self._stop()
        return self.outputs

    def _start(self, at_us: int, records: bytes) -> None:
        self._stop()
        stored = _parse_records(records)
        self._dut = self._make_dut(self._capture.config, profiles(), stored)
        self._running = True
        self._process_step(self._dut.start(at_us), at_us)

    def _stop(self) -> None:
        if self._running:
            self._dut.close()
        self._running, self._deadline = False, NEVER

    def _advance_to(self, at_us: int) -> None:
        while self._deadline < at_us:
            now = self._deadline
            self._process_step(self._dut.wake(now), now)

    def _process_step(self, step_result: StepResult, now: int) -> None:
        self._deadline, actions = step_result
        for port, op, data in actions or ():
            self.outputs.append((now, port, op, bytes(data)))
            if self._registers is not None and op == "write":
                self._registers.record_write(port, bytes(data))


def compare_outputs(captured: list[CaptureLine], replayed: list[CaptureLine]) -> str | None:
    """Return the first difference of two lists of operations, or None."""
    for number, (expected, actual) in enumerate(zip(captured, replayed, strict=False), 1):
        if expected != actual:
            return f"operation {number}: captured {_line_text(expected)}, now {_line_text(actual)}"
    if len(captured) != len(replayed):
        return f"captured {len(captured)} operations, now {len(replayed)}"
    return None


def _line_text(line: CaptureLine) -> str:
    at_us, port, op, data = line
    return f"{at_us / 1e6:.6f} s port {port} {op} {data[:24].hex()}"
