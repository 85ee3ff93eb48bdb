# SPDX-License-Identifier: Apache-2.0
"""An emulated ABB ACS580 drive on one pump: embedded fieldbus, ABB Drives profile.

Holding registers (0-based): 0 control word, 1 reference 1 (20000 is full speed), 2 reference 2,
3 status word, 4 actual 1 (speed, 20000 is full), 5 actual 2 (torque, 10000 is full). The state
machine is that of the profile, without jogging and external locations:

    0x047E makes the drive ready (OFF1), 0x047F runs it, 0x047E again ramps it down;
    a control word without bit 10 (remote) is ignored together with its reference;
    after a trip, a rising bit 7 resets it; then OFF1 must be 0 once before it runs again.

Coils 0 to 15 are the bits of the control word, discrete inputs 0 to 15 the bits of the status word.
Parameter g.i is readable at 100 g + i - 1 (16 bits) and at 20000 + 200 g + 2 i - 1 (32 bits, low
word first, the default of 58.34). Parameters: 01.01 speed in 1/min, 01.07 current in 0.01 A, 01.11
DC voltage in 0.1 V, 01.14 power in 0.01 kW, 04.01 fault of the last trip, 05.03 run hours, 58.14 to
58.17 (action and time of a communication loss). The drive supports device identification (43/14).

If no request arrives for `comm_timeout_us`, the drive shows a warning. If it was running, it holds
`safe_pct` (parameters 58.14 to 58.16 with "speed reference safe" and "any message"). The next
request ends the loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from hil.devices.base import NEVER, SECOND
from hil.devices.modbus.register_codec import RegisterFormat
from hil.devices.modbus.server import ILLEGAL_ADDRESS, ModbusServer
from hil.devices.modbus.watchdog import Watchdog
from hil.plant.fluid.hydraulics import PlantPump
from hil.plant.plant import Plant

CONTROL, REF1, REF2, STATUS, ACT1, ACT2 = range(6)
FULL_SPEED = 20_000
FULL_TORQUE = 10_000

OFF1, OFF2, OFF3, RUN = 1 << 0, 1 << 1, 1 << 2, 1 << 3
RAMP = (1 << 4) | (1 << 5) | (1 << 6)
RESET, REMOTE = 1 << 7, 1 << 10

READY_ON, READY_RUN, OPERATING, TRIPPED = 1 << 0, 1 << 1, 1 << 2, 1 << 3
OFF2_INACTIVE, OFF3_INACTIVE, INHIBITED, WARNING = 1 << 4, 1 << 5, 1 << 6, 1 << 7
AT_SETPOINT, REMOTE_ON, ABOVE_LIMIT = 1 << 8, 1 << 9, 1 << 10

UNDERVOLTAGE_FAULT = 0x3220
"""Fault code of the undervoltage of the DC link."""
_COAST_PCT_S = 50.0
_DC_DECIVOLTS = 5650.0
_INT32 = RegisterFormat("i", swapped=True)
_AT_SETPOINT_PCT = 1.0
_WATTS_PER_CENTIAMPERE = 6.2  # 400 V, power factor 0.9 (assumed)

PARAMETERS = (
    (1, 1),
    (1, 7),
    (1, 11),
    (1, 14),
    (4, 1),
    (5, 3),
    (58, 14),
    (58, 15),
    (58, 16),
    (58, 17),
)
"""Group and index of the readable parameters."""


ACS580_IDENTITY: Mapping[int, str] = {
    0: "ABB",
    1: "ASCKX",
    2: "2.20.0.0",
    3: "www.abb.com",
    4: "ACS580",
}
"""Device identification (43/14) by object."""


def _parameter_addresses(group: int, index: int) -> tuple[int, int, int]:
    """Return the wire addresses of a parameter: 16 bits, then low and high word of 32 bits."""
    wide_address = 20_000 + 200 * group + 2 * index - 1
    return 100 * group + index - 1, wide_address, wide_address + 1


class AbbAcs580(ModbusServer):
    """The drive; faults besides those of `ModbusServer`:

    trip(code)     the shaft coasts to a stop; bit 3 is set until a reset
    trip_persists  a reset has no effect while this is true
    shown_pct      actual 1 shows this speed, %
    local          switched to local mode: bit 9 is 0, writes are confirmed without an effect
    set_undervoltage   the drive replies, trips if it runs or starts, and takes no reset
    cut_power      the drive does not reply, and the shaft coasts to a stop; without power it
                   does not trip and does not restart
    """

    FAULTS: ClassVar = ModbusServer.FAULTS | {"trip_persists", "local", "shown_pct"}
    functions = frozenset((1, 2, 3, 4, 5, 6, 15, 16, 22, 23, 43))
    identity: Mapping[int, str] = ACS580_IDENTITY
    # Also 0, for the basic stream, which standard clients do not request.
    identity_codes: tuple[int, ...] = (4,)
    boot_us = 4 * SECOND

    def __init__(
        self,
        plant: Plant,
        pump: int = 0,
        unit: int = 1,
        ramp_s: float = 5.0,
        comm_timeout_us: int = 10 * SECOND,
        safe_pct: float = 70.0,
        start_us: int = 0,
        shaft: PlantPump | None = None,
    ) -> None:
        """Drive the plant's pump number `pump` from its present speed.

        `shaft` replaces the pump. `ramp_s` is the time from 0 to full speed. A `comm_timeout_us` of
        0 turns the supervision off.
        """
        super().__init__(unit)
        self.plant = plant
        self.shaft = plant.pumps[pump] if shaft is None else shaft
        self.ramp_pct_s = 100.0 / ramp_s
        self.watchdog = Watchdog(comm_timeout_us, start_us)
        self.safe_pct = safe_pct
        self.fault = 0
        self.trip_persists = self.local = False
        self.local_writes = 0
        self.shown_pct: float | None = None
        self.hours = 2345.0
        self.running = self.shaft.speed_pct > 0.0
        self.inhibited = False
        self._power_cuts: set[str] = set()
        self._has_undervoltage = False
        self._updated_at = -1
        self._shown_steps = -1
        self._parameters_shown = False
        self._control = 0x047F if self.running else 0x047E
        self._reference = round(self.shaft.speed_pct / 100.0 * FULL_SPEED)
        self.registers = dict.fromkeys(range(6), 0)
        for group, index in PARAMETERS:
            self.registers.update(dict.fromkeys(_parameter_addresses(group, index), 0))
        self.registers[CONTROL] = self._control
        self.registers[REF1] = self._reference
        self.writable = {CONTROL: (0, 0xFFFF), REF1: (0, 0xFFFF), REF2: (0, 0xFFFF)}
        self.coils = self.discrete_inputs = dict.fromkeys(range(16), 0)

    @property
    def comm_lost(self) -> bool:
        """Whether the communication is lost."""
        return self.watchdog.expired

    @property
    def comm_timeout_us(self) -> int:
        """Communication time-out, µs; 0: no supervision."""
        return self.watchdog.period_us

    def set_comm_timeout(self, period_us: int) -> None:
        """Set the communication time-out, µs; 0 turns the supervision off."""
        self.watchdog.set_period(period_us)

    @property
    def has_power(self) -> bool:
        """Whether no cause cuts its power."""
        return not self._power_cuts

    def cut_power(self, cause: str = "") -> None:
        """Cut the power: the drive does not reply, and the shaft coasts to a stop."""
        self._power_cuts.add(cause)
        self.silent_until = NEVER
        self.running = False
        self.shaft.command(0.0, _COAST_PCT_S)

    def restore_power(self, now: int, cause: str = "") -> None:
        """End a `cause` of `cut_power`: after the last one the drive restarts."""
        if cause in self._power_cuts:
            self._power_cuts.remove(cause)
            self.reboot(now)

    def set_undervoltage(self, has_undervoltage: bool) -> None:
        """Begin or end an undervoltage of the DC link. While it lasts, no fault can be reset."""
        self._has_undervoltage = has_undervoltage
        if has_undervoltage and self.running:
            self.trip(UNDERVOLTAGE_FAULT)

    def reboot(self, now: int) -> None:
        """Restart; without power nothing happens."""
        if self.has_power:
            super().reboot(now)

    def trip(self, code: int = 0x2310) -> None:
        """Trip with a fault code (0x2310 is overcurrent); the shaft coasts to a stop. Without power
        nothing happens.
        """
        if not self.has_power:
            return
        self.fault = code
        self.running = False
        self.inhibited = True
        self._shown_steps = -1
        self.shaft.command(0.0, _COAST_PCT_S)

    def on_request(self, now: int) -> None:
        """End a loss of communication."""
        if self.watchdog.kick(now):
            self._shown_steps = -1
            self.plant.advance(now)
            self._apply()

    def deadline(self) -> int:
        """Return the time at which the supervision expires."""
        due = self.watchdog.due
        return due if not self.delayed_writes else min(due, self.delayed_writes[0][0])

    def wake(self, now: int) -> None:
        """Process a loss of communication."""
        super().wake(now)
        if self.watchdog.check(now):
            self.plant.advance(now)
            self._shown_steps = -1
            self._apply()

    def read_bits(self, address: int, count: int, coils: bool) -> list[bool] | int:
        """Return bits of the control word or of the status word."""
        if address + count > 16:
            return ILLEGAL_ADDRESS
        word = self.registers[CONTROL if coils else STATUS]
        return [bool(word >> bit & 1) for bit in range(address, address + count)]

    def write_bits(self, address: int, bits: Sequence[bool], now: int) -> int:
        """Write bits of the control word."""
        if address + len(bits) > 16:
            return ILLEGAL_ADDRESS
        word = self.registers[CONTROL]
        for bit, value in enumerate(bits, address):
            word = word | 1 << bit if value else word & ~(1 << bit)
        return self.write(CONTROL, [word], now)

    def on_restart(self, now: int) -> None:
        """Restart: the shaft is stopped, and OFF1 must be 0 once before it runs."""
        self.fault = 0
        self.running = self.inhibited = False
        self._control = self.registers[CONTROL] = 0x047E
        self._reference = self.registers[REF1] = 0
        self._shown_steps = -1
        self._apply()

    def on_write(self, address: int, count: int, now: int) -> None:
        """Execute a new control word or reference."""
        self.plant.advance(now)
        self._shown_steps = -1
        word = self.registers[CONTROL]
        if self.local:
            self.local_writes += 1
        if not word & REMOTE or self.local:
            return
        rising = word & ~self._control
        self._control = word
        reference = self.registers[REF1]
        self._reference = reference if reference < 0x8000 else 0  # reverse is not enabled
        if rising & RESET and not self.trip_persists and not self._has_undervoltage:
            self.fault = 0
        self._step_state(word)
        if self.running and self._has_undervoltage:
            self.trip(UNDERVOLTAGE_FAULT)
        self._apply()

    def _step_state(self, word: int) -> None:
        """Step the state machine of the profile."""
        if not word & OFF1:
            self.running = False
            self.inhibited = self.fault != 0
        elif self.fault or not word & OFF2 or not word & OFF3:
            self.running = False
            self.inhibited = True
        elif not self.inhibited:
            self.running = bool(word & RUN)

    def _apply(self) -> None:
        """Command the shaft according to state, reference and supervision."""
        if self.running and self.comm_lost:
            self.shaft.command(self.safe_pct, self.ramp_pct_s)
        elif self.running and self._control & RAMP == RAMP:
            percent = min(self._reference, FULL_SPEED) * 100.0 / FULL_SPEED
            self.shaft.command(percent, self.ramp_pct_s)
        else:
            coasting = self.fault or not self._control & OFF2
            self.shaft.command(0.0, _COAST_PCT_S if coasting else self.ramp_pct_s)

    def refresh(self, now: int) -> None:
        """Show the shaft at time `now`."""
        self.plant.advance(now)
        if self.plant.steps == self._shown_steps:
            return
        self._shown_steps = self.plant.steps
        speed = self.shaft.speed_pct
        if self._updated_at >= 0 and speed > 0.0:
            self.hours += (now - self._updated_at) / 3600 / SECOND
        self._updated_at = now
        shown_pct = speed if self.shown_pct is None else self.shown_pct
        values = (
            (STATUS, self._status(speed)),
            (ACT1, round(shown_pct / 100.0 * FULL_SPEED) & 0xFFFF),
            (ACT2, round((speed / 100.0) ** 2 * FULL_TORQUE)),
        )
        for address, value in values:
            if self.registers[address] != value:
                self.registers[address] = value
                self.version += 1
        if self._parameters_shown:
            self._show_parameters(speed)

    def read(self, address: int, count: int, function: int = 3) -> list[int] | int:
        """Read registers; parameters are updated only after the first read of one."""
        if address > ACT2 and not self._parameters_shown:
            self._parameters_shown = True
            self._show_parameters(self.shaft.speed_pct)
        return super().read(address, count, function)

    def watts(self, speed: float) -> float:
        """Return the electric power at a speed, W: this pump's part of the total."""
        if self.shaft.uncoupled:
            return 0.0
        cubes = [pump.impeller_pct**3 for pump in self.plant.pumps]
        return self.plant.pump_electric_w * speed**3 / (sum(cubes) or 1.0)

    def _show_parameters(self, speed: float) -> None:
        """Show actual values in 16 and in 32 bits."""
        watts = self.watts(speed)
        values = {
            (1, 1): speed / 100.0 * self.plant.parameters.pump_rpm,
            (1, 7): watts / _WATTS_PER_CENTIAMPERE,
            (1, 11): _DC_DECIVOLTS,
            (1, 14): watts / 10.0,
            (4, 1): float(self.fault),
            (5, 3): self.hours,
            (58, 14): 5.0,
            (58, 15): 1.0,
            (58, 16): self.watchdog.period_us / SECOND * 10.0,
            (58, 17): 0.0,
        }
        for (group, index), value in values.items():
            narrow, low, high = _parameter_addresses(group, index)
            words = _INT32.encode(value)
            for address, word in ((narrow, words[0]), (low, words[0]), (high, words[1])):
                if self.registers[address] != word:
                    self.registers[address] = word
                    self.version += 1

    def _status(self, speed: float) -> int:
        """Return the status word."""
        word = self._control
        ready = not self.inhibited and not self.fault
        at_setpoint = self.running and abs(speed - self.shaft.target_pct) < _AT_SETPOINT_PCT
        return (
            (READY_ON if ready else 0)
            | (READY_RUN if ready and word & OFF1 else 0)
            | (OPERATING if self.running else 0)
            | (TRIPPED if self.fault else 0)
            | (OFF2_INACTIVE if word & OFF2 else 0)
            | (OFF3_INACTIVE if word & OFF3 else 0)
            | (INHIBITED if self.inhibited else 0)
            | (WARNING if self.comm_lost else 0)
            | (AT_SETPOINT if at_setpoint else 0)
            | (0 if self.local else REMOTE_ON)
            | (ABOVE_LIMIT if speed >= 100.0 else 0)
        )
