"""Watchdogs on MicroPython: `watchdog:board` is machine.WDT, another path a device of the system.

Whatever is written feeds it, and nothing else does. A board's watchdog starts with the first feed
and cannot be stopped: an agent that no longer runs its cycles is reset after 8 s, the longest that
the common boards take.
"""

from drivers.ports.base import EACCES, EBUSY, ENOENT, StreamPort, explain, failure

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
    EBUSY: "busy: another program feeds it already",
}


class WatchdogPort(StreamPort):
    """One watchdog: a board's (`wdt`) or a device's open file."""

    def __init__(self, address: "Address", wdt: "Any", file: "Any") -> None:
        """Take what `open_port` made."""
        StreamPort.__init__(self, address)
        self._wdt = wdt
        self._file = file

    def read(self) -> "bytes | None":
        """Return nothing: watchdogs do not talk."""
        return b""

    def write(self, data: bytes) -> int:
        """Feed it, once, however much is written."""
        if self._file is None:
            self._wdt.feed()
            return len(data)
        try:
            self._file.write(b"\0")
        except OSError as error:
            raise explain(self.address, error, _REASONS)
        return len(data)

    def close(self) -> None:
        """Give it back; a board's goes on, and bites."""
        if self._file is not None:
            self._file.close()


def open_port(address: "Address", _wake: "Wake") -> WatchdogPort:
    """Open `watchdog:board` or `watchdog:PATH`. Raises PortError."""
    if address.path == BOARD:
        try:
            from machine import WDT  # type: ignore[import-not-found]  # noqa: PLC0415 - boards only
        except ImportError:
            raise failure(address, "this build has no watchdog of a board")
        return WatchdogPort(address, WDT(timeout=TIMEOUT_MS), None)
    try:
        return WatchdogPort(address, None, open(address.path, "r+b", 0))
    except OSError as error:
        raise explain(address, error, _REASONS)
