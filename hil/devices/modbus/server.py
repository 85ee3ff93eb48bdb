# SPDX-License-Identifier: Apache-2.0
"""One Modbus server: tables of registers and bits with a unit id.

Does not know frames or requests; see `line`, `tcp` and `requests`. A subclass updates its tables in
`refresh`, lists the writable registers in `writable`, and acts on a write in `on_write`. The faults
are those of `ModbusFaults`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hil.devices.base import MILLISECOND, NEVER, SECOND
from hil.devices.modbus.faults import ModbusFaults

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
"""Exception codes 01 to 03 of the Modbus application protocol V1.1b3, section 7."""

HOLDING, INPUT = 3, 4


class ModbusServer(ModbusFaults):
    """A server. Addresses are wire addresses (0-based), registers hold 0 to 65535.

    Class attributes of a model:
        functions          supported function codes; others get exception 01
        identity           objects of the device identification (43/14) by number
        server_id          reply to function 17 without its run indicator; empty: the unit
        identity_codes     supported codes of 43/14: 1 to 3 are streams, 4 is one object
        max_read_registers largest read request, in registers; more gets exception 03
        atomic_blocks      (address, count) of blocks that can only be read as a whole
        nonvolatile        addresses whose written values survive a reboot
        boot_us            time without replies after a reboot
    `registers` are the holding registers, and also the input registers if `inputs` is None.
    `coils` and `discrete_inputs` hold 0 or 1.
    """

    functions = frozenset((3, 4, 6, 16))
    identity: Mapping[int, str] = {}
    server_id = b""
    identity_codes: tuple[int, ...] = (1, 2, 3, 4)
    max_read_registers = 125
    atomic_blocks: tuple[tuple[int, int], ...] = ()
    nonvolatile: frozenset[int] = frozenset()
    boot_us = 3 * SECOND

    def __init__(self, unit: int, turnaround_us: int = 5 * MILLISECOND) -> None:
        """`unit` is 1 to 247; `turnaround_us` is from the request's last byte to the reply."""
        if not 1 <= unit <= 247:
            raise ValueError("unit: 1 to 247")
        super().__init__()
        self.unit = unit
        self.turnaround_us = turnaround_us
        self.registers: dict[int, int] = {}
        self.inputs: dict[int, int] | None = None
        self.coils: dict[int, int] = {}
        self.discrete_inputs: dict[int, int] = {}
        self.writable: dict[int, tuple[int, int]] = {}
        self.version = 0
        self.requests = 0
        self.writes = 0
        self.silent_until = 0
        self._defaults: dict[int, int] = {}
        self.delayed_writes: list[tuple[int, int, Sequence[int]]] = []

    # Reading.

    def refresh(self, now: int) -> None:
        """Update the tables to `now`; increment `version` if one changed."""

    def read(self, address: int, count: int, function: int = HOLDING) -> list[int] | int:
        """Return `count` registers from `address`, or an exception code."""
        if count > self.max_read_registers:
            return ILLEGAL_VALUE
        for start, length in self.atomic_blocks:
            overlaps = address < start + length and start < address + count
            if overlaps and (address, count) != (start, length):
                return ILLEGAL_ADDRESS
        inputs = self.inputs
        table = self.registers if function == HOLDING or inputs is None else inputs
        try:
            return [table[a] for a in range(address, address + count)]
        except KeyError:
            return ILLEGAL_ADDRESS

    def read_bits(self, address: int, count: int, coils: bool) -> list[bool] | int:
        """Return `count` coils or discrete inputs from `address`, or an exception code."""
        table = self.coils if coils else self.discrete_inputs
        try:
            return [bool(table[a]) for a in range(address, address + count)]
        except KeyError:
            return ILLEGAL_ADDRESS

    # Writing.

    def write(self, address: int, values: Sequence[int], now: int) -> int:
        """Write all values or none; return 0 or an exception code."""
        accepted = []
        for offset, value in enumerate(values):
            limits = self.writable.get(address + offset)
            if limits is None:
                return ILLEGAL_ADDRESS
            if not limits[0] <= value <= limits[1]:
                if not self.clamps:
                    return ILLEGAL_VALUE
                value = min(max(value, limits[0]), limits[1])  # noqa: PLW2901
            accepted.append(value)
        self.writes += 1
        if self.write_delay_us:
            self.delayed_writes.append((now + self.write_delay_us, address, accepted))
        elif not self.ignore_writes:
            self._store(address, accepted, now)
        return 0

    def write_bits(self, address: int, bits: Sequence[bool], now: int) -> int:
        """Write coils; this class has none. Return 0 or an exception code."""
        return ILLEGAL_ADDRESS

    def _store(self, address: int, values: Sequence[int], now: int) -> None:
        registers = self.registers
        if not self._defaults:
            self._defaults = {a: registers[a] for a in self.writable if a in registers}
        stored = False
        for offset, value in enumerate(values):
            if self.accepts_write(address + offset, value):
                registers[address + offset] = value
                stored = True
        self.version += 1
        if stored:
            self.on_write(address, len(values), now)

    def accepts_write(self, address: int, value: int) -> bool:
        """Return whether a written value is stored; if not, the write is still confirmed."""
        return True

    def on_write(self, address: int, count: int, now: int) -> None:
        """Act on registers that the client has written."""

    # Time.

    def begin_request(self, now: int) -> None:
        """Count a valid request for this unit and pass it to the model."""
        self.requests += 1
        self.on_request(now)

    def on_request(self, now: int) -> None:
        """Process the arrival of a valid request for this unit."""

    def apply_delayed_writes(self, now: int) -> None:
        """Execute the delayed writes that are due."""
        while self.delayed_writes and self.delayed_writes[0][0] <= now:
            due, address, values = self.delayed_writes.pop(0)
            self._store(address, values, due)

    def wake(self, now: int) -> None:
        """Process the passed deadline."""
        self.apply_delayed_writes(now)

    def deadline(self) -> int:
        """Return the time of the next `wake` call, or NEVER."""
        return self.delayed_writes[0][0] if self.delayed_writes else NEVER

    def reboot(self, now: int) -> None:
        """Restart as after a power cut: silent for `boot_us`, written registers at defaults."""
        self.silent_until = now + self.boot_us
        self.delayed_writes.clear()
        for address, value in self._defaults.items():
            if address not in self.nonvolatile:
                self.registers[address] = value
        self.version += 1
        self.on_restart(now)

    def on_restart(self, now: int) -> None:
        """Reset the state that is not in registers, after a restart."""
