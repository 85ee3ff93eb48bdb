# SPDX-License-Identifier: Apache-2.0
"""Direction of an RS-485 driver by GPIO: the kernel's structures, and the order of line and bytes.

No GPIO chip is needed: the line is a recorder, the UART a pseudo-terminal.
"""

from __future__ import annotations

import os
import pty
import subprocess
import termios
import time
import tty
from pathlib import Path

import pytest

from drivers.errors import PortError
from drivers.ports.address import parse_address
from drivers.ports.cpython import rs485_gpio, serial
from tests.support.programs import require_program

_PROGRAM = """
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


def test_structures_are_those_of_the_kernel(tmp_path: Path) -> None:
    gcc = require_program("gcc")
    if not Path("/usr/include/linux/gpio.h").exists():
        pytest.skip("no headers of the kernel")
    source = tmp_path / "gpio.c"
    source.write_text(_PROGRAM, encoding="ascii")
    subprocess.run([gcc, "-o", str(tmp_path / "gpio"), str(source)], check=True, timeout=60)
    out = subprocess.run([str(tmp_path / "gpio")], check=True, capture_output=True, text=True)
    module = rs485_gpio
    ours = [module.GET_LINE, module.SET_VALUES, module.REQUEST_SIZE, module.FLAGS_OFFSET]
    ours += [module.COUNT_OFFSET, module.FD_OFFSET, module._CONSUMER_OFFSET, module.OUTPUT]
    assert list(map(int, out.stdout.split())) == ours


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
            assert os.read(master, 64) == frame
    finally:
        port.close()
        os.close(slave)
        os.close(master)
    assert line.is_closed
    assert [value for value, _ in line.changes] == [True, False, True, False]
    for (_, on), (_, off), end in zip(line.changes[::2], line.changes[1::2], drained, strict=True):
        assert end - on >= 0.002
        assert off - end >= 0.003


def test_a_line_that_is_refused_is_one_message() -> None:
    master, slave = pty.openpty()
    try:
        address = parse_address(f"serial:{os.ttyname(slave)}?de=/dev/null:4")
        with pytest.raises(PortError, match=r"GPIO line /dev/null:4 refused \(.*\): check chip"):
            serial.open_port(address, lambda: None)
    finally:
        os.close(slave)
        os.close(master)
