"""The shape that every emulated device has.

A device is sans-IO like the agent: bytes and times in, bytes and delays out. It never knows how
fast its line is: whoever carries the bytes (the bench) gives them their time on the wire. All times
are monotonic integer microseconds; all randomness comes from the `random.Random` handed in.
"""

from __future__ import annotations

from typing import Protocol

NEVER = 1 << 62
"""The deadline of a device that waits for nothing."""

MILLISECOND = 1_000
SECOND = 1_000_000

Replies = list[tuple[int, bytes]]
"""What a device sends: (delay in µs after the call's `now`, bytes), in order."""


class FaultTarget:
    """A device whose faults the bench sets by name; `FAULTS` lists the names."""

    FAULTS: frozenset[str] = frozenset()

    def inject(self, name: str, value: object) -> None:
        """Set fault `name` to `value`; raises `ValueError` for a name that is not in `FAULTS`."""
        if name not in self.FAULTS:
            known = ", ".join(sorted(self.FAULTS))
            raise ValueError(f"{type(self).__name__} has no fault {name!r}: one of {known}")
        setattr(self, name, value)


class EmulatedDevice(Protocol):
    """A device on a serial line."""

    def receive(self, data: bytes, now: int) -> Replies:
        """Bytes arrived; `now` is the arrival of the last one."""

    def wake(self, now: int) -> Replies:
        """The deadline passed."""

    def deadline(self) -> int:
        """When the device wants to be woken, or NEVER."""
