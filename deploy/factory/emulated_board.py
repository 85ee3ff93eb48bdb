# SPDX-License-Identifier: Apache-2.0
"""Service console of an emulated RP2040 board: lines out and in, in virtual time.

Does not emulate; see `drivers.ports.cpython.emulator_pipe`. A real board would have a serial port
here.
"""

import secrets
from pathlib import Path

from deploy.errors import FactoryError
from drivers.errors import PortError
from drivers.ports.cpython.emulator_pipe import EmulatorOutput, EmulatorPipe, emulator_command

_SLICE_NS = 10_000_000
_MILLISECOND_NS = 1_000_000


class EmulatedBoard:
    """A board with the flash content of a file. Raises FactoryError if the emulator ends."""

    def __init__(self, flash: Path) -> None:
        self._pipe = EmulatorPipe(emulator_command(flash))
        self._console_text = b""
        self.now_ns = 0
        self._on_ns = 0
        self._first_output_ns: int | None = None
        self._request(b"N", secrets.randbelow(1 << 31) + 1)

    def power_on(self) -> None:
        """Switch the power on."""
        self._first_output_ns, self._on_ns = None, self.now_ns
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
        end = self.now_ns + within_ms * _MILLISECOND_NS
        while True:
            for line in self._take_lines():
                if word in line:
                    return line
            if self.now_ns >= end:
                raise FactoryError(f"the board did not say {word!r} within {within_ms} ms")
            self._run()

    def run_ms(self, milliseconds: int) -> None:
        """Run for a time."""
        for _ in range(max(1, milliseconds * _MILLISECOND_NS // _SLICE_NS)):
            self._run()

    def wait_for_output(self, within_ms: int) -> None:
        """Run until a byte is on the field bus, or for a time."""
        end = self.now_ns + within_ms * _MILLISECOND_NS
        while self._first_output_ns is None and self.now_ns < end:
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
        self.now_ns += _SLICE_NS
        for output in self._request(b"R", self.now_ns):
            if output.kind == b"c":
                self._console_text += output.data
            elif output.kind == b"u" and output.number == 1 and self._first_output_ns is None:
                self._first_output_ns = output.at_ns

    def close(self) -> None:
        """Store the flash; end the emulator."""
        self._pipe.close()

    def _request(self, kind: bytes, value: int = 0, data: bytes = b"") -> list[EmulatorOutput]:
        """Send a request; return the outputs."""
        try:
            return self._pipe.request(kind, 0, value, data)
        except PortError as error:
            raise FactoryError(str(error)) from None
