# SPDX-License-Identifier: Apache-2.0
"""RS-485 mode of a UART: the driver of the kernel switches the direction around each frame.

    serial:/dev/ttyS1?baud=19200&rs485=1&before=1&after=2

Only for UARTs whose kernel driver has this mode; see `rs485_gpio` for others. The structure is
`struct serial_rs485` of linux/serial.h: flags, the delays before and after the data in
milliseconds, and words that stay as they are. A driver corrects values that it cannot do and
returns what it does. So the answer is compared with the request, and a difference is an error.
"""

import fcntl
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

GET_MODE, SET_MODE = 0x542E, 0x542F
"""TIOCGRS485 and TIOCSRS485, asm-generic/ioctls.h."""
SIZE = 32
ENABLED, RTS_ON_SEND, RTS_AFTER_SEND, RX_DURING_TX = 1, 2, 4, 16
"""Flags: the mode is on; RTS is active while sending; RTS is active after sending; the UART
receives what it sends."""
_HEAD = "3I"  # flags, delay before, delay after


def enable(
    descriptor: int,
    delays_ms: "tuple[int, int]",
    ioctl: "Callable[[int, int, bytearray], object]" = fcntl.ioctl,
) -> None:
    """Switch the mode on; `delays_ms` are the times before and after the data, 0 to 100.

    `ioctl` is that of the system. Raises OSError if the driver cannot do it.
    """
    mode = bytearray(SIZE)
    ioctl(descriptor, GET_MODE, mode)
    (flags,) = struct.unpack_from("I", mode)
    flags = (flags | ENABLED | RTS_ON_SEND) & ~(RTS_AFTER_SEND | RX_DURING_TX)
    struct.pack_into(_HEAD, mode, 0, flags, *delays_ms)
    ioctl(descriptor, SET_MODE, mode)
    ioctl(descriptor, GET_MODE, mode)
    flags, before, after = struct.unpack_from(_HEAD, mode)
    if not flags & ENABLED:
        raise OSError(0, "the driver does not switch it on")
    if not flags & RTS_ON_SEND or flags & RTS_AFTER_SEND:
        raise OSError(0, "the driver does not switch the direction with RTS")
    if (before, after) != delays_ms:
        text = "before=%d and after=%d are not possible, but %d and %d"
        raise OSError(0, text % (*delays_ms, before, after))
