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

from hil.devices.modbus.server import ModbusServer
from hil.plant.plant import Plant

SETPOINT, POSITION, RELATIVE_FLOW, FLOW, INLET_TEMPERATURE, OUTLET_TEMPERATURE = 0, 4, 6, 7, 19, 21
COOLING_KWH, HEATING_KWH = 65, 71
FULL_SCALE = 10_000
BLOCK_REGISTERS = 80


_KWH_US = 3600 * 1_000_000 * 1000.0  # 1 kWh in W µs


class BelimoValve(ModbusServer):
    """The valve; faults besides those of `ModbusServer`:

    stuck               the actuator does not move (`set_stuck`)
    feedback_offset_pct added to the reported position
    """

    nonvolatile = frozenset((SETPOINT,))

    def __init__(self, plant: Plant, unit: int = 2) -> None:
        """Start with the set-point at the present position of the plant's valve."""
        super().__init__(unit)
        self.plant = plant
        self.feedback_offset_pct = 0.0
        self.registers = dict.fromkeys(range(BLOCK_REGISTERS), 0)
        self.registers[SETPOINT] = round(plant.valve.command_pct * 100.0)
        self.writable = {SETPOINT: (0, FULL_SCALE)}
        self.energy_kwh = 15_000.0
        self._energy_at = -1
        self._shown_state: tuple[int, float] = (-1, 0.0)

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
        state = (plant.steps, self.feedback_offset_pct)
        if state == self._shown_state:
            return
        self._shown_state = state
        if self._energy_at >= 0:
            self.energy_kwh += plant.hx_w * (now - self._energy_at) / _KWH_US
        self._energy_at = now
        energy = int(self.energy_kwh)
        position = (plant.valve.position_pct + self.feedback_offset_pct) * 100.0
        lpm = plant.fws_flow_lpm
        values = (
            (POSITION, min(max(round(position), 0), FULL_SCALE)),
            (RELATIVE_FLOW, min(round(lpm / plant.parameters.fws_open_lpm * FULL_SCALE), 0xFFFF)),
            (FLOW, min(round(lpm / 60.0 * 1000.0), 0xFFFF)),
            (INLET_TEMPERATURE, round(plant.fws_c * 100.0) & 0xFFFF),
            (OUTLET_TEMPERATURE, round(plant.fws_out_c * 100.0) & 0xFFFF),
            (COOLING_KWH, energy & 0xFFFF),
            (COOLING_KWH + 1, energy >> 16),
        )
        for address, value in values:
            if registers[address] != value:
                registers[address] = value
                self.version += 1

    def on_write(self, address: int, count: int, now: int) -> None:
        """Move to the new set-point."""
        self.plant.advance(now)
        self.plant.valve.command(self.registers[SETPOINT] / 100.0)
