"""The supply temperature loop: the facility water's valve holds the secondary supply.

PI on the supply temperature (warmer than the set-point opens the valve). Without a good reading the
valve goes to its declared safe opening; when readings return the loop takes over from there.
`override_pct` is an opening that somebody with a right to it (safety, an operating mode) asks for
instead of the loop's; it holds for one cycle, so that whoever falls silent lets go.
"""

from agent.control.law.pi import PiController

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.valve import ValveActuator
    from agent.core.config_records import LoopConfig
    from agent.fieldbus.sensor import PointSensor


class SupplyLoop:
    """Holds `config.setpoint` degrees Celsius with `valve`."""

    def __init__(self, config: "LoopConfig", sensor: "PointSensor", valve: "ValveActuator") -> None:
        self.config = config
        self.sensor = sensor
        self.valve = valve
        self.setpoint = config.setpoint
        self.at_fail_safe = True
        self.override_pct: float | None = None
        self._tuning_changed = False
        self._pi = PiController(
            config.gain, config.integral_s, config.min_pct, config.max_pct, config.rate_pct_per_s
        )

    def set_tuning(self, config: "LoopConfig") -> None:
        """Take another set-point and other settings, without a bump."""
        self.config = config
        self.setpoint = config.setpoint
        self._pi.set_tuning(
            config.gain, config.integral_s, config.min_pct, config.max_pct, config.rate_pct_per_s
        )
        self._tuning_changed = True

    def step(self, now: int, dt: float) -> None:
        """Advance by `dt` seconds and ask the valve for what is needed."""
        measured = self.sensor.value(now)
        override_pct, self.override_pct = self.override_pct, None
        if measured is None or override_pct is not None:
            self.at_fail_safe = True
            self.valve.request(self.config.safe_pct if override_pct is None else override_pct)
            return
        error = measured - self.setpoint
        if self.at_fail_safe:
            self.at_fail_safe = False
            self._pi.track(self._present_output(), error)
        elif self._tuning_changed:
            self._pi.track(self._pi.output, error)
        self._tuning_changed = False
        self.valve.request(self._pi.step(error, dt))

    def _present_output(self) -> float:
        position = self.valve.position()
        return self.config.safe_pct if position is None else position
