"""A capture: what went in and out of a controller, with times, as lines of JSON.

    {"format": "coldloop-capture-1", "config": {...}, "note": "..."}
    [123456, 0, "receive", "2447..."]      microseconds, port, what, bytes in hexadecimal
    [123500, 4, "write", "0c03..."]        an operation of the controller (write, open, close, …)

Inputs are `start` (power on; with the records of a unit that takes changes), `stop` (its end: after
what it did in that microsecond it did nothing more), `receive` and `event`; everything else is what
the controller did. A capture from the field may hold inputs only; then `Player` only tells what is
done now.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.commands import profiles
from hil.errors import BenchError
from hil.io.register_trace import Line, Shown
from hil.kernel.dut import Dut, MakeDut, Turn
from hil.kernel.serial_line import NEVER

FORMAT = "coldloop-capture-1"
INPUTS = ("start", "stop", "receive", "event")
NO_PORT = -1


@dataclass
class Capture:
    """The configuration of the controller, and the lines in the order of their times."""

    config: dict[str, Any]
    lines: list[Line] = field(default_factory=list)
    note: str = ""

    @property
    def outputs(self) -> list[Line]:
        """What the controller did."""
        return [line for line in self.lines if line[2] not in INPUTS]

    @property
    def inputs(self) -> list[Line]:
        """What came in."""
        return [line for line in self.lines if line[2] in INPUTS]

    def text(self) -> str:
        """Write it as lines."""
        head = {"format": FORMAT, "config": self.config, "note": self.note}
        rows = [[at, port, kind, data.hex()] for at, port, kind, data in self.lines]
        return "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in (head, *rows))


def parse(text: Iterable[str], place: str) -> Capture:
    """Read a capture; raises BenchError naming the line."""
    capture: Capture | None = None
    for number, line in enumerate(text, 1):
        try:
            row = json.loads(line)
            if capture is None:
                if row["format"] != FORMAT:
                    raise ValueError(f"format {row['format']!r} is not {FORMAT}")
                capture = Capture(row["config"], note=str(row.get("note", "")))
                continue
            at, port, kind, data = row
            capture.lines.append((int(at), int(port), str(kind), bytes.fromhex(data)))
        except (ValueError, KeyError, TypeError) as error:
            raise BenchError(f"{place}:{number}: not a line of a capture: {error}") from None
    if capture is None:
        raise BenchError(f"{place}: empty")
    if capture.lines != sorted(capture.lines, key=lambda row: row[0]):
        raise BenchError(f"{place}: the times do not rise")
    return capture


def load(path: Path) -> Capture:
    """Read a capture's file; raises BenchError."""
    try:
        with open(path, encoding="utf-8") as file:
            return parse(file, str(path))
    except OSError as error:
        raise BenchError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BenchError(f"{path}: not UTF-8 text") from None


class Listener:
    """A controller under test that writes down what goes in and out of it."""

    def __init__(self, dut: Dut, capture: Capture, records: dict[str, bytes] | None = None) -> None:
        self._dut = dut
        self._lines = capture.lines
        self._now = 0
        texts = {name: data.hex() for name, data in (records or {}).items()}
        self._records = json.dumps(texts).encode() if texts else b""

    def _kept(self, turn: Turn, now: int) -> Turn:
        self._lines.extend((now, port, op, bytes(data)) for port, op, data in turn[1])
        self._now = now
        return turn

    def start(self, now: int) -> Turn:
        """Begin."""
        self._lines.append((now, NO_PORT, "start", self._records))
        return self._kept(self._dut.start(now), now)

    def receive(self, port: int, data: bytes, now: int) -> Turn:
        """Deliver bytes."""
        self._lines.append((now, port, "receive", bytes(data)))
        return self._kept(self._dut.receive(port, data, now), now)

    def event(self, port: int, kind: str, now: int) -> Turn:
        """Deliver an event of a port."""
        self._lines.append((now, port, "event", kind.encode()))
        return self._kept(self._dut.event(port, kind, now), now)

    def wake(self, now: int) -> Turn:
        """Say that the deadline has passed."""
        return self._kept(self._dut.wake(now), now)

    def close(self) -> None:
        """End it."""
        self._lines.append((self._now, NO_PORT, "stop", b""))
        self._dut.close()


class Player:
    """Feeds a capture's inputs to a controller at their times; `done` is what it did.

    At equal times inputs come before the controller's own deadline, as in the virtual shell. With
    `shown` devices show what this controller wrote, where it is nearly what was captured.
    """

    def __init__(self, capture: Capture, make: MakeDut, shown: Shown | None = None) -> None:
        self.done: list[Line] = []
        self._capture = capture
        self._make = make
        self._shown = shown
        self._dut: Dut
        self._running = False
        self._deadline = NEVER

    def play(self) -> list[Line]:
        """Play the whole; give what was done."""
        lines = self._capture.lines
        if not lines or lines[0][2] != "start":
            self._start(lines[0][0] if lines else 0, b"")
        try:
            for at, port, kind, data in self._capture.inputs:
                self._run_to(at + (kind == "stop"))
                if kind == "start":
                    self._start(at, data)
                elif kind == "stop":
                    self._stop()
                elif kind == "receive":
                    said = data if self._shown is None else self._shown.reply(port, at, data)
                    self._take(self._dut.receive(port, said, at), at)
                else:
                    self._take(self._dut.event(port, data.decode(), at), at)
            if lines:
                self._run_to(lines[-1][0] + 1)
        finally:
            self._stop()
        return self.done

    def _start(self, at: int, records: bytes) -> None:
        self._stop()
        kept = {name: bytes.fromhex(text) for name, text in json.loads(records or b"{}").items()}
        self._dut = self._make(self._capture.config, profiles(), kept)
        self._running = True
        self._take(self._dut.start(at), at)

    def _stop(self) -> None:
        if self._running:
            self._dut.close()
        self._running, self._deadline = False, NEVER

    def _run_to(self, at: int) -> None:
        while self._deadline < at:
            now = self._deadline
            self._take(self._dut.wake(now), now)

    def _take(self, turn: Turn, now: int) -> None:
        self._deadline, actions = turn
        for port, op, data in actions or ():
            self.done.append((now, port, op, bytes(data)))
            if self._shown is not None and op == "write":
                self._shown.wrote(port, bytes(data))


def difference(there: list[Line], here: list[Line]) -> str | None:
    """Say where two lists of operations part, or None when they are the same."""
    for number, (one, other) in enumerate(zip(there, here, strict=False), 1):
        if one != other:
            return f"operation {number}: captured {_shown(one)}, now {_shown(other)}"
    if len(there) != len(here):
        return f"captured {len(there)} operations, now {len(here)}"
    return None


def _shown(line: Line) -> str:
    at, port, op, data = line
    return f"{at / 1e6:.6f} s port {port} {op} {data[:24].hex()}"
