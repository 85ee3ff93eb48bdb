# SPDX-License-Identifier: Apache-2.0
"""Boards that QEMU runs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class QemuBoard:
    """A board of QEMU: machine, compiler flags, number of UARTs without the console."""

    name: str
    machine: str
    cpu: str
    flags: tuple[str, ...] = ()
    uarts: int = 4


QEMU_BOARDS: dict[str, QemuBoard] = {
    board.name: board
    for board in (
        QemuBoard("qemu-mps2", "mps2-an385", "cortex-m3"),
        QemuBoard(
            "qemu-mps2-m7",
            "mps2-an500",
            "cortex-m7",
            (
                "FLOAT_ABI=hard",
                "FPU=-mfpu=fpv5-d16",
                "LIBM=_DBL",
                "CFLAGS_EXTRA=-DMICROPY_FLOAT_IMPL=2 -Wno-double-promotion",
            ),
        ),
    )
}
"""`qemu-mps2` has 32-bit floats, as RP2040 and RP2350; `qemu-mps2-m7` has 64-bit floats."""
