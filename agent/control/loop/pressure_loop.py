# SPDX-License-Identifier: Apache-2.0
"""Differential pressure loop: one or two pumps, lead and lag, control the secondary dP.

Does not rotate the lead and has only dP as its mode; see `agent.control.pump_group`.

A PI controller on dP: low dP increases the speed. The lag pump starts in two cases: the lead is not
available, or the lead alone runs at its limit for `_LAG_START_DELAY_US`. The lag pump stops after
both have run below `_LAG_STOP_PCT` for `_LAG_STOP_DELAY_US`. Two running pumps get the same speed.

A bound, a fail-safe time or another pump at fault can start the lag pump too. Then one pump has
been enough before: the lag pump also stops if both run at most as fast as that pump alone did while
it held the set-point. After a start because one pump was not enough, only `_LAG_STOP_PCT` counts.

Without a good reading, the available pumps run at the fail-safe speed. When readings return, or
after a restart of the agent, the same number of pumps continues to run.

The pumps get the output of `arbiter`. While an exact claim wins (an interlock, an operating mode),
all pumps run at its output; 0 stops them. While a bound limits the speed, the loop continues from
the limited speed. A lower bound above the speed of the loop also starts the lag pump. A drive in
local mode gets no writes.
"""

from agent.control.law.pi import PiController
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.actuator.arbiter import Arbiter
    from agent.control.actuator.pump import PumpActuator
    from agent.core.config_records import LoopConfig
    from agent.core.context import SensorView

_LAG_START_DELAY_US = 10 * SECOND
_LAG_STOP_DELAY_US = 120 * SECOND
_LAG_STOP_PCT = 55.0
"""Percent. Below it, one pump below its limit can replace two on a quadratic system curve."""
_HELD_PART = 20
"""The set-point is held if the error is below this part of it: a twentieth."""


class PressureLoop:
    """Controls dP to `config.setpoint`, kPa, with `pumps` (lead first)."""

    def __init__(
        self,
        config: "LoopConfig",
        sensor: "SensorView",
        pumps: "list[PumpActuator]",
        arbiter: "Arbiter | None" = None,
    ) -> None:
        self.config = config
        self.sensor = sensor
        self.pumps = pumps
        self.setpoint = config.setpoint
        self.at_fail_safe = True
        self.arbiter = arbiter
        self._tuning_changed = self._is_optimised = False
        self.lag_running = False
        self._stage_since: int | None = None
        self._alone_pct: float | None = None  # speed at which one pump held the set-point
        self._pi = PiController(
            config.gain, config.integral_s, config.min_pct, config.max_pct, config.rate_pct_per_s
        )

    def set_tuning(self, config: "LoopConfig") -> None:
        """Set the set-point and the other settings, with bumpless transfer. A set-point that the
        optimiser moves stays in force; its target is another one.
        """
        self.config = config
        if not self._is_optimised:
            self.setpoint = config.setpoint
        self._pi.set_tuning(
            config.gain, config.integral_s, config.min_pct, config.max_pct, config.rate_pct_per_s
        )
        self._tuning_changed = True

    def set_setpoint(self, setpoint: float) -> None:
        """Set the set-point, kPa; from now on only this moves it."""
        self.setpoint = setpoint
        self._is_optimised = True

    def step(self, now: int, dt: float) -> None:
        """Advance by `dt` seconds and request the pump speeds."""
        measured = self.sensor.value(now)
        if measured is None or self._is_claimed():
            self.at_fail_safe = True
            self._stage_since = None
            self._request_pumps(self._decide(self.config.safe_pct))
            return
        error = self.setpoint - measured
        if self.at_fail_safe:
            self.at_fail_safe = False
            speeds = self._running_speeds()
            self.lag_running = len(speeds) > 1
            self._pi.track(max(speeds) if speeds else self.config.safe_pct, error)
        elif self._tuning_changed:
            self._pi.track(self._pi.output, error)
        self._tuning_changed = False
        speed = self._pi.step(error, dt)
        self._stage_lag_pump(speed, self._is_held(error, self.setpoint), now)
        decided = self._decide(speed)
        if decided is not None and decided != speed:
            self._pi.track(decided, error)
        self._request_pumps(decided)

    def request_safe(self) -> None:
        """Request the safe speed, within the claims: `step` has raised an exception."""
        self.at_fail_safe = True
        self._request_pumps(self._decide(self.config.safe_pct))

    def _is_claimed(self) -> bool:
        return self.arbiter is not None and self.arbiter.winner() is not None

    def _decide(self, speed: float) -> "float | None":
        """Return the speed of this cycle for a `speed` of the loop; None: no writes."""
        arbiter = self.arbiter
        if arbiter is None:
            return speed
        output: float | None = arbiter.decide(speed).output
        if arbiter.raised:
            self.lag_running, self._stage_since = True, None
        return output

    def _is_locked(self, pump: "PumpActuator") -> bool:
        return self.arbiter is not None and pump.session.name in self.arbiter.locked

    def _move(self, pump: "PumpActuator", speed: "float | None") -> None:
        if speed is None or self._is_locked(pump):
            pump.withhold()
        else:
            pump.request(speed)

    def _running_speeds(self) -> "list[float]":
        """Return the speeds of the running pumps, percent."""
        speeds = [pump.speed() for pump in self.pumps]
        return [speed for speed in speeds if speed is not None and speed > 0]

    def _is_held(self, error: float, setpoint: float) -> bool:
        return -setpoint < _HELD_PART * error < setpoint

    def _stage_lag_pump(self, speed: float, is_held: bool, now: int) -> None:
        """Start or stop the lag pump after its condition was true for its delay."""
        if self.lag_running:
            alone = self._alone_pct
            due = speed < _LAG_STOP_PCT or (alone is not None and speed <= alone)
            delay = _LAG_STOP_DELAY_US
        else:
            due, delay = speed >= self.config.max_pct, _LAG_START_DELAY_US
            if is_held and not due:
                self._alone_pct = speed
        if not due:
            self._stage_since = None
        elif self._stage_since is None:
            self._stage_since = now
        elif now - self._stage_since >= delay:
            if not self.lag_running:
                self._alone_pct = None  # one pump is not enough
            self.lag_running = not self.lag_running
            self._stage_since = None

    def _request_pumps(self, speed: "float | None") -> None:
        """Request `speed` from the selected pumps, and 0 from the others.

        If no pump is available, all get the request. So a returning pump runs, and also a pump that
        receives requests but does not answer.
        """
        pump_count = len(self.pumps) if self.lag_running or self.at_fail_safe else 1
        available = [p for p in self.pumps if p.available() and not self._is_locked(p)]
        chosen = available[:pump_count] or self.pumps
        for pump in self.pumps:
            self._move(pump, speed if pump in chosen else 0.0)
