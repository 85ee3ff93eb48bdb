# SPDX-License-Identifier: Apache-2.0
"""RS-485 mode of the kernel: its structure, the delays, and drivers that refuse or change them.

No UART with this mode is needed: a fake keeps the structure, as a driver of the kernel does.
"""

from __future__ import annotations

import errno
import os
import pty
import struct
import subprocess
import tty
from pathlib import Path

import pytest

from drivers.errors import PortError
from drivers.ports.address import parse_address
from drivers.ports.cpython import rs485_kernel, serial
from tests.support.programs import require_program

_PROGRAM = """
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


def test_structure_is_that_of_the_kernel(tmp_path: Path) -> None:
    gcc = require_program("gcc")
    if not Path("/usr/include/linux/serial.h").exists():
        pytest.skip("no headers of the kernel")
    source = tmp_path / "rs485.c"
    source.write_text(_PROGRAM, encoding="ascii")
    subprocess.run([gcc, "-o", str(tmp_path / "rs485"), str(source)], check=True, timeout=60)
    out = subprocess.run([str(tmp_path / "rs485")], check=True, capture_output=True, text=True)
    module = rs485_kernel
    flags = [module.ENABLED, module.RTS_ON_SEND, module.RTS_AFTER_SEND, module.RX_DURING_TX]
    ours = [module.GET_MODE, module.SET_MODE, module.SIZE, 0, 4, 8, *flags]
    assert list(map(int, out.stdout.split())) == ours


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
