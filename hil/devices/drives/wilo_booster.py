# SPDX-License-Identifier: Apache-2.0
"""An emulated Wilo booster (Control EC) with two pumps of the plant, for constant pressure.

Holding registers follow Wilo's document 2228099211 (its numbers are used as wire addresses): 13 bus
command timer, 14 drives on/off, 24 control mode, 25 actual value and 26 set-point in force (0.1
bar), 40 and 41 mode of pump 1 and 2 (0 off, 1 hand, 2 auto), 61 status bits, 67 set-point 1 (0.1
bar), 138 and 139 fault bits, high word first.

The bus command timer is the watchdog. Value 2 sets it; then it shows 3 (active), and every write of
the client restarts it. When it expires, it shows 4 (reset). The booster then uses its own set-point
and auto mode until the timer is set again. With 1 (off) there is no supervision. With 5 (manual)
writes are confirmed without effect. The document does not state the length of the timer:
`timer_us`.
"""

from __future__ import annotations

from hil.devices.base import MILLISECOND, NEVER, SECOND
from hil.devices.modbus.server import ModbusServer
from hil.devices.modbus.watchdog import Watchdog
from hil.plant.plant import Plant

TIMER, DRIVES, MODE, ACTUAL, ACTIVE_SETPOINT = 13, 14, 24, 25, 26
PUMP1, PUMP2, STATUS, SETPOINT, FAULTS = 40, 41, 61, 67, 138
TIMER_NONE, TIMER_OFF, TIMER_SET, TIMER_ACTIVE, TIMER_RESET, TIMER_MANUAL = range(6)
PUMP_OFF, PUMP_MANUAL, PUMP_AUTO = range(3)
SENSOR, DRY_RUN, PUMP1_FAULT, HIGH_WATER, SUPPLY = 0, 4, 5, 15, 20
"""Bits of the fault word; the bit of pump 2 follows that of pump 1."""

NO_VALUE = -0x8000 & 0xFFFF  # assumed
READY, RUNNING, FAULTY = 1 << 0, 1 << 1, 1 << 2  # bits of 61, assumed
P_C, DP_C = 0, 1

_KPA = 10.0  # one unit of 0.1 bar
_TICK_US = SECOND // 2
_GAIN, _MANUAL_PCT, _RAMP_PCT_S, _MIN_PCT = 0.12, 60.0, 20.0, 15.0
_STOP_FAULTS = (1 << SENSOR) | (1 << DRY_RUN) | (1 << SUPPLY)


class WiloBooster(ModbusServer):
    """The booster; faults besides those of `ModbusServer`: raise_fault(bit), clear_fault(bit).

    Without its sensor, supply or water the booster stops. A fault of one pump stops that pump.
    """

    functions = frozenset((3, 6, 16))
    boot_us = 5 * SECOND
    nonvolatile = frozenset((SETPOINT, MODE))

    def __init__(
        self,
        plant: Plant,
        pumps: tuple[int, int] = (0, 1),
        unit: int = 1,
        panel_setpoint: int = 8,
        timer_us: int = 60 * SECOND,
    ) -> None:
        """Drive two of the plant's pumps; `panel_setpoint` (0.1 bar) is the own set-point."""
        super().__init__(unit, 12 * MILLISECOND)
        self.plant = plant
        self.shafts = [plant.pumps[i] for i in pumps]
        self.panel_setpoint = panel_setpoint
        self.faults = 0
        self.watchdog = Watchdog(0)
        self.timer_us = timer_us
        self._speed_pct = max(shaft.speed_pct for shaft in self.shafts)
        self._next_tick = 0
        self._shown_step = -1
        running = int(self._speed_pct > 0.0)
        self.registers = dict.fromkeys(
            [*range(13, 16), *range(24, 27), 40, 41, 61, 67, 138, 139], 0
        )
        self.registers.update(
            {
                TIMER: TIMER_OFF,
                DRIVES: running,
                MODE: DP_C,
                PUMP1: PUMP_AUTO,
                PUMP2: PUMP_AUTO,
                SETPOINT: panel_setpoint,
            }
        )
        self.writable = {
            TIMER: (0, 5),
            DRIVES: (0, 1),
            MODE: (0, 7),
            PUMP1: (0, 2),
            PUMP2: (0, 2),
            SETPOINT: (0, 160),
        }

    def raise_fault(self, bit: int) -> None:
        """Set a fault bit."""
        self.faults |= 1 << bit
        self._shown_step = -1

    def clear_fault(self, bit: int) -> None:
        """Clear a fault bit."""
        self.faults &= ~(1 << bit)
        self._shown_step = -1

    # Commands.

    def accepts_write(self, address: int, value: int) -> bool:
        """Return whether a write has an effect: with "manual" only the timer is writable."""
        return address == TIMER or self.registers[TIMER] != TIMER_MANUAL

    def on_write(self, address: int, count: int, now: int) -> None:
        """Restart the timer and execute the write."""
        timer = self.registers[TIMER]
        if timer == TIMER_SET:
            self.registers[TIMER] = TIMER_ACTIVE
            self.watchdog = Watchdog(self.timer_us, now)
        elif timer == TIMER_ACTIVE:
            self.watchdog.kick(now)
        else:
            self.watchdog = Watchdog(0, now)
        self._shown_step = -1
        self._next_tick = min(self._next_tick, now)
        self.wake(now)

    @property
    def setpoint(self) -> int:
        """The set-point in force, 0.1 bar: of the bus or, after the timer, of the panel."""
        registers = self.registers
        return self.panel_setpoint if registers[TIMER] == TIMER_RESET else registers[SETPOINT]

    def wake(self, now: int) -> None:
        """Check the timer; step the pressure loop, twice a second."""
        super().wake(now)
        if self.watchdog.check(now):
            self.registers[TIMER] = TIMER_RESET
            self.registers[PUMP1] = self.registers[PUMP2] = PUMP_AUTO
            self._shown_step = -1
        if now < self._next_tick:
            return
        self._next_tick = now + _TICK_US
        self.plant.advance(now)
        error = self.setpoint * _KPA - self.plant.dp_kpa
        self._speed_pct = min(max(self._speed_pct + _GAIN * error, _MIN_PCT), 100.0)
        for i, shaft in enumerate(self.shafts):
            shaft.command(self._pump_command_pct(i), _RAMP_PCT_S)

    def _pump_command_pct(self, index: int) -> float:
        """Return the commanded speed of a pump, %."""
        mode = self.registers[PUMP1 + index]
        faulty = self.faults & (_STOP_FAULTS | 1 << PUMP1_FAULT + index)
        if faulty or mode == PUMP_OFF or not self.registers[DRIVES]:
            return 0.0
        return _MANUAL_PCT if mode == PUMP_MANUAL else self._speed_pct

    def deadline(self) -> int:
        """Return the time of the next step of the loop, or the end of the timer."""
        return min(super().deadline(), self._next_tick, self.watchdog.due, NEVER)

    def on_restart(self, now: int) -> None:
        """Restart: the booster uses its own settings."""
        self.watchdog = Watchdog(0, now)
        self._shown_step = -1

    # Registers.

    def refresh(self, now: int) -> None:
        """Show the plant at time `now`."""
        plant = self.plant
        plant.advance(now)
        if plant.steps == self._shown_step:
            return
        self._shown_step = plant.steps
        sensor_failed = self.faults >> SENSOR & 1
        running = any(shaft.speed_pct > 1.0 for shaft in self.shafts)
        status = (0 if self.faults else READY) | (RUNNING * running)
        values = (
            (ACTUAL, NO_VALUE if sensor_failed else round(plant.dp_kpa / _KPA)),
            (ACTIVE_SETPOINT, self.setpoint),
            (STATUS, status | (FAULTY if self.faults else 0)),
            (FAULTS, self.faults >> 16),
            (FAULTS + 1, self.faults & 0xFFFF),
        )
        for address, value in values:
            if self.registers[address] != value:
                self.registers[address] = value
                self.version += 1
