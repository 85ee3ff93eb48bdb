# SPDX-License-Identifier: Apache-2.0
"""Service console of an emulated RP2040 board: lines out and in, in virtual time.

Does not emulate; `coldloop firmware emulate` does (emulator/main.mjs has the requests). A real
board would have a serial port here.
"""

import contextlib
import secrets
import struct
import subprocess
import sys
from pathlib import Path

from deploy.errors import FactoryError

ROOT = Path(__file__).resolve().parents[2]
_REQUEST = struct.Struct(">cBqI")
_LENGTH = struct.Struct(">I")
_OUTPUT = struct.Struct(">cBQI")
_SLICE_NS = 10_000_000
_MILLISECOND_NS = 1_000_000


class EmulatedBoard:
    """A board with the flash content of a file. Raises FactoryError if the emulator ends."""

    def __init__(self, flash: Path) -> None:
        command = [sys.executable, str(ROOT / "coldloop.py"), "firmware", "emulate"]
        self._process = subprocess.Popen(
            [*command, "--flash", str(flash)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._text = b""
        self.now_ns = 0
        self._on_ns = 0
        self._first_output_ns: int | None = None
        self._ask(b"N", secrets.randbelow(1 << 31) + 1)

    def power_on(self) -> None:
        """Switch the power on."""
        self._first_output_ns, self._on_ns = None, self.now_ns
        self._ask(b"1")

    def power_off(self) -> None:
        """Cut the power."""
        self._ask(b"0")
        self._text = b""

    def type_line(self, text: str) -> None:
        """Type a line on the console."""
        self._ask(b"T", 0, text.encode() + b"\r")

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
        *lines, self._text = self._text.split(b"\n")
        return [line.decode("utf-8", "replace").strip() for line in lines]

    def _run(self) -> None:
        self.now_ns += _SLICE_NS
        for kind, number, at_ns, data in self._ask(b"R", self.now_ns):
            if kind == b"c":
                self._text += data
            elif kind == b"u" and number == 1 and self._first_output_ns is None:
                self._first_output_ns = at_ns

    def close(self) -> None:
        """Store the flash; end the emulator."""
        if self._process.poll() is None:
            with contextlib.suppress(FactoryError):
                self._ask(b"W")
            self._process.terminate()
        self._process.wait(10)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _ask(
        self, kind: bytes, value: int = 0, data: bytes = b""
    ) -> list[tuple[bytes, int, int, bytes]]:
        """Send a request; return the outputs."""
        requests, replies = self._process.stdin, self._process.stdout
        if requests is None or replies is None:
            raise FactoryError("the emulator has no pipes")
        try:
            requests.write(_REQUEST.pack(kind, 0, value, len(data)) + data)
            requests.flush()
            body = replies.read(_LENGTH.unpack(replies.read(_LENGTH.size))[0])
        except (OSError, struct.error):
            raise FactoryError("the emulator ended; see above") from None
        outputs, at = [], 0
        while at < len(body):
            output, number, at_ns, size = _OUTPUT.unpack_from(body, at)
            at += _OUTPUT.size
            outputs.append((output, number, at_ns, body[at : at + size]))
            at += size
        return outputs
