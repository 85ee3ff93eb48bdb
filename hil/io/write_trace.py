# SPDX-License-Identifier: Apache-2.0
"""What an agent has written to its devices: each request on the line is in a file before it.

Does not judge an output; see `hil.tools.commission.outputs.pending`. SIGKILL can come at any
moment, and the status of an agent is one second old. So the process of the agent itself appends
each write request to the file, and then sends it. A line shows that the device has confirmed it.
The file survives the end of both processes. It does not survive a restart of the machine: the last
lines can be missing then, so a trace of an earlier boot gives no answer.
"""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from drivers.errors import AddressError
from drivers.ports.address import Address, parse_address
from drivers.ports.bus_address import BUS_KINDS
from hil.io.register_trace import COIL, MASKS, parse_writes

if TYPE_CHECKING:
    from drivers.ports.base import Opener, Port, Wake

_CONFIRMED = 3  # a device can show a write some seconds later
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_COILS = (1, 5, 15)
_ASCII_START, _ASCII_END = b":", b"\r\n"
_RTU_CRC = b"\0\0"
_TCP_HEADER = 6
_ECHOED = 4  # unit, function and address; of function 23, whose reply has values, the first two
_READ_WRITE = 23

Words = list[list[int]]


class WriteTrace:
    """The file of one agent; `openers` opens its ports so that their writes are traced."""

    def __init__(self, path: Path) -> None:
        """Open the file. Raises OSError."""
        self._path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._append({"boot": _boot_id()})

    def openers(self, openers: "dict[str, Opener]") -> "dict[str, Opener]":
        """Return openers whose ports are traced."""

        def traced(opener: "Opener") -> "Opener":
            return lambda address, wake: self._open(opener, address, wake)

        return {**openers, **{kind: traced(openers[kind]) for kind in BUS_KINDS if kind in openers}}

    def _open(self, opener: "Opener", address: Address, wake: "Wake") -> "Port":
        return cast("Port", _TracedPort(opener(address, wake), str(address), self._append))

    def _append(self, line: dict[str, Any]) -> None:
        """Append a line. A trace that cannot be written is removed: it would be incomplete."""
        if self._file < 0:
            return
        data = (json.dumps(line) + "\n").encode()
        try:
            is_whole = os.write(self._file, data) == len(data)
        except OSError:
            is_whole = False
        if not is_whole:
            with suppress(OSError):
                os.ftruncate(self._file, 0)
            self.close()
            with suppress(OSError):
                self._path.unlink()

    def close(self) -> None:
        """Close the file: no more is traced."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1


class _TracedPort:
    """A port whose write requests are traced before they are sent."""

    def __init__(self, port: "Port", address: str, append: Any) -> None:
        self._port, self._address, self._append = port, address, append
        self._awaited, self._received = b"", b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    def write(self, data: bytes) -> int:
        """Trace and send. Raises PortError."""
        self._awaited = self._received = b""
        frame = _plain_frame(data)
        if parse_writes(frame):
            size = _ECHOED if _body(frame)[1] != _READ_WRITE else 2
            self._awaited = _body(frame)[:size]
            self._append({"port": self._address, "frame": frame.hex()})
        return self._port.write(data)

    def read(self) -> bytes | None:
        """Read; trace the confirmation of the last write. Raises PortError."""
        data = self._port.read()
        if data and self._awaited:
            self._received += data
            if self._awaited in _plain_frame(self._received):
                self._append({"port": self._address, "taken": True})
                self._awaited = b""
        return data


def written_words(
    path: Path, port: str, unit: int, function: int, address: int, count: int
) -> Words | None:
    """Return the words that an output can hold by its trace; None: the trace gives no answer.

    These are the last ones that the device has confirmed, and all after them. None also for a mask
    of bits, and for a write that has only a part of the registers.
    """
    first = address + (COIL if function in _COILS else 0)
    places = range(first, first + count)
    found: list[tuple[list[int], bool]] = []
    is_last = False
    lines = _read_lines(path)
    if lines is None:
        return None
    for line in lines:
        if line.get("port") != _canonical(port):
            continue
        if line.get("taken"):
            if is_last:
                found[-1] = (found[-1][0], True)
            continue
        words = {p: value for u, p, value in parse_writes(_bytes(line)) if u == unit}
        is_last = set(places) <= set(words)
        if is_last:
            found.append(([words[place] for place in places], False))
        elif any(place in words or place + mask in words for place in places for mask in MASKS):
            return None
    return _last_words(found)


def _last_words(found: list[tuple[list[int], bool]]) -> Words:
    """Return the words of the last confirmed writes, and of all after them."""
    kept: Words = []
    confirmed = 0
    for words, is_taken in reversed(found):
        is_new = words not in kept
        confirmed += is_taken and is_new
        if confirmed > _CONFIRMED:
            break
        if is_new:
            kept.append(words)
    return kept


def _read_lines(path: Path) -> list[dict[str, Any]] | None:
    """Return the lines; None if the trace is not whole, or of another boot."""
    try:
        texts = path.read_text(encoding="ascii").split("\n")[:-1]
        lines = [dict(json.loads(text)) for text in texts]
    except (OSError, ValueError, TypeError):
        return None
    boots = {line["boot"] for line in lines if "boot" in line}
    return lines if boots == {_boot_id()} else None


def _boot_id() -> str:
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _canonical(port: str) -> str:
    try:
        return str(parse_address(port))
    except AddressError:
        return port


def _bytes(line: dict[str, Any]) -> bytes:
    try:
        return bytes.fromhex(str(line.get("frame", "")))
    except ValueError:
        return b""


def _body(frame: bytes) -> bytes:
    """Return unit, function and data of a plain frame; see `hil.io.register_trace`."""
    is_tcp = frame[2:4] == b"\0\0" and int.from_bytes(frame[4:6], "big") == len(frame) - _TCP_HEADER
    return frame[_TCP_HEADER:] if is_tcp else frame


def _plain_frame(data: bytes) -> bytes:
    """Return a frame of the ASCII mode as one of RTU; another one as it is."""
    if not data.startswith(_ASCII_START):
        return data
    try:
        whole = bytes.fromhex(data[1:].partition(_ASCII_END)[0].decode("ascii"))
    except ValueError:
        return data
    return whole[:-1] + _RTU_CRC
