# SPDX-License-Identifier: Apache-2.0
"""The interfaces of the emulated devices.

A device does no I/O: its inputs are bytes and times, its outputs are bytes and delays. It does not
know the speed of its line; see `hil.kernel.serial_line`. All times are monotonic integer
microseconds. All random numbers come from the `random.Random` argument.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

NEVER = 1 << 62
"""The deadline of a device that waits for nothing."""

MILLISECOND = 1_000
SECOND = 1_000_000

Replies = list[tuple[int, bytes]]
"""Output of a device: (delay in µs after the call's `now`, bytes), in order."""

TcpReplies = list[tuple[int, int, bytes | None]]
"""Output of a TCP server: (connection, delay in µs, bytes), in order; None closes it."""


class FaultTarget:
    """A device whose faults the bench sets by name; `FAULTS` lists the names."""

    FAULTS: ClassVar[frozenset[str]] = frozenset()

    def inject(self, name: str, value: object) -> None:
        """Set fault `name` to `value`; raises `ValueError` for a name that is not in `FAULTS`."""
        if name not in self.FAULTS:
            known = ", ".join(sorted(self.FAULTS))
            raise ValueError(f"{type(self).__name__} has no fault {name!r}: one of {known}")
        setattr(self, name, value)


class EmulatedDevice(Protocol):
    """A device on a serial line."""

    def receive(self, data: bytes, now: int) -> Replies:
        """Process received bytes; `now` is the arrival time of the last byte."""

    def wake(self, now: int) -> Replies:
        """Process the passed deadline."""

    def deadline(self) -> int:
        """Return the time of the next `wake` call, or NEVER."""
