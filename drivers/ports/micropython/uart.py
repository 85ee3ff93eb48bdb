# SPDX-License-Identifier: Apache-2.0
"""A board's UART by its number (`uart:1?baud=19200&parity=E`): MicroPython's `machine.UART`.

`machine` is imported only when a port is opened, so that the module loads on any platform. Pins and
buffers are those of the description of the board (`board_data`), or the defaults of the port.

A write never waits for the line. `machine.UART.write` waits if its buffer is full. Therefore the
port counts the bytes that the line cannot have sent yet, and hands over only what fits. The I/O
loop keeps the rest. A Modbus frame fits the buffer of each described board.

`rs485=1` switches the direction pin of the description on before the first byte, and off in the
interrupt after the last one. The interrupt waits for the end of the last bytes, at most the time of
five characters. Boards without this interrupt need a transceiver with automatic direction.

The UART of the project's own board firmware also reports the arrival of the first waiting byte
(`arrived`). Thus a late read is not mistaken for a late arrival: a control cycle takes tens of
milliseconds and can overlap with the receiver's data. MicroPython's own UARTs have no `arrived`.
"""

import sys
import time

from drivers.errors import AddressError
from drivers.ports.base import BAUD_REFUSED, CHUNK, NO_PORT, StreamPort, make_error, translate_error
from drivers.ports.micropython.board_data import uart_data
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from drivers.ports.address import Address
    from drivers.ports.base import Port, Wake

    class Uart(Protocol):
        """MicroPython's machine.UART."""

        def init(self, **options: "int | None") -> None: ...  # noqa: D102
        def any(self) -> int: ...  # noqa: D102
        def arrived(self) -> "int | None": ...  # noqa: D102 - only some have it
        def read(self, size: int) -> "bytes | None": ...  # noqa: D102
        def write(self, data: bytes) -> "int | None": ...  # noqa: D102
        def deinit(self) -> None: ...  # noqa: D102


_PARITY = {"N": None, "E": 0, "O": 1}
RX_BUFFER = 1024  # bytes: 89 ms at 115200 baud, far more than a loop step
CONSOLE = "99"
"""The number of the service console (USB or a UART, by the board), for the status only."""
UNKNOWN_CAPACITY = 16  # bytes that a UART of an unknown board takes without a wait: its FIFO
_NO_DIRECTION = "rs485=1 needs a board with a direction pin and an interrupt at its end of data"


class UartPort(StreamPort):
    """An initialised UART."""

    def __init__(self, address: "Address", uart: "Uart", direction: "Any" = None) -> None:
        """Store the UART of `open_port` and configure it. `direction`: the pin for `rs485=1`."""
        StreamPort.__init__(self, address)
        self._uart = uart
        self.pollable = uart
        self.read_empties_input = True  # the loop does not read again in this step
        self._has_arrival_time = hasattr(uart, "arrived")
        description = uart_data(address.path)
        self._capacity: int = description.get("capacity", UNKNOWN_CAPACITY)
        self.max_write = self._capacity
        self._queued = 0
        self._counted_at = 0
        self._direction = direction
        _configure(uart, address)
        if direction is not None:
            uart.irq(self._on_sent, uart.IRQ_TXIDLE, hard=True)  # type: ignore[attr-defined]

    def read(self) -> "bytes | None":
        """Return the available bytes; a UART never closes."""
        available = self._uart.any()
        if not available:
            return b""
        arrived_at = self._uart.arrived() if self._has_arrival_time else None
        data = self._uart.read(min(available, CHUNK)) or b""
        self.age_us = 0 if arrived_at is None else self._age(arrived_at, len(data))
        return data

    def _age(self, arrived_at: int, count: int) -> int:
        """Return the age in us of the last of `count` bytes; the first arrived at `arrived_at`."""
        line_us = (count - 1) * self.address.bits_per_char * SECOND // self.address.baud
        elapsed_us: int = time.ticks_diff(time.ticks_us(), arrived_at)  # type: ignore[attr-defined]
        return max(0, elapsed_us - line_us)

    def write(self, data: bytes) -> int:
        """Write as much as the buffer of the UART takes without a wait."""
        room = self._capacity - self._count_unsent()
        if room <= 0 or not data:
            return 0
        if self._direction is not None:
            self._direction.value(1)
        taken = self._uart.write(data if len(data) <= room else data[:room]) or 0
        self._queued += taken
        return taken

    def is_sent(self) -> bool:
        """Return whether the line can have sent all accepted bytes."""
        return not self._count_unsent()

    def _count_unsent(self) -> int:
        """Return the number of bytes that the line cannot have sent yet."""
        now: int = time.ticks_us()  # type: ignore[attr-defined]
        if self._queued:
            elapsed: int = time.ticks_diff(now, self._counted_at)  # type: ignore[attr-defined]
            sent = elapsed // self.address.char_us
            if 0 <= sent < self._queued:
                self._queued -= sent
                now -= elapsed - sent * self.address.char_us  # the byte on the line
            else:  # all, or the counter of the board has wrapped
                self._queued = 0
        self._counted_at = now
        return self._queued

    def _on_sent(self, uart: "Any") -> None:
        """Switch the driver off after the last byte; called in an interrupt."""
        while not uart.txdone():
            pass
        self._direction.value(0)

    def set_options(self, text: str) -> None:
        """Change baud, parity or stop."""
        try:
            address = self.address.with_options(text)
        except AddressError as error:
            raise make_error(self.address, str(error))
        _configure(self._uart, address)
        self.address = address

    def close(self) -> None:
        """Disable the UART; the driver is off."""
        self._uart.deinit()
        if self._direction is not None:
            self._direction.value(0)


class ConsolePort(StreamPort):
    """The service console as a port: output only, beside the lines of the start-up."""

    def read(self) -> "bytes | None":
        """Return no data."""
        return b""

    def write(self, data: bytes) -> int:
        """Write. A console without a reader drops the data; a packet waits 2 ms at most."""
        sys.stdout.buffer.write(data)
        return len(data)

    def close(self) -> None:
        """Do nothing: the console stays."""


def open_port(address: "Address", _wake: "Wake") -> "Port":
    """Open `uart:NUMBER`. Raises PortError."""
    if address.path == CONSOLE:
        return ConsolePort(address)
    try:
        import machine  # type: ignore[import-not-found]  # noqa: PLC0415 - boards only

        uart = _open_uart(machine, address)
        direction = _direction_pin(machine, address, uart)
    except (ImportError, AttributeError):
        raise make_error(address, "this machine has no UARTs: name a serial: port")
    except ValueError:
        raise make_error(address, NO_PORT)
    except OSError as error:
        raise translate_error(address, error, {})
    return UartPort(address, uart, direction)


def _open_uart(machine: "Any", address: "Address") -> "Any":
    """Return a UART of the chip, or one of its state machines."""
    description = uart_data(address.path)
    if "state_machine" not in description:
        return machine.UART(int(address.path), **_pins(machine, address))
    import _rp2  # type: ignore[import-not-found]  # noqa: PLC0415 - its boards only

    from drivers.ports.micropython.pio_uart import PioUart  # noqa: PLC0415

    return PioUart(description, _rp2, machine.Pin)


def _pins(machine: "Any", address: "Address") -> "dict[str, Any]":
    """Return the arguments for the pins of a UART; none: the defaults of MicroPython."""
    description = uart_data(address.path)
    return {name: machine.Pin(description[name]) for name in ("tx", "rx") if name in description}


def _direction_pin(machine: "Any", address: "Address", uart: "Any") -> "Any":
    """Return the pin that switches the driver of RS-485, off; None without `rs485=1`."""
    if not address.rs485:
        return None
    pin = uart_data(address.path).get("direction")
    if pin is None or not hasattr(uart, "IRQ_TXIDLE"):
        raise make_error(address, _NO_DIRECTION)
    return machine.Pin(pin, machine.Pin.OUT, value=0)


def _configure(uart: "Uart", address: "Address") -> None:
    """Set baud rate and frame format; raises PortError if the hardware does not support them."""
    description = uart_data(address.path)
    options = {"txbuf": description["tx_buffer"]} if "tx_buffer" in description else {}
    options["rxbuf"] = description.get("rx_buffer", RX_BUFFER)
    try:
        uart.init(
            baudrate=address.baud,
            bits=8,
            parity=_PARITY[address.parity],
            stop=address.stop,
            timeout=0,
            timeout_char=0,
            **options,
        )
    except (ValueError, OSError):
        raise make_error(address, BAUD_REFUSED)
