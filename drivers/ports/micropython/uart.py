# SPDX-License-Identifier: Apache-2.0
"""A board's UART by its number (`uart:1?baud=19200&parity=E`): MicroPython's `machine.UART`.

`machine` is imported only when a port is opened, so that the module loads on any platform. Pins are
the defaults of the board. The transceiver must do the direction control of RS-485.

The UART of the project's own board firmware also reports the arrival of the first waiting byte
(`arrived`). Thus a late read is not mistaken for a late arrival: a control cycle takes tens of
milliseconds and can overlap with the receiver's data. MicroPython's own UARTs have no `arrived`.
"""

import time

from drivers.errors import AddressError
from drivers.ports.base import BAUD_REFUSED, CHUNK, NO_PORT, StreamPort, make_error, translate_error
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from drivers.ports.address import Address
    from drivers.ports.base import Wake

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


class UartPort(StreamPort):
    """An initialised UART."""

    def __init__(self, address: "Address", uart: "Uart") -> None:
        """Store the UART of `open_port` and configure it."""
        StreamPort.__init__(self, address)
        self._uart = uart
        self.pollable = uart
        self._has_arrival_time = hasattr(uart, "arrived")
        _configure(uart, address)

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
        """Write as much as the UART accepts now (timeout=0: it does not wait)."""
        return self._uart.write(data) or 0

    def set_options(self, text: str) -> None:
        """Change baud, parity or stop."""
        try:
            address = self.address.with_options(text)
        except AddressError as error:
            raise make_error(self.address, str(error))
        _configure(self._uart, address)
        self.address = address

    def close(self) -> None:
        """Disable the UART."""
        self._uart.deinit()


def open_port(address: "Address", _wake: "Wake") -> UartPort:
    """Open `uart:NUMBER`. Raises PortError."""
    try:
        import machine  # type: ignore[import-not-found]  # noqa: PLC0415 - boards only

        uart = machine.UART(int(address.path))
    except (ImportError, AttributeError):
        raise make_error(address, "this machine has no UARTs: name a serial: port")
    except ValueError:
        raise make_error(address, NO_PORT)
    except OSError as error:
        raise translate_error(address, error, {})
    return UartPort(address, uart)


def _configure(uart: "Uart", address: "Address") -> None:
    """Set baud rate and frame format; raises PortError if the hardware does not support them."""
    try:
        uart.init(
            baudrate=address.baud,
            bits=8,
            parity=_PARITY[address.parity],
            stop=address.stop,
            timeout=0,
            timeout_char=0,
            rxbuf=RX_BUFFER,
        )
    except (ValueError, OSError):
        raise make_error(address, BAUD_REFUSED)
