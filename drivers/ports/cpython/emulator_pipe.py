# SPDX-License-Identifier: Apache-2.0
"""Pipe to an emulated RP2040 board: requests to its emulator, and what the board puts out.

Does not emulate; `coldloop firmware emulate` does, and emulator/main.mjs of deploy/firmware has the
requests. Not a port of the agent: the bench and the factory use it.

    request  letter, number, value, length of the data; then the data
    reply    length; then outputs: letter, number, time in ns, length of the data, data
"""

import contextlib
import struct
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from drivers.errors import PortError

FLASH_VARIABLE = "COLDLOOP_RP2040_FLASH"
"""Variable: the flash of a unit. The bench tests a copy of it, with its own configuration."""
_PROGRAM = Path(__file__).resolve().parents[3] / "coldloop.py"
_REQUEST = struct.Struct(">cBqI")
_LENGTH = struct.Struct(">I")
_OUTPUT = struct.Struct(">cBQI")
_STORE_FLASH = b"W"
_END_S = 10


def emulator_command(flash: Path) -> "list[str]":
    """Return the command line of the emulator of a board with this flash."""
    return [sys.executable, str(_PROGRAM), "firmware", "emulate", "--flash", str(flash)]


class EmulatorOutput(NamedTuple):
    """One output of the board: its letter, number, time since the start in ns, and data."""

    kind: bytes
    number: int
    at_ns: int
    data: bytes


class EmulatorPipe:
    """A running emulator. Raises PortError if it ends."""

    def __init__(self, command: "list[str]") -> None:
        """Start the emulator; the board has no power yet."""
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._unread = 0

    @property
    def is_running(self) -> bool:
        """Whether the emulator has not ended."""
        return self._process.poll() is None

    def post(self, kind: bytes, number: int = 0, value: int = 0, data: bytes = b"") -> None:
        """Send a request together with the next `request`, which returns its outputs too."""
        if self._process.stdin is None:
            raise PortError("the emulator has no pipes")
        try:
            self._process.stdin.write(_REQUEST.pack(kind, number, value, len(data)) + data)
        except OSError:
            raise PortError("the emulator ended; see above") from None
        self._unread += 1

    def request(
        self, kind: bytes, number: int = 0, value: int = 0, data: bytes = b""
    ) -> "list[EmulatorOutput]":
        """Send a request; return the outputs since the last one."""
        self.post(kind, number, value, data)
        outputs: list[EmulatorOutput] = []
        try:
            self._process.stdin.flush()  # type: ignore[union-attr]  # `post` has checked it
            while self._unread:
                outputs += self._read_reply()
                self._unread -= 1
        except (OSError, struct.error):
            raise PortError("the emulator ended; see above") from None
        return outputs

    def _read_reply(self) -> "list[EmulatorOutput]":
        """Read the reply to one request. Raises struct.error at the end of the stream."""
        replies = self._process.stdout
        if replies is None:
            raise PortError("the emulator has no pipes")
        size = _LENGTH.unpack(replies.read(_LENGTH.size))[0]
        body = replies.read(size)
        if len(body) < size:
            raise PortError("the emulator ended; see above")
        outputs, position = [], 0
        while position < size:
            letter, port, at_ns, length = _OUTPUT.unpack_from(body, position)
            position += _OUTPUT.size
            outputs.append(EmulatorOutput(letter, port, at_ns, body[position : position + length]))
            position += length
        return outputs

    def close(self) -> None:
        """Store the flash and end the emulator; repeated calls are harmless."""
        if self.is_running:
            with contextlib.suppress(PortError):
                self.request(_STORE_FLASH)
            self._process.terminate()
        self._process.wait(_END_S)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
