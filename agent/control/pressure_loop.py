"""The differential pressure loop: one or two pumps, lead and lag, hold the secondary loop's dP.

PI on the dP (too little asks for more speed). One pump is the lead. The lag pump starts when the
lead is not available, and when the lead alone has run at its limit for `_HELP_AFTER`; it rests
again when both together have run below `_ENOUGH_PCT` for `_REST_AFTER`. Two running pumps get the
same speed. Without a good reading the pumps that are available run at the declared safe speed; when
readings return (or the agent was started again), as many pumps go on as were running. `forced` is a
speed that somebody with a right to it asks of all pumps, for one cycle; 0 stops them.
"""

from agent.control.law.pi import Pi
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.pump import Pump
    from agent.core.config_records import LoopConfig
    from agent.fieldbus.sensor import Difference, Sensor

_HELP_AFTER = 10 * SECOND
_REST_AFTER = 120 * SECOND
_ENOUGH_PCT = 55.0
"""Two pumps below this speed can be replaced by one below its limit on a quadratic system curve."""


class PressureLoop:
    """Holds `config.setpoint` kilopascal with `pumps` (lead first)."""

    def __init__(
        self, config: "LoopConfig", sensor: "Sensor | Difference", pumps: "list[Pump]"
    ) -> None:
        self.config = config
        self.sensor = sensor
        self.pumps = pumps
        self.setpoint = config.setpoint
        self.safe = True
        self.forced: float | None = None
        self._retuned = False
        self.helping = False
        self._since: int | None = None
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
        """Advance by `dt` seconds and ask the pumps for what is needed."""
        measured = self.sensor.value(now)
        forced, self.forced = self.forced, None
        if measured is None or forced is not None:
            self.safe = True
            self._since = None
            self._ask(self.config.safe_pct if forced is None else forced)
            return
        error = self.setpoint - measured
        if self.safe:
            self.safe = False
            speeds = self._speeds()
            self.helping = len(speeds) > 1
            self._pi.track(max(speeds) if speeds else self.config.safe_pct, error)
        elif self._retuned:
            self._pi.track(self._pi.output, error)
        self._retuned = False
        speed = self._pi.step(error, dt)
        self._stage(speed, now)
        self._ask(speed)

    def _speeds(self) -> "list[float]":
        """The speeds of the pumps that turn."""
        speeds = [pump.speed() for pump in self.pumps]
        return [s for s in speeds if s is not None and s > 0]

    def _stage(self, speed: float, now: int) -> None:
        """Bring the lag pump in or let it rest, when the reason has lasted."""
        if self.helping:
            due, after = speed < _ENOUGH_PCT, _REST_AFTER
        else:
            due, after = speed >= self.config.max_pct, _HELP_AFTER
        if not due:
            self._since = None
        elif self._since is None:
            self._since = now
        elif now - self._since >= after:
            self.helping = not self.helping
            self._since = None

    def _ask(self, speed: float) -> None:
        """Give `speed` to the pumps that should run, 0 to the others.

        When none is available all are asked, so that whichever returns (or hears us, though we do
        not hear it) runs.
        """
        wanted = len(self.pumps) if self.helping or self.safe else 1
        chosen = [pump for pump in self.pumps if pump.available()][:wanted] or self.pumps
        for pump in self.pumps:
            pump.ask(speed if pump in chosen else 0.0)
