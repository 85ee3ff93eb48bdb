# SPDX-License-Identifier: Apache-2.0
"""A Modbus device whose sensors can have faults: a held value, an offset, a scale, a dead sensor.

Does not show registers; see `hil.devices.cooling.rpu` and `hil.devices.cooling.belimo_valve`. A
device with a table of points has faults of its own: `hil.devices.modbus.table_server`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from hil.devices.modbus.server import ModbusServer
from hil.devices.modbus.table_server import SensorFault
from hil.plant.plant import Plant

NO_VALUE = 0x7FFF

_FAULTY_VALUE: dict[SensorFault, Callable[[float, float], float]] = {
    SensorFault.STUCK: lambda _, extent: extent,
    SensorFault.OFFSET: lambda value, extent: value + extent,
    SensorFault.SCALE: lambda value, extent: value * extent,
}


class SensorServer(ModbusServer):
    """`sensor_names`: the names of the faults. `temperatures`: two of them, each an output of the
    plant; with the fault `temperatures_swapped` each shows the other's sensor. `shown_steps`: the
    step of the plant that the registers show.
    """

    sensor_names: ClassVar[tuple[str, ...]]
    temperatures: ClassVar[tuple[str, str]]
    FAULTS: ClassVar = ModbusServer.FAULTS | {"temperatures_swapped"}

    def __init__(self, plant: Plant, unit: int) -> None:
        super().__init__(unit)
        self.plant = plant
        self.temperatures_swapped = False
        self.shown_steps = -1
        self._faults: dict[str, tuple[SensorFault, float]] = {}

    def true_value(self, name: str) -> float:
        """Return the value of a sensor without its fault, in its own unit."""
        if self.temperatures_swapped and name in self.temperatures:
            name = self.temperatures[1 - self.temperatures.index(name)]
        return float(getattr(self.plant, name))

    def invalidate(self) -> None:
        """Update the registers at the next `refresh`, also if the plant did not move."""
        self.shown_steps = -1

    def freeze_sensor(self, name: str, value: float | None = None) -> None:
        """Freeze a sensor at `value`, or at its present value."""
        self._check_sensor(name)
        held_value = self.true_value(name) if value is None else value
        self._set_fault(name, SensorFault.STUCK, held_value)

    def break_sensor(self, name: str, register: int = NO_VALUE) -> None:
        """Break a sensor: its register shows `register` (0x7FFF or 0), and its alarm bit is set."""
        self._check_sensor(name)
        self._set_fault(name, SensorFault.DEAD, register)

    def offset_sensor(self, name: str, amount: float) -> None:
        """Add `amount` to a sensor, in its own unit."""
        self._check_sensor(name)
        self._set_fault(name, SensorFault.OFFSET, amount)

    def scale_sensor(self, name: str, factor: float) -> None:
        """Multiply the value of a sensor by `factor`: a wrong unit or range."""
        self._check_sensor(name)
        self._set_fault(name, SensorFault.SCALE, factor)

    def clear_fault(self, name: str) -> None:
        """Clear the fault of a sensor."""
        self._check_sensor(name)
        self._faults.pop(name, None)
        self.invalidate()

    def dead_register(self, name: str) -> int | None:
        """Return what the register of a dead sensor shows; None: the sensor is not dead."""
        fault, extent = self._faults.get(name, (None, 0.0))
        return int(extent) if fault is SensorFault.DEAD else None

    def shown_value(self, name: str) -> float:
        """Return the value of a sensor that is not dead, with its fault."""
        value = self.true_value(name)
        if name not in self._faults:
            return value
        fault, extent = self._faults[name]
        return _FAULTY_VALUE[fault](value, extent)

    def _check_sensor(self, name: str) -> None:
        if name not in self.sensor_names:
            raise ValueError(f"no sensor {name!r}: one of {', '.join(self.sensor_names)}")

    def _set_fault(self, name: str, fault: SensorFault, value: float) -> None:
        self._faults[name] = (fault, value)
        self.invalidate()
