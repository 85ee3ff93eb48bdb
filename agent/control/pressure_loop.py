# SPDX-License-Identifier: Apache-2.0
"""The differential pressure loop: one or two pumps, lead and lag, hold the secondary loop's dP.

PI on the dP (too little asks for more speed). One pump is the lead. The lag pump starts when the
lead is not available, and when the lead alone has run at its limit for `_LAG_START_DELAY`; it rests
again when both together have run below `_LAG_STOP_PCT` for `_LAG_STOP_DELAY`. Two running pumps get
the same speed. Without a good reading the pumps that are available run at the declared safe speed;
when readings return (or the agent was started again), as many pumps go on as were running. While
`arbiter` has a winner (an interlock, an operating mode), all pumps run at its output; 0 stops them.
"""

from agent.control.law.pi import PiController
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.arbiter import Arbiter
    from agent.control.pump import PumpActuator
    from agent.core.config_records import LoopConfig
    from agent.core.context import SensorView

_LAG_START_DELAY = 10 * SECOND
_LAG_STOP_DELAY = 120 * SECOND
_LAG_STOP_PCT = 55.0
"""Two pumps below this speed can be replaced by one below its limit on a quadratic system curve."""


class PressureLoop:
    """Holds `config.setpoint` kilopascal with `pumps` (lead first)."""

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
        self._tuning_changed = False
        self.lag_running = False
        self._stage_since: int | None = None
        self._pi = PiController(
            config.gain, config.integral_s, config.min_pct, config.max_pct, config.rate_pct_per_s
        )

    def set_tuning(self, config: "LoopConfig") -> None:
        """Take another set-point and other settings, with bumpless transfer."""
        self.config = config
        self.setpoint = config.setpoint
        self._pi.set_tuning(
            config.gain, config.integral_s, config.min_pct, config.max_pct, config.rate_pct_per_s
        )
        self._tuning_changed = True

    def set_setpoint(self, setpoint: float) -> None:
        """Take another set-point, kilopascal, until the next `set_tuning`."""
        self.setpoint = setpoint

    def step(self, now: int, dt: float) -> None:
        """Advance by `dt` seconds and ask the pumps for what is needed."""
        measured = self.sensor.value(now)
        claim = None if self.arbiter is None else self.arbiter.winner()
        if measured is None or claim is not None:
            self.at_fail_safe = True
            self._stage_since = None
            self._request_pumps(self.config.safe_pct if claim is None else claim.output)
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
        self._stage_lag_pump(speed, now)
        self._request_pumps(speed)

    def _running_speeds(self) -> "list[float]":
        """The speeds of the pumps that turn."""
        speeds = [pump.speed() for pump in self.pumps]
        return [speed for speed in speeds if speed is not None and speed > 0]

    def _stage_lag_pump(self, speed: float, now: int) -> None:
        """Bring the lag pump in or let it rest, when the reason has lasted."""
        if self.lag_running:
            due, delay = speed < _LAG_STOP_PCT, _LAG_STOP_DELAY
        else:
            due, delay = speed >= self.config.max_pct, _LAG_START_DELAY
        if not due:
            self._stage_since = None
        elif self._stage_since is None:
            self._stage_since = now
        elif now - self._stage_since >= delay:
            self.lag_running = not self.lag_running
            self._stage_since = None

    def _request_pumps(self, speed: float) -> None:
        """Give `speed` to the pumps that should run, 0 to the others.

        When none is available all are asked, so that the pump that returns (or receives without an
        answer) runs.
        """
        pump_count = len(self.pumps) if self.lag_running or self.at_fail_safe else 1
        chosen = [pump for pump in self.pumps if pump.available()][:pump_count] or self.pumps
        for pump in self.pumps:
            pump.request(speed if pump in chosen else 0.0)
