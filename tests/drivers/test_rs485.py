# SPDX-License-Identifier: Apache-2.0
"""Direction of an RS-485 driver, by GPIO or by the kernel: structures, order, delays, refusals.

No hardware is needed. The GPIO line is a recorder, the UART a pseudo-terminal. For the mode of the
kernel a fake keeps the structure, as a driver of the kernel does.
"""

from __future__ import annotations

import errno
import os
import pty
import queue
import select
import struct
import subprocess
import termios
import time
import tty
from pathlib import Path

import pytest

from drivers.errors import PortError
from drivers.ports.address import parse_address
from drivers.ports.cpython import rs485_gpio, rs485_kernel, serial
from tests.support.programs import require_program

_GPIO_PROGRAM = """
#include <linux/gpio.h>
#include <stddef.h>
#include <stdio.h>
int main(void) {
    struct gpio_v2_line_request r;
    printf("%lu %lu %zu %zu %zu %zu %zu %d", (unsigned long) GPIO_V2_GET_LINE_IOCTL,
           (unsigned long) GPIO_V2_LINE_SET_VALUES_IOCTL, sizeof r,
           offsetof(struct gpio_v2_line_request, config.flags),
           offsetof(struct gpio_v2_line_request, num_lines),
           offsetof(struct gpio_v2_line_request, fd),
           offsetof(struct gpio_v2_line_request, consumer), GPIO_V2_LINE_FLAG_OUTPUT);
    return 0;
}
"""


def numbers_of_headers(folder: Path, header: str, program: str) -> list[int]:
    """Return the numbers that a C program prints from a header of the kernel."""
    gcc = require_program("gcc")
    if not Path(f"/usr/include/linux/{header}.h").exists():
        pytest.skip("no headers of the kernel")
    source = folder / f"{header}.c"
    source.write_text(program, encoding="ascii")
    subprocess.run([gcc, "-o", str(folder / header), str(source)], check=True, timeout=60)
    out = subprocess.run([str(folder / header)], check=True, capture_output=True, text=True)
    return list(map(int, out.stdout.split()))


def read_bytes(descriptor: int, count: int) -> bytes:
    """Read `count` bytes: a pseudo-terminal passes each write on by itself."""
    data = b""
    while len(data) < count:
        data += os.read(descriptor, count - len(data))
    return data


def test_gpio_structures_are_those_of_the_kernel(tmp_path: Path) -> None:
    found = numbers_of_headers(tmp_path, "gpio", _GPIO_PROGRAM)
    module = rs485_gpio
    ours = [module.GET_LINE, module.SET_VALUES, module.REQUEST_SIZE, module.FLAGS_OFFSET]
    ours += [module.COUNT_OFFSET, module.FD_OFFSET, module._CONSUMER_OFFSET, module.OUTPUT]
    assert found == ours


class RecordedLine(rs485_gpio.GpioLine):
    """A line that notes its changes."""

    def __init__(self, chip: str, offset: int) -> None:
        self.name = (chip, offset)
        self.changes: list[tuple[bool, float]] = []
        self.is_closed = False

    def set(self, value: bool) -> None:
        self.changes.append((value, time.monotonic()))

    def close(self) -> None:
        self.is_closed = True


def test_line_is_set_around_each_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[RecordedLine] = []
    drained: list[float] = []

    def make_line(chip: str, offset: int) -> RecordedLine:
        lines.append(RecordedLine(chip, offset))
        return lines[-1]

    def drain(descriptor: int) -> None:  # a pseudo-terminal has no UART that sends
        drained.append(time.monotonic())

    monkeypatch.setattr(termios, "tcdrain", drain)
    monkeypatch.setattr(rs485_gpio.open_direction, "__defaults__", (make_line,))
    master, slave = pty.openpty()
    tty.setraw(slave)
    address = parse_address(f"serial:{os.ttyname(slave)}?de=/dev/gpiochip3:21&before=2&after=3")
    port = serial.open_port(address, lambda: None)
    (line,) = lines
    assert line.name == ("/dev/gpiochip3", 21)
    try:
        for frame in (b"first frame", b"second"):
            assert port.write(frame) == len(frame)
            assert read_bytes(master, len(frame)) == frame
    finally:
        port.close()
        os.close(slave)
        os.close(master)
    assert line.is_closed
    assert [value for value, _ in line.changes] == [True, False, True, False]
    for (_, on), (_, off), end in zip(line.changes[::2], line.changes[1::2], drained, strict=True):
        assert end - on >= 0.002
        assert off - end >= 0.003


class StalledLine(RecordedLine):
    """A line that takes `stall_s` of the clock of the driver to be set."""

    def __init__(self) -> None:
        super().__init__("", 0)
        self.now_s = self.stall_s = 0.0
        self.sent: queue.Queue[None] = queue.Queue()

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, _seconds: float) -> None:
        pass

    def set(self, value: bool) -> None:
        self.now_s += value * self.stall_s
        if not value:
            self.sent.put(None)


def test_a_frame_that_is_late_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process can stand still after the frame was handed over."""
    line = StalledLine()
    monkeypatch.setattr(rs485_gpio, "time", line)
    monkeypatch.setattr(termios, "tcdrain", lambda _: None)
    master, slave = pty.openpty()
    tty.setraw(slave)
    control = rs485_gpio.DirectionControl(slave, line, (0, 0))
    try:
        for stall_s in (0.21, 0.19, 8.0, 0.0):
            line.stall_s = stall_s
            control.write(b"after %g" % stall_s)
            line.sent.get(timeout=10)
        expected = b"after 0.19after 0"
        assert read_bytes(master, len(expected)) == expected
        assert select.select([master], [], [], 0)[0] == []
    finally:
        control.close()
        os.close(slave)
        os.close(master)


def test_a_line_that_is_refused_is_one_message() -> None:
    master, slave = pty.openpty()
    try:
        address = parse_address(f"serial:{os.ttyname(slave)}?de=/dev/null:4")
        with pytest.raises(PortError, match=r"GPIO line /dev/null:4 refused \(.*\): check chip"):
            serial.open_port(address, lambda: None)
    finally:
        os.close(slave)
        os.close(master)


_MODE_PROGRAM = """
#include <linux/serial.h>
#include <sys/ioctl.h>
#include <stddef.h>
#include <stdio.h>
int main(void) {
    printf("%lu %lu %zu %zu %zu %zu %lu %lu %lu %lu", (unsigned long) TIOCGRS485,
           (unsigned long) TIOCSRS485, sizeof(struct serial_rs485),
           offsetof(struct serial_rs485, flags),
           offsetof(struct serial_rs485, delay_rts_before_send),
           offsetof(struct serial_rs485, delay_rts_after_send),
           (unsigned long) SER_RS485_ENABLED, (unsigned long) SER_RS485_RTS_ON_SEND,
           (unsigned long) SER_RS485_RTS_AFTER_SEND, (unsigned long) SER_RS485_RX_DURING_TX);
    return 0;
}
"""
_WORDS = "8I"


def test_mode_structure_is_that_of_the_kernel(tmp_path: Path) -> None:
    found = numbers_of_headers(tmp_path, "serial", _MODE_PROGRAM)
    module = rs485_kernel
    flags = [module.ENABLED, module.RTS_ON_SEND, module.RTS_AFTER_SEND, module.RX_DURING_TX]
    ours = [module.GET_MODE, module.SET_MODE, module.SIZE, 0, 4, 8, *flags]
    assert found == ours


class Driver:
    """A driver of the kernel: it keeps the structure, and corrects what it cannot do."""

    def __init__(self, longest_ms: int = 100, flags: int = 0xFF, error: int = 0) -> None:
        self.words = [0x14, 7, 7, 0, 0, 0, 0, 9]
        self.longest_ms = longest_ms
        self.flags = flags
        self.error = error

    def ioctl(self, _descriptor: int, request: int, data: bytearray) -> int:
        """Read or set the mode."""
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        if request == rs485_kernel.SET_MODE:
            self.words = list(struct.unpack(_WORDS, data))
            self.words[0] &= self.flags
            self.words[1:3] = [min(word, self.longest_ms) for word in self.words[1:3]]
        struct.pack_into(_WORDS, data, 0, *self.words)
        return 0


def test_delays_reach_the_driver_in_whole_milliseconds() -> None:
    for delay in range(101):
        driver = Driver()
        rs485_kernel.enable(3, (delay, 100 - delay), driver.ioctl)
        flags, before, after, *rest = driver.words
        assert (before, after, rest) == (delay, 100 - delay, [0, 0, 0, 0, 9])
        assert flags & 0x17 == rs485_kernel.ENABLED | rs485_kernel.RTS_ON_SEND


@pytest.mark.parametrize(
    ("driver", "reason"),
    [
        (Driver(error=errno.ENOTTY), "Inappropriate ioctl"),
        (Driver(flags=0xFE), "the driver does not switch it on"),
        (Driver(flags=0xFD), "the driver does not switch the direction with RTS"),
        (Driver(longest_ms=2), "before=5 and after=1 are not possible, but 2 and 1"),
    ],
)
def test_a_driver_that_cannot_do_it_is_an_error(driver: Driver, reason: str) -> None:
    with pytest.raises(OSError, match=reason):
        rs485_kernel.enable(3, (5, 1), driver.ioctl)


def test_port_refuses_a_line_without_this_mode() -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    try:
        address = parse_address(f"serial:{os.ttyname(slave)}?rs485=1&before=29")
        with pytest.raises(PortError, match=r"rs485=1 refused .*: remove it if the adapter"):
            serial.open_port(address, lambda: None)
    finally:
        os.close(slave)
        os.close(master)
