# SPDX-License-Identifier: Apache-2.0
"""An emulated Danfoss VLT FC 102/302 drive on one pump: FC profile over Modbus.

Holding registers (0-based) are parameter x 10 - 1; pairs have the high word first. 49999 is the
control word, 50009 the reference (0x4000 is 100 %), 50199 the status word, 50209 the main actual
value (0x4000 is 100 %). Read-outs follow by parameter. The sources disagree on the reference
(0x4000 for 100 %, or 0.1 Hz) and on the unit of power. This model uses the profile's 0x4000 and 1
W; `reference_full` can be set to 500 (0.1 Hz of 50 Hz).

    0x047F (or 0x047C) runs, 0x043C ramps down, 0x0437 coasts, a rising bit 7 resets a trip;
    a control word without bit 10 is invalid: it is confirmed without effect, like its reference;
    after a trip the control word must reset, then a second write must run.
If no request arrives for `comm_timeout_us` (parameter 8-03), the drive acts as parameter 8-04
says: it shows a warning and holds `safe_pct`, or with `trips_on_timeout` it trips with alarm 17.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from hil.devices.base import MILLISECOND, SECOND
from hil.devices.modbus.register_codec import RegisterFormat
from hil.devices.modbus.table_server import MeasuredPoint, TableServer
from hil.devices.modbus.watchdog import Watchdog
from hil.plant.plant import Plant

CONTROL, REFERENCE, STATUS, ACTUAL = 49999, 50009, 50199, 50209
STATUS_PARAMETER, ALARM_WORD, WARNING_WORD = 16029, 16899, 16919
NOT_DC_BRAKE, NOT_COAST, NOT_QUICK, NOT_HOLD, START, RESET, VALID = (
    1 << bit for bit in (2, 3, 4, 5, 6, 7, 10)
)
CONTROL_READY, DRIVE_READY, NOT_COASTING, TRIP = 1 << 0, 1 << 1, 1 << 2, 1 << 3
WARNING, AT_REFERENCE, BUS_CONTROL, IN_RANGE, OPERATING = 1 << 7, 1 << 8, 1 << 9, 1 << 10, 1 << 11
TIMEOUT_ALARM, OVERCURRENT, GROUND_FAULT = 17, 13, 14
"""Alarm numbers of the manufacturer's list; each has a bit in the alarm word."""

_BITS = {TIMEOUT_ALARM: 1 << 4, OVERCURRENT: 1 << 5, GROUND_FAULT: 1 << 2}
_OTHER_BIT = 1 << 31
_FULL_HZ, _VOLTS, _RPM, _COAST_PCT_S = 50.0, 400.0, 2900.0, 50.0
_AT_REFERENCE_PCT = 1.0


class DanfossFc(TableServer):
    """The drive; faults besides those of `TableServer`:

    trip(alarm)    the shaft coasts to a stop; bit 3 is set until a reset
    trip_persists  a reset has no effect while this is true
    local          hand-on mode: the bus can read, but its commands have no effect
    """

    FAULTS: ClassVar = TableServer.FAULTS | {"trip_persists", "local"}
    functions = frozenset((1, 3, 4, 5, 6, 8, 15, 16, 17))
    boot_us = 6 * SECOND
    table: tuple[MeasuredPoint, ...] = (
        MeasuredPoint("run_hours", 14999, RegisterFormat("I"), lambda d: d.hours),
        MeasuredPoint("energy_kwh", 15019, RegisterFormat("I"), lambda d: d.energy_kwh),
        MeasuredPoint("power_w", 16099, RegisterFormat("i"), lambda d: d.electric_w),
        MeasuredPoint(
            "volts", 16119, RegisterFormat("H", 0.1), lambda d: d.shaft.speed_pct / 100.0 * _VOLTS
        ),
        MeasuredPoint(
            "hertz", 16129, RegisterFormat("H", 0.1), lambda d: d.shaft.speed_pct / 100.0 * _FULL_HZ
        ),
        MeasuredPoint(
            "amps",
            16139,
            RegisterFormat("I", 0.01),
            lambda d: d.electric_w / 620.0 + 0.8 * d.turning,
        ),
        MeasuredPoint(
            "speed_rpm", 16169, RegisterFormat("i"), lambda d: d.shaft.speed_pct / 100.0 * _RPM
        ),
        MeasuredPoint("dc_link_v", 16299, RegisterFormat("H"), lambda _: 565.0),
        MeasuredPoint(
            "heatsink_c", 16339, RegisterFormat("H"), lambda d: 35.0 + d.shaft.speed_pct / 5.0
        ),
    )

    def __init__(
        self,
        plant: Plant,
        pump: int = 0,
        unit: int = 1,
        ramp_s: float = 4.0,
        comm_timeout_us: int = 10 * SECOND,
        safe_pct: float = 60.0,
    ) -> None:
        """Drive the plant's pump number `pump` from its present speed."""
        super().__init__(plant, unit, 6 * MILLISECOND)
        self.index, self.shaft = pump, plant.pumps[pump]
        self.ramp_pct_s = 100.0 / ramp_s
        self.safe_pct = safe_pct
        self.watchdog = Watchdog(comm_timeout_us)
        self.trips_on_timeout = False
        self.reference_full = 0x4000
        self.alarm_code = 0
        self.trip_persists = self.local = False
        self.hours, self.energy_kwh = 876.0, 1234.0
        self.running = self.shaft.speed_pct > 0.0
        self._control = 0x047F if self.running else 0x043C
        self._reference = round(self.shaft.speed_pct / 100.0 * self.reference_full)
        self._updated_at = -1
        self.registers = {CONTROL: self._control, REFERENCE: self._reference}
        for point in self.table:
            self.registers.update(
                {point.address + i: 0 for i in range(point.register_format.register_count)}
            )
        pairs = (STATUS_PARAMETER, ALARM_WORD, ALARM_WORD + 1, WARNING_WORD, WARNING_WORD + 1)
        self.registers.update(dict.fromkeys((*pairs, STATUS, ACTUAL), 0))
        self.writable = {CONTROL: (0, 0xFFFF), REFERENCE: (0, 0xFFFF)}
        self.coils = {bit: self._control >> bit & 1 for bit in range(16)}

    # Values.

    @property
    def turning(self) -> bool:
        """Whether the shaft turns."""
        return self.shaft.speed_pct > 0.0

    @property
    def electric_w(self) -> float:
        """This pump's part of the electric power, W."""
        cubes = [pump.speed_pct**3 for pump in self.plant.pumps]
        return self.plant.pump_electric_w * cubes[self.index] / (sum(cubes) or 1.0)

    # Commands.

    def trip(self, alarm: int = OVERCURRENT) -> None:
        """Trip with an alarm number; the shaft coasts to a stop."""
        self.alarm_code = alarm
        self.running = False
        self._apply()

    def write_bits(self, address: int, bits: Sequence[bool], now: int) -> int:
        """Write coils 0 to 15, the bits of the control word."""
        word = self.registers[CONTROL]
        for offset, bit in enumerate(bits):
            if not 0 <= address + offset < 16:
                return 2
            mask = 1 << address + offset
            word = word | mask if bit else word & ~mask
        return self.write(CONTROL, [word], now)

    def on_write(self, address: int, count: int, now: int) -> None:
        """Execute a valid control word and its reference."""
        self.plant.advance(now)
        word = self.registers[CONTROL]
        self.coils = {bit: word >> bit & 1 for bit in range(16)}
        if not word & VALID or self.local:
            return
        rising, self._control = word & ~self._control, word
        self._reference = self.registers[REFERENCE]
        if self.alarm_code:
            if rising & RESET and not self.trip_persists:
                self.alarm_code = 0
        else:
            run_bits = NOT_DC_BRAKE | NOT_COAST | NOT_QUICK | START
            self.running = word & run_bits == run_bits
        self._apply()

    def _apply(self) -> None:
        """Command the shaft according to state, reference and supervision."""
        self.invalidate()
        if self.running and self.watchdog.expired:
            self.shaft.command(self.safe_pct, self.ramp_pct_s)
        elif self.running:
            signed = self._reference if self._reference < 0x8000 else 0  # a pump has no reverse
            percent = min(signed / self.reference_full, 1.0) * 100.0
            if self._control & NOT_HOLD:
                self.shaft.command(percent, self.ramp_pct_s)
        else:
            coasting = self.alarm_code or not self._control & NOT_COAST
            self.shaft.command(0.0, _COAST_PCT_S if coasting else self.ramp_pct_s)

    def on_request(self, now: int) -> None:
        """End a loss of communication."""
        if self.watchdog.kick(now):
            self.plant.advance(now)
            self._apply()

    def wake(self, now: int) -> None:
        """Process a loss of communication."""
        super().wake(now)
        if self.watchdog.check(now):
            self.plant.advance(now)
            if self.trips_on_timeout:
                self.trip(TIMEOUT_ALARM)
            else:
                self._apply()

    def deadline(self) -> int:
        """Return the time at which the supervision expires."""
        return min(super().deadline(), self.watchdog.due)

    def on_restart(self, now: int) -> None:
        """Restart: the shaft is stopped and waits for a start."""
        self.alarm_code = 0
        self.running = False
        self._control = 0x043C
        self.registers[CONTROL], self.registers[REFERENCE] = self._control, 0
        self._reference = 0
        self._apply()

    # Registers.

    def update_state(self, now: int) -> None:
        """Count hours and energy."""
        if self._updated_at >= 0 and self.turning:
            elapsed_h = (now - self._updated_at) / 3600 / SECOND
            self.hours += elapsed_h
            self.energy_kwh += self.electric_w * elapsed_h / 1000.0
        self._updated_at = now

    def update_registers(self, now: int) -> bool:
        """Show status, actual value and alarms; return whether a value changed."""
        speed = self.shaft.speed_pct
        status = self._status(speed)
        alarm = _BITS.get(self.alarm_code, _OTHER_BIT) if self.alarm_code else 0
        warning = _BITS[TIMEOUT_ALARM] if self.watchdog.expired else 0
        values = (
            (STATUS, status),
            (STATUS_PARAMETER, status),
            (ACTUAL, round(speed / 100.0 * 0x4000)),
            (ALARM_WORD, alarm >> 16),
            (ALARM_WORD + 1, alarm & 0xFFFF),
            (WARNING_WORD, warning >> 16),
            (WARNING_WORD + 1, warning & 0xFFFF),
        )
        return sum(self.set_register(address, value) for address, value in values) > 0

    def _status(self, speed: float) -> int:
        at_reference = self.running and abs(speed - self.shaft.target_pct) < _AT_REFERENCE_PCT
        return (
            CONTROL_READY
            | (0 if self.alarm_code else DRIVE_READY)
            | (NOT_COASTING if self._control & NOT_COAST and not self.alarm_code else 0)
            | (TRIP if self.alarm_code else 0)
            | (WARNING if self.watchdog.expired else 0)
            | (AT_REFERENCE if at_reference else 0)
            | (0 if self.local else BUS_CONTROL)
            | IN_RANGE
            | (OPERATING if self.turning else 0)
        )
