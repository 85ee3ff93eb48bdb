"""The supply temperature loop: the facility water's valve holds the secondary supply.

PI on the supply temperature (warmer than the set-point opens the valve). Without a good reading the
valve goes to its declared safe opening; when readings return the loop takes over from there.
`forced` is an opening that somebody with a right to it (safety, an operating mode) asks for instead
of the loop's; it holds for one cycle, so that whoever falls silent lets go.
"""

from agent.control.law.pi import Pi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.valve import Valve
    from agent.core.config_records import LoopConfig
    from agent.fieldbus.sensor import Sensor


class SupplyLoop:
    """Holds `config.setpoint` degrees Celsius with `valve`."""

    def __init__(self, config: "LoopConfig", sensor: "Sensor", valve: "Valve") -> None:
        self.config = config
        self.sensor = sensor
        self.valve = valve
        self.setpoint = config.setpoint
        self.safe = True
        self.forced: float | None = None
        self._retuned = False
        self._pi = Pi(
            config.gain, config.integral_s, config.min_pct, config.max_pct, config.rate_pct_per_s
        )

    def retune(self, config: "LoopConfig") -> None:
        """Take another set-point and other settings, without a bump."""
        self.config = config
        self.setpoint = config.setpoint
        self._pi.tune(
            config.gain, config.integral_s, config.min_pct, config.max_pct, config.rate_pct_per_s
        )
        self._retuned = True

    def step(self, now: int, dt: float) -> None:
        """Advance by `dt` seconds and ask the valve for what is needed."""
        measured = self.sensor.value(now)
        forced, self.forced = self.forced, None
        if measured is None or forced is not None:
            self.safe = True
            self.valve.ask(self.config.safe_pct if forced is None else forced)
            return
        error = measured - self.setpoint
        if self.safe:
            self.safe = False
            self._pi.track(self._present(), error)
        elif self._retuned:
            self._pi.track(self._pi.output, error)
        self._retuned = False
        self.valve.ask(self._pi.step(error, dt))

    def _present(self) -> float:
        position = self.valve.position()
        return self.config.safe_pct if position is None else position
