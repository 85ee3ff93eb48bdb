# SPDX-License-Identifier: Apache-2.0
"""Watchdogs on MicroPython: `watchdog:board` is machine.WDT, a path is a device of the system.

Any write services the watchdog. A board's watchdog starts with the first write and cannot be
stopped. An agent without control cycles is reset after 8 s, the maximum of common boards.
"""

from drivers.ports.base import EACCES, EBUSY, ENOENT, StreamPort, make_error, translate_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.ports.address import Address
    from drivers.ports.base import Wake

BOARD = "board"
TIMEOUT_MS = 8000
_REASONS = {
    ENOENT: "no such watchdog: load the driver",
    EACCES: "permission: let the agent's user write to it",
    EBUSY: "busy: another program services it already",
}


class WatchdogPort(StreamPort):
    """One watchdog: a board's (the class `wdt`) or the open file of a device."""

    def __init__(self, address: "Address", wdt: "Any", file: "Any") -> None:
        """Store the result of `open_port`."""
        StreamPort.__init__(self, address)
        self._wdt = wdt
        self._started: Any = None
        self._file = file

    def read(self) -> "bytes | None":
        """Return no data: watchdogs send none."""
        return b""

    def write(self, data: bytes) -> int:
        """Service the watchdog once, independent of the length of the data."""
        if self._file is None:
            if self._started is None:
                self._started = self._wdt(timeout=TIMEOUT_MS)
            self._started.feed()
            return len(data)
        try:
            self._file.write(b"\0")
        except OSError as error:
            raise translate_error(self.address, error, _REASONS)
        return len(data)

    def close(self) -> None:
        """Close the file; a board's watchdog continues and resets the board."""
        if self._file is not None:
            self._file.close()


def open_port(address: "Address", _wake: "Wake") -> WatchdogPort:
    """Open `watchdog:board` or `watchdog:PATH`. Raises PortError."""
    if address.path == BOARD:
        try:
            from machine import WDT  # type: ignore[import-not-found]  # noqa: PLC0415 - boards only
        except ImportError:
            raise make_error(address, "this build has no watchdog of a board")
        return WatchdogPort(address, WDT, None)
    try:
        return WatchdogPort(address, None, open(address.path, "r+b", 0))
    except OSError as error:
        raise translate_error(address, error, _REASONS)
