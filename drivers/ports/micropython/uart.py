"""A board's UART by its number (`uart:1?baud=19200&parity=E`): MicroPython's `machine.UART`.

`machine` is imported only when a port is opened, so that the module loads where there is no board.
Pins are the board's defaults. Hardware direction control for RS-485 is the transceiver's affair.

Our own board's UART also tells when the first byte that waits came (`arrived`), so that what was
read late is not taken for late: a tick takes tens of milliseconds, and falls where the receiver
speaks. MicroPython's own UARTs do not tell.
"""

import time

from drivers.errors import AddressError
from drivers.ports.base import BAUD_REFUSED, CHUNK, NO_PORT, StreamPort, explain, failure
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
RX_BUFFER = 1024  # bytes: 89 ms at 115200 baud, far more than a turn of the shell


class UartPort(StreamPort):
    """An initialised UART."""

    def __init__(self, address: "Address", uart: "Uart") -> None:
        """Take the UART that `open_port` made."""
        StreamPort.__init__(self, address)
        self._uart = uart
        self.pollable = uart
        self._has_arrival_time = hasattr(uart, "arrived")
        _configure(uart, address)

    def read(self) -> "bytes | None":
        """Return what is there; a UART never closes."""
        available = self._uart.any()
        if not available:
            return b""
        arrived_at = self._uart.arrived() if self._has_arrival_time else None
        data = self._uart.read(min(available, CHUNK)) or b""
        self.age_us = 0 if arrived_at is None else self._age(arrived_at, len(data))
        return data

    def _age(self, arrived_at: int, count: int) -> int:
        """How long ago the last of `count` bytes came, the first of which came at `arrived_at`."""
        line_us = (count - 1) * self.address.bits_per_char * SECOND // self.address.baud
        elapsed_us: int = time.ticks_diff(time.ticks_us(), arrived_at)  # type: ignore[attr-defined]
        return max(0, elapsed_us - line_us)

    def write(self, data: bytes) -> int:
        """Write what the UART takes now (timeout=0: it does not wait)."""
        return self._uart.write(data) or 0

    def set(self, text: str) -> None:
        """Change baud, parity or stop."""
        try:
            address = self.address.with_options(text)
        except AddressError as error:
            raise failure(self.address, str(error))
        _configure(self._uart, address)
        self.address = address

    def close(self) -> None:
        """Give the UART back."""
        self._uart.deinit()


def open_port(address: "Address", _wake: "Wake") -> UartPort:
    """Open `uart:NUMBER`. Raises PortError."""
    try:
        import machine  # type: ignore[import-not-found]  # noqa: PLC0415 - boards only

        uart = machine.UART(int(address.path))
    except (ImportError, AttributeError):
        raise failure(address, "this machine has no UARTs: name a serial: port")
    except ValueError:
        raise failure(address, NO_PORT)
    except OSError as error:
        raise explain(address, error, {})
    return UartPort(address, uart)


def _configure(uart: "Uart", address: "Address") -> None:
    """Set speed and frame; raises PortError for what the hardware cannot make."""
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
        raise failure(address, BAUD_REFUSED)
