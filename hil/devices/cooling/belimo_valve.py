# SPDX-License-Identifier: Apache-2.0
"""An emulated Belimo energy valve on the facility water, without pressure-independent control.

Holding registers (0-based, vendor's register list): 0 set-point and 4 relative position in 0.01 %,
6 relative flow in 0.01 % of the nominal flow, 7 absolute flow in 0.001 L/s. Registers 19 and 21 are
temperatures in 0.01 degC (remote sensor at the inlet, built-in sensor at the outlet). Registers 65
and 71 are the energies of cooling and heating in kWh (32 bits, low word first; the order is
assumed). The rest of the block reads as 0. Without bus traffic the valve keeps its position. After
a reboot it keeps its set-point.
"""

from __future__ import annotations

from hil.devices.modbus.sensor_server import SensorServer
from hil.plant.plant import Plant

SETPOINT, POSITION, RELATIVE_FLOW, FLOW, INLET_TEMPERATURE, OUTLET_TEMPERATURE = 0, 4, 6, 7, 19, 21
COOLING_KWH, HEATING_KWH = 65, 71
FULL_SCALE = 10_000
BLOCK_REGISTERS = 80
SENSORS = {
    "position_pct": (POSITION, 100.0, FULL_SCALE),
    "fws_flow_lpm": (FLOW, 1000.0 / 60.0, 0xFFFF),
    "fws_c": (INLET_TEMPERATURE, 100.0, 0),
    "fws_out_c": (OUTLET_TEMPERATURE, 100.0, 0),
}
"""Sensor -> (register, counts in its unit, largest count; 0: with a sign)."""

_KWH_US = 3600 * 1_000_000 * 1000.0  # 1 kWh in W µs


class BelimoValve(SensorServer):
    """The valve; faults besides those of `ModbusServer`:

    stuck               the actuator does not move (`set_stuck`)
    freeze_sensor, offset_sensor, scale_sensor, clear_fault: by a name of `SENSORS`
    temperatures_swapped: the registers of inlet and outlet show each other's sensor
    """

    sensor_names = tuple(SENSORS)
    temperatures = ("fws_c", "fws_out_c")
    nonvolatile = frozenset((SETPOINT,))

    def __init__(self, plant: Plant, unit: int = 2) -> None:
        """Start with the set-point at the present position of the plant's valve."""
        super().__init__(plant, unit)
        self.registers = dict.fromkeys(range(BLOCK_REGISTERS), 0)
        self.registers[SETPOINT] = round(plant.valve.command_pct * 100.0)
        self.writable = {SETPOINT: (0, FULL_SCALE)}
        self.energy_kwh = 15_000.0
        self._energy_at = -1

    @property
    def stuck(self) -> bool:
        """Whether the actuator is stuck."""
        return self.plant.valve.stuck

    def set_stuck(self, is_stuck: bool) -> None:
        """Hold the actuator (a fault), or release it."""
        self.plant.valve.set_stuck(is_stuck)

    def clamp(self, maximum: int) -> None:
        """Clamp written set-points to `maximum`, 0.01 % (a fault); `FULL_SCALE` ends the fault."""
        self.clamps = maximum < FULL_SCALE
        self.writable[SETPOINT] = (0, maximum)

    def refresh(self, now: int) -> None:
        """Show the plant at time `now`."""
        plant, registers = self.plant, self.registers
        plant.advance(now)
        if plant.steps == self.shown_steps:
            return
        self.shown_steps = plant.steps
        if self._energy_at >= 0:
            self.energy_kwh += plant.hx_w * (now - self._energy_at) / _KWH_US
        self._energy_at = now
        energy = int(self.energy_kwh)
        lpm = self.shown_value("fws_flow_lpm")
        values = [
            (RELATIVE_FLOW, _limit(lpm / plant.parameters.fws_open_lpm * FULL_SCALE, 0xFFFF)),
            (COOLING_KWH, energy & 0xFFFF),
            (COOLING_KWH + 1, energy >> 16),
        ]
        for name, (address, counts, largest) in SENSORS.items():
            value = self.shown_value(name) * counts
            values.append((address, _limit(value, largest) if largest else round(value) & 0xFFFF))
        for address, word in values:
            if registers[address] != word:
                registers[address] = word
                self.version += 1

    def true_value(self, name: str) -> float:
        """Return the value of a sensor without its fault."""
        is_position = name == "position_pct"
        return self.plant.valve.position_pct if is_position else super().true_value(name)

    def on_write(self, address: int, count: int, now: int) -> None:
        """Move to the new set-point."""
        self.plant.advance(now)
        self.plant.valve.command(self.registers[SETPOINT] / 100.0)


def _limit(value: float, largest: int) -> int:
    return min(max(round(value), 0), largest)
