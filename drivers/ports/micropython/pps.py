# SPDX-License-Identifier: Apache-2.0
"""PPS on a board: an edge on a pin (`pps:15`, `pps:15?edge=fall`), MicroPython's `machine.Pin`.

The interrupt only stores `ticks_us` in a preallocated buffer. It allocates nothing and can thus be
a hard interrupt, some microseconds late at most. ESP32 has soft interrupts only; they can be late
by milliseconds. `read` converts the ticks to microseconds of the
runtime, 8 bytes, big-endian; the I/O loop makes a `pulse` of them. The loop reads at least once a
control cycle, before the bytes of the receiver; the time of the edge stays exact. `machine` is
imported only when a port is opened. Not tested on a real board.
"""

import struct
import time
from array import array

from drivers.ports.base import NO_PORT, StreamPort, make_error, translate_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.ports.address import Address
    from drivers.ports.base import Wake


class PpsPinPort(StreamPort):
    """A pin with an edge interrupt. `monotonic` is the clock of the runtime."""

    def __init__(self, address: "Address", pin: "Any", trigger: int, monotonic: "Any") -> None:
        """Store the pin of `open_port` and enable its interrupt."""
        StreamPort.__init__(self, address)
        self._pin = pin
        self._monotonic = monotonic
        self._edge_record = array("l", [0, 0])  # ticks of the last edge, number of edges
        self._edges_read = 0
        self._ticks = time.ticks_us  # type: ignore[attr-defined]
        try:
            pin.irq(handler=self._on_edge, trigger=trigger, hard=True)
        except TypeError:  # ESP32: no hard interrupts
            pin.irq(handler=self._on_edge, trigger=trigger)

    def _on_edge(self, _pin: "Any") -> None:
        record = self._edge_record
        record[0] = self._ticks()
        record[1] = (record[1] + 1) & 0xFFFF

    def read(self) -> "bytes | None":
        """Return the last edge, or b"" if there was none since the last call."""
        record = self._edge_record
        if record[1] == self._edges_read:
            return b""
        self._edges_read = record[1]
        age = time.ticks_diff(self._ticks(), record[0])  # type: ignore[attr-defined]
        return struct.pack(">q", self._monotonic() - age)

    def write(self, data: bytes) -> int:
        """Discard the data: a PPS input has no output."""
        return len(data)

    def close(self) -> None:
        """Disable the interrupt."""
        self._pin.irq(handler=None)


def open_port(address: "Address", _wake: "Wake", monotonic: "Any" = None) -> PpsPinPort:
    """Open `pps:PIN`, the pin's number or name on this board. Raises PortError."""
    try:
        import machine  # type: ignore[import-not-found]  # noqa: PLC0415 - boards only

        name = address.path
        pin = machine.Pin(int(name) if name.isdigit() else name, machine.Pin.IN)
        fall = address.edge == "fall"
        trigger = machine.Pin.IRQ_FALLING if fall else machine.Pin.IRQ_RISING
    except (ImportError, AttributeError):
        raise make_error(address, "this machine has no pins")
    except ValueError:
        raise make_error(address, NO_PORT)
    except OSError as error:
        raise translate_error(address, error, {})
    return PpsPinPort(address, pin, trigger, monotonic)
