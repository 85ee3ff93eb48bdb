"""Pulses on a board: an edge on a pin (`pps:15`, `pps:15?edge=fall`), MicroPython's `machine.Pin`.

The interrupt does nothing but note `ticks_us` in a buffer made beforehand, so that it may be a hard
one: it allocates nothing, and is late by some microseconds at most. `read` turns what was noted
into the shell's microseconds, 8 bytes, big end first; the crank makes a `pulse` of it. The shell
looks at least once a tick, before the receiver's bytes; what the edge was then is exact all the
same. `machine` is imported only when a port is opened. Never run on a real board.
"""

import struct
import time
from array import array

from drivers.ports.base import NO_PORT, StreamPort, explain, failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.ports.address import Address
    from drivers.ports.base import Wake


class PinPort(StreamPort):
    """A pin whose edges are noted. `monotonic` is the shell's clock."""

    def __init__(self, address: "Address", pin: "Any", trigger: int, monotonic: "Any") -> None:
        """Take the pin that `open_port` made, and listen."""
        StreamPort.__init__(self, address)
        self._pin = pin
        self._monotonic = monotonic
        self._edge_record = array("l", [0, 0])  # ticks of the last edge, edges so far
        self._edges_read = 0
        self._ticks = time.ticks_us  # type: ignore[attr-defined]
        pin.irq(handler=self._on_edge, trigger=trigger, hard=True)

    def _on_edge(self, _pin: "Any") -> None:
        record = self._edge_record
        record[0] = self._ticks()
        record[1] = (record[1] + 1) & 0xFFFF

    def read(self) -> "bytes | None":
        """Return the last edge, b"" when there was none since the last call."""
        record = self._edge_record
        if record[1] == self._edges_read:
            return b""
        self._edges_read = record[1]
        age = time.ticks_diff(self._ticks(), record[0])  # type: ignore[attr-defined]
        return struct.pack(">q", self._monotonic() - age)

    def write(self, data: bytes) -> int:
        """Take and drop: nothing can be said to pulses."""
        return len(data)

    def close(self) -> None:
        """Stop listening."""
        self._pin.irq(handler=None)


def open_port(address: "Address", _wake: "Wake", monotonic: "Any" = None) -> PinPort:
    """Open `pps:PIN`, the pin's number or name on this board. Raises PortError."""
    try:
        import machine  # type: ignore[import-not-found]  # noqa: PLC0415 - boards only

        name = address.path
        pin = machine.Pin(int(name) if name.isdigit() else name, machine.Pin.IN)
        fall = address.edge == "fall"
        trigger = machine.Pin.IRQ_FALLING if fall else machine.Pin.IRQ_RISING
    except (ImportError, AttributeError):
        raise failure(address, "this machine has no pins")
    except ValueError:
        raise failure(address, NO_PORT)
    except OSError as error:
        raise explain(address, error, {})
    return PinPort(address, pin, trigger, monotonic)
