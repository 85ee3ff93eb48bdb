# SPDX-License-Identifier: Apache-2.0
"""An emulated Grundfos pump with a CIM/CIU fieldbus module, on a pump of the plant.

Wire addresses are the manual's registers minus 1. Holding registers: 100 control bits, 101 control
mode, 102 operation mode, 103 set-point in 0.01 % of a range. Input registers: from 200 status, from
300 measurements; two registers have the high word first. Bits and codes follow the manual and the
public Ruby class. The interaction of the commands is assumed:

    while remote (bit 0) is off, writes of control mode, operation mode and set-point are confirmed
    without effect, and the pump runs at its panel's speed (`local_pct`); bit 1 is "on";
    a rising bit 2 resets an alarm; an alarm stops the pump;
    in constant-pressure and dP modes the pump itself holds the set-point, in % of the sensor's
    range
    in register 216 (0.01 bar); in other modes the set-point is a speed.
A missing value (head, flow, liquid temperature of a broken sensor) shows 0xFFFF.
"""

from __future__ import annotations

from typing import ClassVar

from hil.devices.base import NEVER, SECOND
from hil.devices.modbus.register_codec import RegisterFormat
from hil.devices.modbus.table_server import MeasuredPoint, TableServer
from hil.plant.plant import Plant

CONTROL, CONTROL_MODE, OPERATION_MODE, SETPOINT = 100, 101, 102, 103
STATUS, MODE_SHOWN, OPERATION, WARNING, ALARM = 200, 202, 203, 204, 205
SETPOINT_UNIT, RANGE = 208, 216
REMOTE, ON, RESET = 1 << 0, 1 << 1, 1 << 2
MAX_POWER, ACCESS, IS_ON, ALARMED, WARNED, FORCED = (
    1 << 5,
    1 << 8,
    1 << 9,
    1 << 10,
    1 << 11,
    1 << 12,
)
AT_MAX, AT_MIN = 1 << 13, 1 << 15

CONST_SPEED, CONST_PRESSURE, CONST_DP = 0, 4, 5
MODES = (0, 1, 3, 4, 5, 6, 7, 8, 9, 128)
AUTO, OFF, MIN, MAX, STOP_BUTTON, MANUAL = 0, 2, 4, 6, 8, 9
DRY_RUN, BLOCKED, MODULE_LOST = 57, 51, 159

_FULL = 10_000
_RANGE_CBAR = 400  # 4 bar
_MIN_PCT, _RAMP_PCT_S, _TICK_US = 12.0, 20.0, SECOND // 2
_GAIN = 0.15  # % of speed for 1 kPa of error, each 0.5 s
_RPM, _HZ = 2900.0, 50.0
_NONE = 0xFFFF
_REMOTE_ONLY = (CONTROL_MODE, OPERATION_MODE, SETPOINT)

_U16 = RegisterFormat("H", no_value=_NONE)


class GrundfosCim(TableServer):
    """The pump; faults besides those of `TableServer`:

    raise_alarm(code)  trips the pump (57 dry run, 51 blocked, 64 or 65 overtemperature ...)
    alarm_persists     a reset has no effect while this is true
    warning            a warning code to show
    local              the panel is in command: manual mode, the bus has no effect
    module_lost        the CIM has no connection to its pump: alarm 159, no measurements
    """

    FAULTS: ClassVar = TableServer.FAULTS | {"alarm_persists", "warning", "local", "module_lost"}
    functions = frozenset((3, 4, 6, 8, 16))
    inputs_only = True
    table: tuple[MeasuredPoint, ...] = (
        MeasuredPoint(
            "head_kpa",
            300,
            RegisterFormat("H", 0.0981, no_value=_NONE),
            lambda d: d.measurement("head"),
        ),
        MeasuredPoint(
            "flow_lpm",
            301,
            RegisterFormat("H", 1.6667, no_value=_NONE),
            lambda d: d.measurement("flow"),
        ),
        MeasuredPoint(
            "performance_pct",
            302,
            RegisterFormat("H", 0.01, no_value=_NONE),
            lambda d: d.scaled_speed(100.0),
        ),
        MeasuredPoint("speed_rpm", 303, _U16, lambda d: d.scaled_speed(_RPM)),
        MeasuredPoint(
            "frequency_hz",
            304,
            RegisterFormat("H", 0.1, no_value=_NONE),
            lambda d: d.scaled_speed(_HZ),
        ),
        MeasuredPoint(
            "actual_setpoint_pct",
            307,
            RegisterFormat("H", 0.01, no_value=_NONE),
            lambda d: d.setpoint_pct,
        ),
        MeasuredPoint(
            "amps", 308, RegisterFormat("H", 0.1, no_value=_NONE), lambda d: d.electric_w / 360.0
        ),
        MeasuredPoint("dc_link_v", 309, RegisterFormat("H", 0.1, no_value=_NONE), lambda _: 540.0),
        MeasuredPoint(
            "watts", 311, RegisterFormat("I", no_value=0xFFFF_FFFF), lambda d: d.electric_w
        ),
        MeasuredPoint(
            "motor_c",
            320,
            RegisterFormat("H", 0.01, -273.15, no_value=_NONE),
            lambda d: 40.0 + d.shaft.speed_pct / 4.0,
        ),
        MeasuredPoint(
            "liquid_c",
            321,
            RegisterFormat("H", 0.01, -273.15, no_value=_NONE),
            lambda d: d.measurement("c"),
        ),
        MeasuredPoint("run_hours", 326, RegisterFormat("I"), lambda d: d.hours),
        MeasuredPoint(
            "dp_kpa", 338, RegisterFormat("H", 0.1, no_value=_NONE), lambda d: d.measurement("dp")
        ),
    )

    def __init__(self, plant: Plant, pump: int = 0, unit: int = 1, local_pct: float = 50.0) -> None:
        """Emulate the plant's pump number `pump`, from its present speed."""
        super().__init__(plant, unit, 8_000)
        self.index, self.shaft = pump, plant.pumps[pump]
        self.local_pct = local_pct
        self.alarm_code = 0
        self.alarm_persists = False
        self.warning = 0
        self.local = False
        self.module_lost = False
        self.hours = 4321.0
        self._speed_pct = self.shaft.speed_pct
        self._next_tick = self._updated_at = 0
        start = round(self.shaft.speed_pct / 100.0 * _FULL)
        control = REMOTE | ON if start else REMOTE
        self.registers = {CONTROL: control, CONTROL_MODE: 0, OPERATION_MODE: AUTO, SETPOINT: start}
        self.writable = {
            CONTROL: (0, 0xFFFF),
            CONTROL_MODE: (0, 128),
            OPERATION_MODE: (0, 9),
            SETPOINT: (0, _FULL),
        }
        self._control = control
        blank = [*range(200, 220), *range(300, 340)]
        self.inputs = dict.fromkeys(blank, 0)
        self.inputs.update({SETPOINT_UNIT: 1, RANGE: _RANGE_CBAR})

    def raise_alarm(self, code: int) -> None:
        """Trip with an alarm code; the pump stops."""
        self.alarm_code = code
        self._command_shaft()
        self.invalidate()

    # Values.

    def scaled_speed(self, full: float) -> float | None:
        """Return the speed, with `full` for full speed; None if the module has lost the pump."""
        return None if self.module_lost else self.shaft.speed_pct / 100.0 * full

    @property
    def electric_w(self) -> float:
        """This pump's part of the electric power, W."""
        cubes = [pump.speed_pct**3 for pump in self.plant.pumps]
        return self.plant.pump_electric_w * cubes[self.index] / (sum(cubes) or 1.0)

    @property
    def setpoint_pct(self) -> float:
        """The set-point in force, %."""
        return self.registers[SETPOINT] / 100.0

    def measurement(self, quantity: str) -> float | None:
        """Return head or dP in kPa, flow in L/min, temperature in °C; None without the pump."""
        if self.module_lost:
            return None
        plant = self.plant
        if quantity == "c":
            return plant.supply_c
        if quantity == "flow":
            return plant.point.pump_lpm[self.index]
        return plant.point.head_kpa if quantity == "head" else plant.dp_kpa

    # Commands.

    def accepts_write(self, address: int, value: int) -> bool:
        """Return whether a write has an effect: mode and set-point need remote and a known mode."""
        if address not in _REMOTE_ONLY:
            return True
        is_known = address != CONTROL_MODE or value in MODES
        return is_known and not self.local and bool(self.registers[CONTROL] & REMOTE)

    def on_write(self, address: int, count: int, now: int) -> None:
        """Execute control bits, modes and set-point."""
        self.plant.advance(now)
        control = self.registers[CONTROL]
        if control & ~self._control & RESET and self.alarm_code and not self.alarm_persists:
            self.alarm_code = 0
        self._control = control
        self._command_shaft()
        self.invalidate()

    def _command_shaft(self) -> None:
        """Command the shaft according to the commands."""
        percent = self._commanded_pct()
        self._speed_pct = percent
        self.shaft.command(percent, _RAMP_PCT_S)

    def _commanded_pct(self) -> float:
        registers = self.registers
        control, operation = registers[CONTROL], registers[OPERATION_MODE]
        if self.alarm_code:
            return 0.0
        if self.local or not control & REMOTE:
            return self.local_pct
        if not control & ON or operation in (OFF, STOP_BUTTON):
            return 0.0
        if operation in (MIN, MAX):
            return _MIN_PCT if operation == MIN else 100.0
        if self._holds_pressure():
            return max(self._speed_pct, _MIN_PCT)
        return max(self.setpoint_pct, _MIN_PCT)

    def _holds_pressure(self) -> bool:
        return self.registers[CONTROL_MODE] in (CONST_PRESSURE, CONST_DP)

    def wake(self, now: int) -> None:
        """Step the pressure loop, twice a second; count the run hours."""
        super().wake(now)
        if now < self._next_tick:
            return
        self.plant.advance(now)
        if self.shaft.speed_pct > 1.0:
            self.hours += max(0, now - self._updated_at) / 3600 / SECOND
        self._updated_at, self._next_tick = now, now + _TICK_US
        if self.module_lost and not self.alarm_code:
            self.alarm_code = MODULE_LOST
        self._command_shaft()
        if self._holds_pressure() and self._speed_pct > 0.0 and not self.local:
            setpoint_kpa = self.setpoint_pct / 100.0 * self.inputs_table[RANGE]
            error = setpoint_kpa - self.plant.dp_kpa
            self._speed_pct = min(max(self._speed_pct + _GAIN * error, _MIN_PCT), 100.0)
            self.shaft.command(self._speed_pct, _RAMP_PCT_S)

    @property
    def inputs_table(self) -> dict[int, int]:
        """The input registers."""
        return self.inputs if self.inputs is not None else self.registers

    def deadline(self) -> int:
        """Return the time of the next step of the pressure loop."""
        return min(super().deadline(), self._next_tick, NEVER)

    def on_restart(self, now: int) -> None:
        """Restart: the panel's settings are in force until the next write."""
        super().on_restart(now)
        self.registers[CONTROL] = self._control = 0
        self.alarm_code = 0
        self._command_shaft()

    def update_registers(self, now: int) -> bool:
        """Show status, modes and codes; return whether a value changed."""
        registers, speed = self.registers, self.shaft.speed_pct
        remote = bool(registers[CONTROL] & REMOTE) and not self.local
        status = (
            (ACCESS if remote else 0)
            | (IS_ON if speed > 1.0 else 0)
            | (ALARMED if self.alarm_code else 0)
            | (WARNED if self.warning else 0)
            | (FORCED if self.local else 0)
            | (AT_MAX if speed >= 100.0 else 0)
            | (AT_MIN if 0.0 < speed <= _MIN_PCT else 0)
        )
        values = (
            (STATUS, status),
            (MODE_SHOWN, registers[CONTROL_MODE]),
            (OPERATION, MANUAL if self.local else registers[OPERATION_MODE]),
            (WARNING, self.warning),
            (ALARM, self.alarm_code),
        )
        return sum(self.set_register(address, value) for address, value in values) > 0
