"""One Modbus slave: tables of registers and bits with a unit id, and what any real one does.

It knows tables, not frames; `modbus_requests` does the requests. A subclass keeps its tables fresh
in `refresh`, lists in `writable` what may be written and acts in `on_write`. Faults are those of
`modbus_faults.ModbusFaults`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hil.devices.base import MILLISECOND, NEVER, SECOND
from hil.devices.modbus.faults import ModbusFaults

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
"""Exception codes 01 to 03 of the Modbus application protocol V1.1b3, section 7."""

HOLDING, INPUT = 3, 4


class ModbusServer(ModbusFaults):
    """A slave; addresses are those on the wire (0-based), registers hold 0 to 65535.

    Class attributes that a model sets:
        functions      function codes that it knows; others are exception 01
        identity       objects of device identification (43/14) by number
        identity_codes codes of 43/14 that it knows: 1 to 3 streams, 4 one object
        read_most      registers that one request may read; more is exception 03
        whole          (address, count) of blocks that can only be read as they are
        nonvolatile    addresses whose written values survive a reboot
        boot_us        how long it is silent after a reboot
    `registers` are the holding registers, and the input registers too unless `inputs` is a table
    of its own. `coils` and `discrete_inputs` hold 0 or 1.
    """

    functions = frozenset((3, 4, 6, 16))
    identity: Mapping[int, str] = {}
    identity_codes: tuple[int, ...] = (1, 2, 3, 4)
    max_read_registers = 125
    atomic_blocks: tuple[tuple[int, int], ...] = ()
    nonvolatile: frozenset[int] = frozenset()
    boot_us = 3 * SECOND

    def __init__(self, unit: int, turnaround_us: int = 5 * MILLISECOND) -> None:
        """`unit` is 1 to 247; `turnaround_us` runs from the request's last byte to the reply."""
        if not 1 <= unit <= 247:
            raise ValueError("a unit id is 1 to 247")
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
        """Bring the tables up to `now`; count `version` up when one changed."""

    def read(self, address: int, count: int, function: int = HOLDING) -> list[int] | int:
        """`count` registers from `address`, or an exception code."""
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
        """`count` coils or discrete inputs from `address`, or an exception code."""
        table = self.coils if coils else self.discrete_inputs
        try:
            return [bool(table[a]) for a in range(address, address + count)]
        except KeyError:
            return ILLEGAL_ADDRESS

    # Writing.

    def write(self, address: int, values: Sequence[int], now: int) -> int:
        """Write all or nothing; 0 or an exception code."""
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
        """Write coils; a slave has none unless its model says so."""
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
        """Whether a written value is kept; if not, the write is confirmed and forgotten."""
        return True

    def on_write(self, address: int, count: int, now: int) -> None:
        """Registers were written by the master: act on them."""

    # Time.

    def begin_request(self, now: int) -> None:
        """Count a valid request for this unit and pass it to the model."""
        self.requests += 1
        self.on_request(now)

    def on_request(self, now: int) -> None:
        """A valid request for this unit arrived."""

    def apply_delayed_writes(self, now: int) -> None:
        """Let delayed writes that are due take effect."""
        while self.delayed_writes and self.delayed_writes[0][0] <= now:
            due, address, values = self.delayed_writes.pop(0)
            self._store(address, values, due)

    def wake(self, now: int) -> None:
        """The deadline passed."""
        self.apply_delayed_writes(now)

    def deadline(self) -> int:
        """When it wants to be woken, or NEVER."""
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
        """Power came back: bring state that is not in registers to its start."""
