"""One Modbus slave: a register table with a unit id, and the faults that any slave can have.

It knows registers, not frames; `ModbusLine` does the frames. A subclass keeps `registers` fresh in
`refresh` and lists in `writable` what may be written.
"""

from __future__ import annotations

from hil.devices.base import MILLISECOND, NEVER

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
"""Exception codes 01 to 03 of the Modbus application protocol, section 7."""


class Slave:
    """A slave with holding registers by wire address (0-based), values 0 to 65535.

    Faults, all plain attributes:
        dead            answers nothing
        extra_delay_us  added to `turnaround_us`
        noise           bytes sent right before each reply
        corrupt         how many of the next replies get a wrong CRC; -1 for all
        reply_unit      unit id put into replies instead of its own
        refuse          exception code that answers every request; 0 for none
    """

    functions = frozenset((3, 4, 6, 16))

    def __init__(self, unit: int, turnaround_us: int = 5 * MILLISECOND) -> None:
        """`unit` is 1 to 247; `turnaround_us` runs from the request's last byte to the reply."""
        if not 1 <= unit <= 247:
            raise ValueError("a unit id is 1 to 247")
        self.unit = unit
        self.turnaround_us = turnaround_us
        self.registers: dict[int, int] = {}
        self.writable: dict[int, tuple[int, int]] = {}
        self.version = 0
        self.requests = 0
        self.writes = 0
        self.dead = False
        self.extra_delay_us = 0
        self.noise = b""
        self.corrupt = 0
        self.reply_unit: int | None = None
        self.refuse = 0

    def refresh(self, now: int) -> None:
        """Bring `registers` up to `now`; count `version` up when one changed."""

    def read(self, address: int, count: int) -> list[int] | int:
        """`count` registers from `address`, or an exception code."""
        registers = self.registers
        try:
            return [registers[a] for a in range(address, address + count)]
        except KeyError:
            return ILLEGAL_ADDRESS

    def write(self, address: int, values: list[int], now: int) -> int:
        """Write all or nothing; 0 or an exception code."""
        for offset, value in enumerate(values):
            limits = self.writable.get(address + offset)
            if limits is None:
                return ILLEGAL_ADDRESS
            if not limits[0] <= value <= limits[1]:
                return ILLEGAL_VALUE
        for offset, value in enumerate(values):
            self.registers[address + offset] = value
        self.writes += 1
        self.version += 1
        self.written(address, len(values), now)
        return 0

    def written(self, address: int, count: int, now: int) -> None:
        """Registers were written by the master: act on them."""

    def heard(self, now: int) -> None:
        """A valid request for this unit arrived."""

    def wake(self, now: int) -> None:
        """The deadline passed."""

    def deadline(self) -> int:
        """When it wants to be woken, or NEVER."""
        return NEVER
