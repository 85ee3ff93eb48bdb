# SPDX-License-Identifier: Apache-2.0
"""Service console of emulated RP2040 boards: lines out and in, in virtual time.

One emulator serves the boards one after the other: a new process would translate its program again,
which takes a second. Does not emulate; see `drivers.ports.cpython.emulator_pipe`. A real board
would have a serial port here.
"""

import secrets
from pathlib import Path

from deploy.errors import FactoryError
from drivers.errors import PortError
from drivers.ports.cpython.emulator_pipe import EmulatorOutput, EmulatorPipe, emulator_command

_SLICE_NS = 10_000_000
_MILLISECOND_NS = 1_000_000


class Fixture:
    """The place for one board at a time: an emulator, which starts with the first board."""

    def __init__(self) -> None:
        self.now_ns = 0
        self._pipe: EmulatorPipe | None = None

    def insert(self, flash: Path) -> "EmulatedBoard":
        """Insert a board with the flash content of a file. Raises FactoryError."""
        if self._pipe is None:
            self._pipe, self.now_ns = EmulatorPipe(emulator_command(flash)), 0
        board = EmulatedBoard(self)
        self.request(b"F", 0, str(flash).encode())
        self.request(b"N", secrets.randbelow(1 << 31) + 1)
        return board

    def request(self, kind: bytes, value: int = 0, data: bytes = b"") -> list[EmulatorOutput]:
        """Send a request; return the outputs. Raises FactoryError if the emulator has ended."""
        if self._pipe is None:
            raise FactoryError("no board in the fixture")
        try:
            return self._pipe.request(kind, 0, value, data)
        except PortError as error:
            self.close()
            raise FactoryError(str(error)) from None

    def close(self) -> None:
        """End the emulator."""
        if self._pipe is not None:
            self._pipe.close()
        self._pipe = None


class EmulatedBoard:
    """A board in the fixture. Raises FactoryError if the emulator ends."""

    def __init__(self, fixture: Fixture) -> None:
        self._fixture = fixture
        self._console_text = b""
        self._on_ns = 0
        self._first_output_ns: int | None = None

    def power_on(self) -> None:
        """Switch the power on."""
        self._first_output_ns, self._on_ns = None, self._fixture.now_ns
        self._request(b"1")

    def power_off(self) -> None:
        """Cut the power."""
        self._request(b"0")
        self._console_text = b""

    def type_line(self, text: str) -> None:
        """Type a line on the console."""
        self._request(b"T", 0, text.encode() + b"\r")

    def read_until(self, word: str, within_ms: int) -> str:
        """Run until a line has `word`; return this line. Raises FactoryError."""
        end = self._fixture.now_ns + within_ms * _MILLISECOND_NS
        while True:
            for line in self._take_lines():
                if word in line:
                    return line
            if self._fixture.now_ns >= end:
                raise FactoryError(f"the board did not say {word!r} within {within_ms} ms")
            self._run()

    def run_ms(self, milliseconds: int) -> None:
        """Run for a time."""
        for _ in range(max(1, milliseconds * _MILLISECOND_NS // _SLICE_NS)):
            self._run()

    def wait_for_output(self, within_ms: int) -> None:
        """Run until a byte is on the field bus, or for a time."""
        end = self._fixture.now_ns + within_ms * _MILLISECOND_NS
        while self._first_output_ns is None and self._fixture.now_ns < end:
            self._run()

    def first_output_ms(self) -> float | None:
        """Return the time from power on to the first byte on the field bus."""
        if self._first_output_ns is None:
            return None
        return round((self._first_output_ns - self._on_ns) / _MILLISECOND_NS, 1)

    def _take_lines(self) -> list[str]:
        *lines, self._console_text = self._console_text.split(b"\n")
        return [line.decode("utf-8", "replace").strip() for line in lines]

    def _run(self) -> None:
        self._fixture.now_ns += _SLICE_NS
        for output in self._request(b"R", self._fixture.now_ns):
            if output.kind == b"c":
                self._console_text += output.data
            elif output.kind == b"u" and output.number == 1 and self._first_output_ns is None:
                self._first_output_ns = output.at_ns

    def close(self) -> None:
        """Cut the power and store the flash."""
        self.power_off()
        self._request(b"W")

    def _request(self, kind: bytes, value: int = 0, data: bytes = b"") -> list[EmulatorOutput]:
        """Send a request; return the outputs."""
        return self._fixture.request(kind, value, data)
