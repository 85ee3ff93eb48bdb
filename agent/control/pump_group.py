# SPDX-License-Identifier: Apache-2.0
"""Pump group: control of dP, flow or temperature difference, rotation, failover, staged start.

Extends `PressureLoop`. Does not contain the control law; see `agent.control.law.pump_speed`.

Speed fraction. Each pump has a fraction, 0 to 1, of the speed of the loop. Running pumps have 1. A
pump that starts or stops moves through the values from 0.4 to 1. Above `_CHECK_VALVE_OPENS` the
pump begins to open its check valve, so the fraction moves slowly and the loop can follow. A pump
stops only after its replacement runs (make before break).

Failover. If no running pump is left, the next pump gets the fraction 1 immediately. To detect a
trip early, `fast_poll` polls running drives more often than once a cycle. A pump that was replaced
because it gave no flow becomes the last of the order. One that was blocked becomes the first when
it may be tried again.

Bounds. A lower bound on the pumps (`agent.control.actuator.arbiter`) above the speed of the loop
gives each available pump the fraction 1 immediately. The start delay of a grid dip applies to it
too.

Grid dip. A tripped drive is reset, at most `auto_reset` times an hour
(`agent.control.actuator.reset_drives`). A start delay applies after a loss of all pumps, and after
a start of the agent with all pumps stopped. The first pump starts after `stagger_s` + `slot` *
`slot_s`. Each unit of a site has its own slot, so the units do not start at the same time. Each
further pump starts `_START_SPACING_US` after the last one.
"""

from agent.control.actuator.reset_drives import DriveReset
from agent.control.law.pump_speed import DELTA_T, DP, FLOW, PumpSpeedControl
from agent.control.loop.pressure_loop import PressureLoop
from agent.core.actuator import PUMPS
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.control.control_context import ControlContext
    from agent.control.law.cooling import ControlReadings
    from agent.core.config_records import LoopConfig
    from agent.core.context import SensorView

_CHECK_VALVE_OPENS = 8 / 10
_SLOW_PER_S, _FAST_PER_S = 1 / 100, 1 / 20
"""Speed fraction per second, above and below `_CHECK_VALVE_OPENS`."""
_RUNNING_BAND_PCT = 5.0
_START_SPACING_US = 5 * SECOND


class PumpGroup(PressureLoop):
    """`settings`: mode, setpoint_lpm, setpoint_k, rotate_h, stagger_s, slot, slot_s, auto_reset.
    The owner fills `readings`.
    """

    def __init__(
        self,
        agent: "ControlContext",
        sensor: "SensorView",
        settings: "dict[str, Any]",
        readings: "ControlReadings",
    ) -> None:
        config = agent.config.pressure
        super().__init__(config, sensor, agent.pumps, agent.arbiters[PUMPS])
        self.readings = readings
        self._rotate_h: float = settings["rotate_h"]
        self._mode_setpoints: dict[str, float] = {
            FLOW: settings["setpoint_lpm"],
            DELTA_T: settings["setpoint_k"],
        }
        self.controller = PumpSpeedControl(config.min_pct, config.max_pct, config.rate_pct_per_s)
        self.controller.set_mode(settings["mode"])
        self.order = list(range(len(self.pumps)))
        self.speed_fractions = [0.0] * len(self.pumps)
        self.rotations = 0
        self._rotate_at: int | None = None
        self._drive_reset = DriveReset(self.pumps, settings["auto_reset"], agent.alarms)
        self._all_stopped = False
        self._start_delay_us = SECOND * int(settings["stagger_s"])
        self._start_delay_us += SECOND * int(settings["slot"]) * int(settings["slot_s"])
        self._start_at = 0
        self._next_start_at = 0
        self._not_in_control = self._first_run = True
        self._reset_index = -1

    def set_tuning(self, config: "LoopConfig") -> None:
        """Set the set-point and the limits, with bumpless transfer."""
        super().set_tuning(config)
        self.controller.set_limits(config.min_pct, config.max_pct, config.rate_pct_per_s)

    @property
    def mode(self) -> str:
        """The control mode: dp, flow or delta_t."""
        return self.controller.mode

    def set_mode(self, mode: str, setpoint: "float | None" = None) -> None:
        """Set the control mode; the other modes become inactive. Redfish defines one control for
        each actuator. `setpoint`: L/min or K; None: unchanged.
        """
        if setpoint is not None:
            self._mode_setpoints[mode] = setpoint
        self.controller.set_mode(mode)

    def mode_setpoint(self, mode: str) -> float:
        """Return the set-point of the mode `flow` (L/min) or `delta_t` (K)."""
        return self._mode_setpoints[mode]

    def rotate(self) -> str:
        """Make the next available pump the lead. Return its name, or "" if there is none."""
        available = [i for i in self.order[1:] if self._is_available(i)]
        if not available:
            return ""
        self.order.remove(available[0])
        self.order = [available[0]] + self.order
        self.rotations += 1
        return self.pumps[available[0]].session.name

    def fast_poll(self) -> None:
        """Poll the running drives between two cycles."""
        for pump, fraction in zip(self.pumps, self.speed_fractions):
            session = pump.session
            if fraction > 0 and not session.lost and session.polls_complete():
                session.poll_early()

    def running_pump_tripped(self) -> bool:
        """Return True if a pump with a speed fraction above 0 has tripped or is blocked."""
        return True in [
            fraction > 0 and (pump.tripped() or pump.stalled)
            for pump, fraction in zip(self.pumps, self.speed_fractions)
        ]

    def fail_over(self, now: int) -> None:
        """Start the next pump between two cycles after a trip."""
        if not self._not_in_control and self.controller.output > 0:
            self._blend_pumps(now, 0.0)
            self._request_all(self._decide(self.controller.output))

    def step(self, now: int, dt: float) -> None:
        """Advance by `dt` seconds and request the pump speeds."""
        self._reset_index = self._drive_reset.step(now, self.arbiter.locked if self.arbiter else [])
        measured = self._measured(now)
        if measured is None or self._is_claimed():
            self._not_in_control = True
            super().step(now, dt)
            self.speed_fractions = [1.0 if pump.running else 0.0 for pump in self.pumps]
            return
        if self._not_in_control:
            self._bumpless_start(now)
        self._rotate_if_due(now)
        self._blend_pumps(now, dt)
        if self._all_stopped:
            self.controller.track(self.config.safe_pct)
            self._await_start()
            return
        setpoint = self.active_setpoint()
        speed = self.controller.step(setpoint, measured, dt)
        self._stage_lag_pump(speed, self._is_held(setpoint - measured, setpoint), now)
        decided = self._decide(speed)
        if decided is not None and decided != speed:
            self.controller.track(decided)
        if self.arbiter is not None and self.arbiter.raised:
            self.speed_fractions = [
                1.0 if self._is_available(i) else 0.0 for i in range(len(self.pumps))
            ]
        self._request_all(decided)

    def request_safe(self) -> None:
        """Request the safe speed, within the claims; the next step starts from it."""
        self._not_in_control = True
        super().request_safe()

    def start_pending(self, now: int) -> bool:
        """Return True while stopped pumps wait for their start delay."""
        return self._all_stopped and not self._not_in_control and now < self._start_at

    def _await_start(self) -> None:
        """After a loss of all pumps: keep a returned pump stopped, unless it already runs."""
        if not self._start_delay_us:  # a pump that receives requests but does not answer also runs
            self._request_all(self._decide(self.config.safe_pct))
            return
        if self.arbiter is not None:
            self.arbiter.await_start()
        for i, pump in enumerate(self.pumps):
            if self._is_available(i) and i != self._reset_index:
                if (pump.speed() or 0.0) > 0:
                    self.speed_fractions[i] = 1.0
                    self._all_stopped = False
                else:
                    self._move(pump, 0.0)

    def _bumpless_start(self, now: int) -> None:
        """Continue from the present state of the pumps."""
        self._not_in_control = self.at_fail_safe = False
        speeds = [pump.speed() or 0.0 for pump in self.pumps]
        max_speed = max(speeds)
        self.speed_fractions = [1.0 if speed > 0 else 0.0 for speed in speeds]
        self.lag_running = sum(self.speed_fractions) > 1
        running = [i for i in self.order if speeds[i] > 0]
        self.order = running + [i for i in self.order if speeds[i] <= 0]
        self._all_stopped = not running
        self._start_at = now + self._start_delay_us if self._first_run else now
        self._first_run = False
        self.controller.track(max_speed if max_speed > 0 else self.config.safe_pct)

    def restore_order(self, words: "list[str]") -> bool:
        """Use the order of before the restart; running pumps still come first."""
        order = [int(word) for word in words if word.isdigit() and len(word) < 3]
        if sorted(order) != list(range(len(self.pumps))):
            return False
        self.order = order
        return True

    def _measured(self, now: int) -> "float | None":
        kpa = self.sensor.value(now)
        if self.mode == DP or kpa is None:
            return kpa
        readings = self.readings
        if self.mode == FLOW:
            return kpa if readings.flow_lpm is None else readings.flow_lpm
        if readings.return_c is None or readings.supply_c is None:
            return None
        return readings.return_c - readings.supply_c

    def active_setpoint(self) -> float:
        """Return the set-point of the present mode: kPa, L/min or K."""
        return self.setpoint if self.mode == DP else self.mode_setpoint(self.mode)

    def _is_available(self, i: int) -> bool:
        return self.pumps[i].available() and not self._is_locked(self.pumps[i])

    def _rotate_if_due(self, now: int) -> None:
        """Rotate the lead every `rotate_h` hours, while the lag pump is stopped."""
        hours = self._rotate_h
        if hours <= 0 or len(self.pumps) < 2:
            return
        if self._rotate_at is None:
            self._rotate_at = now + int(hours * 3600) * SECOND
        elif now >= self._rotate_at and not self.lag_running:
            self._rotate_at = now + int(hours * 3600) * SECOND
            self.rotate()

    def _blend_pumps(self, now: int, dt: float) -> None:
        """Move the speed fraction of each pump towards its target."""
        self._sort_order()
        available = [i for i in self.order if self._is_available(i)]
        chosen = available[: 2 if self.lag_running else 1]
        running = [
            i
            for i in available
            if self.speed_fractions[i] > _CHECK_VALVE_OPENS and self._is_running(i)
        ]
        for i in self.order:
            if i not in available:
                self.speed_fractions[i] = 0.0
        if not running and not self._is_starting(available):
            self._start_pumps(chosen, now)
            return
        ready = True
        for i in chosen:
            if self.speed_fractions[i] <= 0 and now < self._next_start_at:
                ready = False  # another pump has just started
            elif self.speed_fractions[i] < 1.0:
                self.speed_fractions[i] = _step_fraction(self.speed_fractions[i], dt)
            ready = ready and self.speed_fractions[i] >= 1.0 and self._is_running(i)
        for i in available:
            if i not in chosen and self.speed_fractions[i] > 0 and ready:
                self.speed_fractions[i] = _step_fraction(self.speed_fractions[i], -dt)

    def _sort_order(self) -> None:
        """A pump that gave no flow is the last of the order: it leads only after a rotation. One
        that was blocked is the first: it starts while the present one runs.
        """
        for i, pump in enumerate(self.pumps):
            if pump.is_last or pump.is_first:
                self.order.remove(i)
                self.order.insert(0 if pump.is_first else len(self.order), i)
                pump.is_last = pump.is_first = False

    def _is_running(self, i: int) -> bool:
        speed = self.pumps[i].speed()
        return (
            speed is not None
            and speed > self.controller.output * self.speed_fractions[i] - _RUNNING_BAND_PCT
        )

    def _is_starting(self, available: "list[int]") -> bool:
        """Return True if a pump already has the speed fraction 1 and accelerates."""
        return True in [self.speed_fractions[i] >= 1.0 for i in available]

    def _start_pumps(self, chosen: "list[int]", now: int) -> None:
        """No pump runs: start the first chosen pump at fraction 1 after the start delay."""
        if not chosen:
            self._all_stopped = True
            self._start_at = now + self._start_delay_us
            return
        if now < self._start_at:
            return
        self._all_stopped = False
        for i in chosen[:1]:
            self.speed_fractions[i] = 1.0
        self._next_start_at = now + _START_SPACING_US
        self.controller.track(
            self.controller.output if self.controller.output > 0 else self.config.safe_pct
        )

    def _request_all(self, speed: "float | None") -> None:
        """Request `speed` times its fraction from each pump; if none is available, `speed`."""
        available = [i for i in self.order if self._is_available(i)]
        for i, pump in enumerate(self.pumps):
            if i == self._reset_index:
                continue
            if not available or speed is None:
                self._move(pump, speed)
            elif self.speed_fractions[i] > 0 and i in available:
                lowest = self.config.min_pct if speed > self.config.min_pct else speed
                pump_speed = speed * self.speed_fractions[i]
                self._move(pump, pump_speed if pump_speed > lowest else lowest)
            else:
                self._move(pump, 0.0)


def _step_fraction(fraction: float, dt: float) -> float:
    """Return the speed fraction after `dt` seconds; negative `dt`: the pump stops."""
    rate = _SLOW_PER_S if fraction >= _CHECK_VALVE_OPENS else _FAST_PER_S
    fraction += rate * dt
    return 1.0 if fraction > 1.0 else 0.0 if fraction < 0.4 and dt < 0 else max(fraction, 0.4)
