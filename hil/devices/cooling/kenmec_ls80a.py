# SPDX-License-Identifier: Apache-2.0
"""An emulated Kenmec LS80A CDU: a whole unit with its own control loops, on the plant.

The vendor's references (4xxxx) are wire address + 40001; the six-digit references (4xxxxx) are wire
address + 400001. Function 03 reads the table; function 02 reads the leak and the pump faults. Pump
faults are inverted (0 is a fault). Run times are split into seconds, minutes, hours and days.
Assumed: a status bit is 1 when true; -9999 (0xD8F1) means a broken sensor.

In automatic mode (45020 = 1) the unit controls itself. The pumps hold flow (45005 = 0) or dP (1)
between their minimum and maximum speed. The valve holds the supply temperature. With 45010 = 0
(protect) the set-point is never below dew point plus correction; with 1 it is equal to this limit.
In manual mode (45021 to 45023 = 1) pumps and valve follow 45015, 45016 and 45061. The lead pump
changes after 45034 hours. If the lead pump fails, the other pump takes over. A leak stops the
pumps.
"""

from __future__ import annotations

from typing import ClassVar

from hil.devices.base import MILLISECOND, NEVER, SECOND
from hil.devices.modbus.register_codec import RegisterFormat
from hil.devices.modbus.table_server import MeasuredPoint, TableServer
from hil.plant.plant import Plant

STATUS = 2000
POWERED_ON, RUN, STANDBY, FAULT, LEVEL_LOW = 1 << 0, 1 << 1, 1 << 2, 1 << 7, 1 << 8
TARGET_C, DP_SET, FLOW_SET, DEW_OFFSET, PUMP_CONTROL_MODE, TEMPERATURE_MODE = (
    5000,
    5001,
    5002,
    5003,
    5004,
    5008,
)
DEW_FOLLOW, PUMP1_PCT, PUMP2_PCT, AUTO_START = 5009, 5014, 5015, 5019
MANUAL_PUMP1, MANUAL_PUMP2, MANUAL_VALVE, MIN_PCT, MAX_PCT = 5020, 5021, 5022, 5030, 5031
ROTATION_H, LEAD, VALVE_MANUAL = 5033, 5044, 5060
PUMP_HOURS, VALVE_PCT = (2160, 2164), 11150
LEAK, PUMP1_OK = 11009, 11108
NO_VALUE = -9999

_FLOW, _DP_MODE = 0, 1
_I16_TENTH = RegisterFormat("h", 0.1, no_value=NO_VALUE)
_U16_TENTH = RegisterFormat("H", 0.1, no_value=NO_VALUE & 0xFFFF)
_BAR = RegisterFormat("H", 1.0, no_value=NO_VALUE & 0xFFFF)  # 0.01 bar is 1 kPa
_TICK_US = SECOND // 2
_FLOW_KI, _DP_KI, _VALVE_KI, _VALVE_KD = 0.08, 0.12, 0.35, 6.0
_RAMP_PCT_S = 10.0
_DEFAULTS = {
    TARGET_C: (250, 150, 450),
    DP_SET: (8, 1, 40),
    FLOW_SET: (1500, 500, 3000),
    DEW_OFFSET: (20, 0, 100),
    PUMP_CONTROL_MODE: (_DP_MODE, 0, 1),
    TEMPERATURE_MODE: (0, 0, 1),
    DEW_FOLLOW: (0, 0, 1),
    PUMP1_PCT: (0, 0, 100),
    PUMP2_PCT: (0, 0, 100),
    AUTO_START: (1, 0, 1),
    MANUAL_PUMP1: (0, 0, 1),
    MANUAL_PUMP2: (0, 0, 1),
    MANUAL_VALVE: (0, 0, 1),
    MIN_PCT: (30, 0, 100),
    MAX_PCT: (100, 30, 100),
    ROTATION_H: (168, 1, 9999),
    LEAD: (1, 1, 2),
    VALVE_MANUAL: (50, 0, 100),
}
"""Address -> (default, minimum, maximum) of the writable registers."""


class KenmecLs80a(TableServer):
    """The CDU; faults besides those of `TableServer`:

    fail_pump(index)  pump 0 or 1 stops and its bit goes to 0; repair_pump(index) ends the fault
    leak              the leak rope is wet
    level_low         the level switch of the reservoir reports low
    """

    FAULTS: ClassVar = TableServer.FAULTS | {"leak", "level_low"}
    functions = frozenset((2, 3, 6))
    boot_us = 8 * SECOND
    nonvolatile = frozenset(_DEFAULTS)
    table: tuple[MeasuredPoint, ...] = (
        MeasuredPoint("ambient_c", 2020, _I16_TENTH, lambda d: d.ambient_c),
        MeasuredPoint("humidity_pct", 2021, _U16_TENTH, lambda d: d.humidity_pct),
        MeasuredPoint("dew_point_c", 2023, _I16_TENTH, lambda d: d.dew_point_c),
        MeasuredPoint("flow_1", 2061, _U16_TENTH, lambda d: d.plant.flow_lpm),
        MeasuredPoint("flow_2", 2062, _U16_TENTH, lambda d: d.plant.fws_flow_lpm),
        MeasuredPoint("pressure_1", 2081, _BAR, lambda d: d.plant.return_kpa),
        MeasuredPoint("pressure_2", 2082, _BAR, lambda d: d.plant.supply_kpa),
        MeasuredPoint(
            "pump1_hz", 2500, RegisterFormat("H"), lambda d: d.plant.pumps[0].speed_pct / 2.0
        ),
        MeasuredPoint(
            "pump1_a", 2501, RegisterFormat("H", 0.01), lambda d: d.plant.pump_electric_w / 660.0
        ),
        MeasuredPoint(
            "pump1_v", 2502, RegisterFormat("H", 0.1), lambda d: d.plant.pumps[0].speed_pct * 3.8
        ),
        MeasuredPoint(
            "valve_pct", VALVE_PCT, RegisterFormat("H"), lambda d: d.plant.valve.position_pct
        ),
        MeasuredPoint("supply_c", 13555, _I16_TENTH, lambda d: d.plant.supply_c),
        MeasuredPoint("return_c", 13559, _I16_TENTH, lambda d: d.plant.return_c),
    )

    def __init__(self, plant: Plant, unit: int = 100) -> None:
        """Use pumps 0 and 1 and the valve; another device must not drive them."""
        super().__init__(plant, unit, 3 * MILLISECOND)
        self.ambient_c, self.humidity_pct, self.dew_point_c = 26.0, 45.0, 13.1
        self.leak = self.level_low = False
        self._pump_ok = [True, True]
        self._speed_pct = max(pump.speed_pct for pump in plant.pumps)
        self._run_s = [45_296.0 + 86_400 * 100, 3_723.0 + 86_400 * 90]
        self._lead_since_s = 0.0
        self._next_tick = 0
        self._last_supply_c = plant.supply_c
        self.registers = {address: row[0] for address, row in _DEFAULTS.items()}
        self.writable = {address: row[1:] for address, row in _DEFAULTS.items()}
        for first, length in ((2000, 100), (2160, 8), (2500, 3)):
            self.registers.update(dict.fromkeys(range(first, first + length), 0))
        for address in (VALVE_PCT, 13555, 13559):
            self.registers[address] = 0
        self.discrete_inputs = {LEAK: 0, PUMP1_OK: 1, PUMP1_OK + 1: 1, PUMP1_OK + 2: 1}

    def fail_pump(self, index: int) -> None:
        """Stop a pump until `repair_pump`."""
        self._pump_ok[index] = False
        self.invalidate()

    def repair_pump(self, index: int) -> None:
        """End the fault of `fail_pump`."""
        self._pump_ok[index] = True
        self.invalidate()

    @property
    def target_c(self) -> float:
        """The supply set-point in force, after the dew-point rule, °C."""
        registers = self.registers
        low_c = self.dew_point_c + registers[DEW_OFFSET] / 10.0
        if registers[DEW_FOLLOW]:
            return low_c
        return max(registers[TARGET_C] / 10.0, low_c)

    # Control loops.

    def wake(self, now: int) -> None:
        """Step the loops, twice a second."""
        super().wake(now)
        if now < self._next_tick:
            return
        self._next_tick = now + _TICK_US
        if now < self.silent_until:
            return
        self.plant.advance(now)
        dt = _TICK_US / SECOND
        self._count_run_time(dt)
        self._move_pumps()
        self._move_valve(dt)

    def _count_run_time(self, dt: float) -> None:
        """Count the run times; change the lead pump after its hours."""
        for i, pump in enumerate(self.plant.pumps[:2]):
            if pump.speed_pct > 1.0:
                self._run_s[i] += dt
        self._lead_since_s += dt
        if self._lead_since_s >= self.registers[ROTATION_H] * 3600.0:
            self._lead_since_s = 0.0
            self.registers[LEAD] = 3 - self.registers[LEAD]
            self.invalidate()

    def _move_pumps(self) -> None:
        registers, plant = self.registers, self.plant
        if registers[PUMP_CONTROL_MODE] == _FLOW:
            step = _FLOW_KI * (registers[FLOW_SET] / 10.0 - plant.flow_lpm)
        else:
            step = _DP_KI * (registers[DP_SET] * 10.0 - plant.dp_kpa)
        low, high = registers[MIN_PCT], registers[MAX_PCT]
        self._speed_pct = min(max(self._speed_pct + step, low), high)
        lead = registers[LEAD] - 1
        if not self._pump_ok[lead]:
            lead = 1 - lead
        for i, pump in enumerate(plant.pumps[:2]):
            pump.command(self._pump_command_pct(i, lead), _RAMP_PCT_S)

    def _pump_command_pct(self, index: int, lead: int) -> float:
        registers = self.registers
        if self.leak or not self._pump_ok[index]:
            return 0.0
        if registers[MANUAL_PUMP1 + index]:
            return float(registers[PUMP1_PCT + index])
        return self._speed_pct if registers[AUTO_START] and index == lead else 0.0

    def _move_valve(self, dt: float) -> None:
        valve, supply = self.plant.valve, self.plant.supply_c
        if self.registers[MANUAL_VALVE]:
            valve.command(float(self.registers[VALVE_MANUAL]))
        elif self.registers[AUTO_START]:
            slope = (supply - self._last_supply_c) / dt
            valve.command(
                valve.command_pct + _VALVE_KI * dt * (supply - self.target_c + _VALVE_KD * slope)
            )
        self._last_supply_c = supply

    def deadline(self) -> int:
        """Return the time of the next step of the loops."""
        return min(super().deadline(), self._next_tick, NEVER)

    def on_write(self, address: int, count: int, now: int) -> None:
        """Let the loops use the new values immediately."""
        self._next_tick = min(self._next_tick, now)
        self.invalidate()

    # Registers.

    def update_registers(self, now: int) -> bool:
        """Update status, run times and the bits of function 02; return whether a value changed."""
        running = any(pump.speed_pct > 1.0 for pump in self.plant.pumps[:2])
        faulty = self.leak or self.level_low or not all(self._pump_ok)
        status = POWERED_ON | (RUN if running else STANDBY) | (FAULT if faulty else 0)
        changed = self.set_register(STATUS, status | (LEVEL_LOW if self.level_low else 0))
        for first, seconds in zip(PUMP_HOURS, self._run_s, strict=True):
            total = int(seconds)
            split = (total % 60, total // 60 % 60, total // 3600 % 24, total // 86_400)
            for i, part in enumerate(split):
                changed |= self.set_register(first + i, part)
        bits = {LEAK: int(self.leak)}
        bits.update({PUMP1_OK + i: int(ok) for i, ok in enumerate(self._pump_ok)})
        if any(self.discrete_inputs[address] != bit for address, bit in bits.items()):
            self.discrete_inputs.update(bits)
            changed = True
        return changed
