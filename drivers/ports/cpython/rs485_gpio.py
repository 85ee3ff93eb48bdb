# SPDX-License-Identifier: Apache-2.0
"""Direction of an RS-485 driver by a GPIO line, for a UART whose kernel driver cannot do it.

    serial:/dev/ttyS1?baud=19200&de=/dev/gpiochip0:17&before=1&after=1

A helper thread sends: it sets the line, waits `before`, writes, waits until the last character has
left the UART (`tcdrain`), waits `after`, and clears the line. So the runtime never waits. A device
must not answer sooner than the thread clears the line, which takes about 0.1 ms after the last
character on an idle machine; t3.5 is 1.75 ms or longer.

The line is requested by the character device of the kernel, version 2 (linux/gpio.h). It belongs
to this process until the port is closed, and its value is then 0. Do not use this for a USB
adapter: `tcdrain` returns before its last character has left.
"""

import fcntl
import os
import queue
import select
import struct
import termios
import threading
import time

from drivers.errors import PortError
from drivers.ports.base import LATE_WRITE, make_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.ports.address import Address

GET_LINE, SET_VALUES = 0xC250B407, 0xC010B40F
"""GPIO_V2_GET_LINE_IOCTL and GPIO_V2_LINE_SET_VALUES_IOCTL."""
REQUEST_SIZE, FLAGS_OFFSET, COUNT_OFFSET, FD_OFFSET = 592, 288, 560, 588
"""Size and fields of struct gpio_v2_line_request."""
OUTPUT = 1 << 3  # GPIO_V2_LINE_FLAG_OUTPUT
_CONSUMER, _CONSUMER_OFFSET = b"coldloop", 256
_MAX_WAITING = 8  # frames; the bus has one request on the wire


class GpioLine:
    """One output line of a GPIO chip; its value is 0 at first."""

    def __init__(self, chip: str, offset: int) -> None:
        """Request the line. Raises OSError."""
        request = bytearray(REQUEST_SIZE)
        struct.pack_into("I", request, 0, offset)
        struct.pack_into("%ds" % len(_CONSUMER), request, _CONSUMER_OFFSET, _CONSUMER)
        struct.pack_into("Q", request, FLAGS_OFFSET, OUTPUT)
        struct.pack_into("I", request, COUNT_OFFSET, 1)
        descriptor = os.open(chip, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.ioctl(descriptor, GET_LINE, request)
        finally:
            os.close(descriptor)
        (self._fd,) = struct.unpack_from("i", request, FD_OFFSET)

    def set(self, value: bool) -> None:
        """Set the line."""
        fcntl.ioctl(self._fd, SET_VALUES, struct.pack("QQ", value, 1))

    def close(self) -> None:
        """Clear and release the line."""
        self.set(False)
        os.close(self._fd)


class DirectionControl:
    """Writes frames to a serial descriptor while the line is set; one that is late is dropped."""

    def __init__(self, descriptor: int, line: GpioLine, delays_ms: "tuple[int, int]") -> None:
        """Start the helper thread; `delays_ms` are the times before and after the data."""
        self._descriptor = descriptor
        self._line = line
        self._before_s, self._after_s = delays_ms[0] / 1000, delays_ms[1] / 1000
        self._frames: queue.Queue[tuple[float, bytes]] = queue.Queue(_MAX_WAITING)
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> int:
        """Hand over a frame; return the accepted bytes. Raises the OSError of an earlier frame."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        try:
            self._frames.put_nowait((time.monotonic() + LATE_WRITE / 1e6, data))
        except queue.Full:
            return 0
        return len(data)

    def _run(self) -> None:
        while True:
            limit_s, frame = self._frames.get()
            if not frame:
                return
            try:
                self._send(frame, limit_s)
            except (OSError, termios.error) as error:
                self._error = OSError(*error.args)

    def _send(self, frame: bytes, limit_s: float) -> None:
        self._line.set(True)
        try:
            time.sleep(self._before_s)
            while frame:
                select.select([], [self._descriptor], [])
                if time.monotonic() > limit_s:  # the process stood still
                    break
                frame = frame[os.write(self._descriptor, frame) :]
            termios.tcdrain(self._descriptor)
            time.sleep(self._after_s)
        finally:
            self._line.set(False)

    def close(self) -> None:
        """End the thread after the frames that wait, and release the line."""
        self._frames.put((0.0, b""))
        self._thread.join(1)
        self._line.close()


def open_direction(
    address: "Address",
    descriptor: int,
    make_line: "Callable[[str, int], GpioLine]" = GpioLine,
) -> DirectionControl:
    """Return the direction control of an address with `de`. Raises PortError."""
    chip, offset = address.direction_line
    try:
        return DirectionControl(descriptor, make_line(chip, offset), address.delays_ms)
    except OSError as error:
        raise refuse(address, error)


def refuse(address: "Address", error: OSError) -> PortError:
    """Return the error of a line that cannot be requested."""
    reason = "GPIO line %s:%d refused (%s): check chip, number, rights and other users of the line"
    chip, offset = address.direction_line
    return make_error(address, reason % (chip, offset, error.strerror or error))
