# SPDX-License-Identifier: Apache-2.0
"""An emulated Open Compute ORv3 reservoir and pumping unit (RPU) on the plant.

Addresses, scales and bit names are those of facebook/openbmc's register map for the ORv3 RPU.
Assumed: status words are 1 for "running" or "good", run times are in hours. Outlet is the supply to
the racks, inlet is the return. Power registers such as `RPU_Power_W` are limited to 6553.5 W.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from hil.devices.base import SECOND
from hil.devices.cooling.rpu_static_map import static_registers
from hil.devices.modbus.sensor_server import SensorServer
from hil.plant.fluid.hydraulics import PlantPump
from hil.plant.plant import Plant

FLOW, PUMP_DUTY, PUMP_RPM, COOLING = 36864, 36873, 36874, 36881
RPU_POWER, TOTAL_POWER, INPUT_VOLT, AIR_INLET = 36869, 36870, 36871, 36872
FAN_STATUS, FAN1_RPM, PUMP_STATUS, RESERVOIR = 36878, 36879, 36882, 36886
ALL_PUMPS, ALL_FANS, RUNTIME = 36888, 36889, 36912
SENSOR_ALARM, STATUS_ALARM, LEAKAGE = 37376, 37377, 37378
FILTER_KPA = 37140
FLOW_TARGET, OUTLET_TARGET, MANUAL_PUMP, CONTROL = 37888, 37889, 37891, 37904

BLOCKS = (
    (6561, 12),  # latched leak and stop flags
    (6596, 42),  # names, versions, total up time
    (6639, 2),
    (6642, 26),
    (36864, 26),
    (36912, 8),
    (37120, 23),
    (37375, 5),
    (37888, 5),
    (37904, 2),
    (40960, 46),
    (41088, 1),
    (41216, 95),
    (41473, 2),
    (41985, 5),
    (42112, 1),
)
"""(first address, length) of the readable blocks; other addresses get exception 02."""

_WRITABLE = {
    FLOW_TARGET: (0, 0xFFFF),
    OUTLET_TARGET: (0, 1000),
    37890: (0, 0xFFFF),
    MANUAL_PUMP: (0, 100),
    37892: (0, 100),
    CONTROL: (0, 0xFFFF),
    37905: (0, 0x3F),
    41986: (0, 100),
    41987: (0, 100),
    41988: (0, 100),
    41989: (0, 100),
    42112: (0, 1),
}
"""Address: lowest and highest value that a master can write."""

SENSORS = {
    "flow_lpm": (36864, 4),
    "supply_c": (36865, 1),
    "return_c": (36866, 0),
    "supply_kpa": (36867, 3),
    "return_kpa": (36868, 2),
}
"""Plant output -> (register in tenths, its bit in the sensor alarm word)."""

LEAKS = {"internal": 4, "external": 5, "option1": 6, "option2": 7, "pan": 8, "floor": 9}
"""Name of a leak detector -> bit of the leakage word."""

_MANUAL = (1 << 1) | (1 << 9)
_STOP, _POWER_CYCLE = 1 << 5, 1 << 6
_ESTOP = 1 << 8  # of the status alarm word
_HOUR_US = 3600 * SECOND
_RUNNING_PCT = 1.0
_PUMPS_SHOWN = 4


@dataclass(slots=True)
class RpuLimits:
    """Limits at which the RPU raises its own status alarms."""

    outlet_c: float = 45.0
    inlet_c: float = 65.0
    outlet_kpa: float = 450.0
    blocked_lpm: float = 10.0


class Rpu(SensorServer):
    """The RPU; faults besides those of `ModbusServer`:

    freeze_sensor, break_sensor, offset_sensor, scale_sensor (by a name of `SENSORS`); clear_fault
        ends them. A broken sensor also sets its alarm bit; the other faults set no alarm.
    temperatures_swapped: the registers of supply and return show each other's sensor
    set_leak, clear_leak: leak detectors, by a name of `LEAKS`
    set_estop: the emergency stop
    status_alarm, leakage: bits to add to these words
    reservoir_low: the reservoir status is 0 and its alarm bit is set
    """

    sensor_names = tuple(SENSORS)
    temperatures = ("supply_c", "return_c")
    FAULTS: ClassVar = SensorServer.FAULTS | {"reservoir_low"}
    functions = frozenset((3, 6, 16))
    nonvolatile = frozenset((FLOW_TARGET, OUTLET_TARGET, 37890))
    boot_us = 10 * SECOND

    def __init__(self, plant: Plant, unit: int = 12, pumps: Iterable[int] = ()) -> None:
        """`pumps`: indices of the plant's pumps that the manual duty registers drive."""
        super().__init__(plant, unit)
        self.limits = RpuLimits()
        self.status_alarm = 0
        self.leakage = 0
        self.reservoir_low = False
        self.pump_hours = [1200.0, 1180.0, 0.0, 0.0]
        self._pumps: list[PlantPump] = [plant.pumps[i] for i in pumps]
        self._updated_us = -1
        self.writable = dict(_WRITABLE)
        for start, length in BLOCKS:
            self.registers.update(dict.fromkeys(range(start, start + length), 0))
        self.registers.update(static_registers())
        self.registers.update(
            {
                INPUT_VOLT: 480,
                AIR_INLET: 270,
                FAN_STATUS: 0b11,
                FAN1_RPM: 6000,
                FAN1_RPM + 1: 6000,
                ALL_FANS: 1,
                FLOW_TARGET: 1500,
                OUTLET_TARGET: 320,
                37890: 168,
                41985: unit,
            }
        )

    # Faults.

    def set_leak(self, name: str) -> None:
        """Set a leak detector to wet."""
        self.leakage |= 1 << LEAKS[name]
        self.invalidate()

    def clear_leak(self, name: str) -> None:
        """Set a leak detector to dry."""
        self.leakage &= ~(1 << LEAKS[name])
        self.invalidate()

    def set_estop(self, is_pressed: bool) -> None:
        """Press the emergency stop, or release it."""
        self.status_alarm = (
            self.status_alarm | _ESTOP if is_pressed else self.status_alarm & ~_ESTOP
        )

    # Registers.

    def refresh(self, now: int) -> None:
        """Show the plant at time `now`."""
        plant = self.plant
        plant.advance(now)
        if plant.steps == self.shown_steps:
            return
        self.shown_steps = plant.steps
        self.version += 1
        registers = self.registers
        alarms = 0
        for name, (address, bit) in SENSORS.items():
            dead = self.dead_register(name)
            if dead is not None:
                registers[address] = dead
                alarms |= 1 << bit
                continue
            registers[address] = round(self.shown_value(name) * 10.0) & 0xFFFF
        registers[SENSOR_ALARM] = alarms
        registers[FILTER_KPA] = min(round(plant.filter_kpa * 10.0), 0xFFFF)
        self._show_power()
        self._show_pumps(now)
        self._show_alarms()

    def _show_power(self) -> None:
        plant, registers = self.plant, self.registers
        power = min(round(plant.pump_electric_w * 10.0) + 800, 0xFFFF)  # 80 W own consumption
        registers[RPU_POWER] = registers[TOTAL_POWER] = power
        registers[COOLING] = min(max(round(plant.cooling_w * 10.0), 0), 0xFFFF)

    def _show_pumps(self, now: int) -> None:
        """Show duty, speed, state and hours of up to four pumps."""
        plant, registers = self.plant, self.registers
        elapsed_h = (now - self._updated_us) / _HOUR_US if self._updated_us >= 0 else 0.0
        self._updated_us = now
        fastest, running = 0.0, 0
        for i, pump in enumerate(plant.pumps[:_PUMPS_SHOWN]):
            speed = pump.speed_pct
            fastest = max(fastest, speed)
            turning = speed > _RUNNING_PCT
            running += turning
            registers[PUMP_RPM + i] = round(plant.pump_rpm(i))
            registers[PUMP_STATUS + i] = int(turning)
            if turning:
                self.pump_hours[i] += elapsed_h
            hours = int(self.pump_hours[i])
            registers[RUNTIME + 2 * i] = hours >> 16 & 0xFFFF
            registers[RUNTIME + 2 * i + 1] = hours & 0xFFFF
        registers[PUMP_DUTY] = round(fastest)
        registers[ALL_PUMPS] = int(running > 0)

    def _show_alarms(self) -> None:
        """Show the RPU's own alarms, from true values, and the injected alarms."""
        plant, limits, registers = self.plant, self.limits, self.registers
        seized = any(pump.seized and pump.target_pct > _RUNNING_PCT for pump in plant.pumps)
        blocked = registers[ALL_PUMPS] and plant.flow_true_lpm < limits.blocked_lpm
        registers[RESERVOIR] = int(not self.reservoir_low)
        registers[STATUS_ALARM] = (
            self.status_alarm
            | int(self.reservoir_low)
            | (plant.supply_true_c > limits.outlet_c) << 1
            | (plant.return_true_c > limits.inlet_c) << 2
            | (plant.supply_kpa > limits.outlet_kpa) << 4
            | seized << 6
            | bool(blocked) << 7
        )
        registers[LEAKAGE] = self.leakage

    def on_write(self, address: int, count: int, now: int) -> None:
        """Power-cycle on its bit; let the manual duty drive the pumps of this RPU."""
        if self.registers[CONTROL] & _POWER_CYCLE:
            self.registers[CONTROL] &= ~_POWER_CYCLE
            self.reboot(now)
            return
        if not self._pumps:
            return
        self.plant.advance(now)
        control = self.registers[CONTROL]
        if control & _STOP:
            duty = 0.0
        elif control & _MANUAL == _MANUAL:
            duty = float(self.registers[MANUAL_PUMP])
        else:
            return
        for pump in self._pumps:
            pump.command(duty, 20.0)
