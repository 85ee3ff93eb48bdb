# SPDX-License-Identifier: Apache-2.0
"""A server with a table of measured values and with sensor faults.

Each row of the table is a `MeasuredPoint`: name, address, number format and source of the value.
The registers are updated when the plant has moved or after `invalidate`. A register gets its value
when a client reads it for the first time, and is kept up to date from then on. So a client that
reads few points of a long table costs little.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from hil.devices.base import MILLISECOND
from hil.devices.modbus.register_codec import RegisterFormat
from hil.devices.modbus.server import HOLDING, ModbusServer
from hil.plant.plant import Plant


class SensorFault(Enum):
    """The kinds of sensor faults."""

    STUCK = "stuck"
    DEAD = "dead"
    OFFSET = "offset"
    SCALE = "scale"


@dataclass(frozen=True, slots=True)
class MeasuredPoint:
    """One row: `source` gets the server and returns the value in its unit, or None for no value."""

    name: str
    address: int
    register_format: RegisterFormat
    source: Callable[[Any], float | None]


class TableServer(ModbusServer):
    """A server that shows values of a plant according to `table`.

    With `inputs_only` the table is in separate input registers, otherwise in holding registers.
    Faults of a sensor, by its name in the table: `freeze_sensor`, `break_sensor`, `offset_sensor`;
    `clear_fault` ends them. A changed attribute is visible after the plant's next step, or
    immediately after `invalidate`.
    """

    table: tuple[MeasuredPoint, ...] = ()
    inputs_only = False

    def __init__(self, plant: Plant, unit: int, turnaround_us: int = 5 * MILLISECOND) -> None:
        super().__init__(unit, turnaround_us)
        self.plant = plant
        if self.inputs_only:
            self.inputs = {}
        self._index_by_name = {point.name: i for i, point in enumerate(self.table)}
        self._faults: dict[int, tuple[SensorFault, float]] = {}
        self._shown_values: list[float | None] = [-1e300] * len(self.table)
        self._shown_points: list[int] = []
        self._read_ranges: set[tuple[int, int]] = set()
        self._steps = -1

    # Faults.

    def freeze_sensor(self, name: str, value: float | None = None) -> None:
        """Freeze a sensor at `value`, or at its present value."""
        i = self._index(name)
        held_value = self.table[i].source(self) if value is None else value
        self._set_fault(i, (SensorFault.STUCK, 0.0 if held_value is None else held_value))

    def break_sensor(self, name: str) -> None:
        """Break a sensor: it shows the "no value" of the model."""
        self._set_fault(self._index(name), (SensorFault.DEAD, 0.0))

    def offset_sensor(self, name: str, amount: float) -> None:
        """Add `amount` to a sensor, in its own unit."""
        self._set_fault(self._index(name), (SensorFault.OFFSET, amount))

    def clear_fault(self, name: str) -> None:
        """Clear the fault of a sensor."""
        self._faults.pop(self._index(name), None)
        self.invalidate()

    def is_broken(self, name: str) -> bool:
        """Return whether a sensor is broken."""
        fault = self._faults.get(self._index_by_name[name])
        return fault is not None and fault[0] is SensorFault.DEAD

    def _index(self, name: str) -> int:
        if name not in self._index_by_name:
            raise ValueError(f"no sensor {name!r}: one of {', '.join(self._index_by_name)}")
        return self._index_by_name[name]

    def _set_fault(self, index: int, fault: tuple[SensorFault, float]) -> None:
        self._faults[index] = fault
        self.invalidate()

    # Registers.

    def invalidate(self) -> None:
        """Update all registers at the next `refresh`, also if the plant did not move."""
        self._steps = -1

    def refresh(self, now: int) -> None:
        """Show the plant at time `now`."""
        plant = self.plant
        plant.advance(now)
        if plant.steps == self._steps:
            return
        self.update_state(now)
        self._steps = plant.steps
        changed = self._show(self._shown_points)
        if self.update_registers(now) or changed:
            self.version += 1

    def read(self, address: int, count: int, function: int = HOLDING) -> list[int] | int:
        """Return `count` registers from `address`, or an exception code."""
        if (address, count) not in self._read_ranges:
            self.show_range(address, count)
        return super().read(address, count, function)

    def show_range(self, address: int, count: int) -> None:
        """Show the points in `count` registers from `address`, from now on."""
        self._read_ranges.add((address, count))
        end = address + count
        added = [
            i
            for i, point in enumerate(self.table)
            if i not in self._shown_points
            and point.address < end
            and point.address + point.register_format.register_count > address
        ]
        self._shown_points = sorted(self._shown_points + added)
        self._show(added)

    def _show(self, points: list[int]) -> bool:
        """Update the registers of some points; return whether one changed."""
        table = self.registers if self.inputs is None else self.inputs
        rows, shown, faults, changed = self.table, self._shown_values, self._faults, False
        for i in points:
            point = rows[i]
            value = point.source(self)
            if faults and i in faults:
                value = self._apply_fault(i, value)
            if value == shown[i]:
                continue
            shown[i] = value
            changed = True
            address = point.address
            for word in point.register_format.encode(value):
                table[address] = word
                address += 1
        return changed

    def _apply_fault(self, index: int, value: float | None) -> float | None:
        fault, extent = self._faults[index]
        if fault is SensorFault.DEAD:
            return None
        if fault is SensorFault.STUCK:
            return extent
        return None if value is None else value + extent

    def update_state(self, now: int) -> None:
        """Update the state of the device itself, before the registers are updated."""

    def update_registers(self, now: int) -> bool:
        """Update registers outside the table; return whether one changed."""
        return False

    def set_register(self, address: int, value: int) -> bool:
        """Set a register in the space of the table; return whether it changed."""
        table = self.registers if self.inputs is None else self.inputs
        if table.get(address) == value:
            return False
        table[address] = value
        return True

    def on_restart(self, now: int) -> None:
        """Update all registers after a restart."""
        self.invalidate()
