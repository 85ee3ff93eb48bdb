"""The supply temperature loop with the exchanger's model: `SupplyLoop` with a better law.

As the plain loop, it asks for its declared safe opening without a supply reading, and takes over
without a bump. While one of the other readings that the model needs is missing (return, facility
water, flow), the plain PI goes on from where the valve is. The opening is sent when it has moved by
what the actuator resolves, twice that to turn back: a valve wears by travel and by reversals.
"""

from agent.control.supply_loop import SupplyLoop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.law.cooling import Cooling, Readings
    from agent.core.config_records import LoopConfig

_RESOLUTION_PCT = 0.5
_TURN_PCT = 1.0


class SteeredLoop(SupplyLoop):
    """Takes the place of `plain`; `cooling` holds the law, `readings` is filled by its owner."""

    def __init__(self, plain: SupplyLoop, cooling: "Cooling", readings: "Readings") -> None:
        super().__init__(plain.config, plain.sensor, plain.valve)
        self.cooling = cooling
        self.readings = readings
        self._asked: float | None = None
        self._rising = True
        self._plain = False

    def retune(self, config: "LoopConfig") -> None:
        """Take another set-point and other limits, without a bump."""
        super().retune(config)
        self.cooling.wanted_c = config.setpoint
        self.cooling.steer.tune(config.min_pct, config.max_pct, config.rate_pct_per_s)

    def step(self, now: int, dt: float) -> None:
        """Advance by `dt` seconds and ask the valve for what is needed."""
        cooling, readings = self.cooling, self.readings
        self.setpoint = cooling.setpoint_c
        known = readings.supply_c is not None and readings.return_c is not None
        known = known and readings.facility_c is not None and readings.flow_lpm is not None
        if self.forced is not None or readings.supply_c is None or not known:
            super().step(now, dt)
            self._plain = True
            self._asked = None
            return
        if self.safe or self._plain:
            cooling.valve_pct = self._present()
            cooling.steer.track(cooling.valve_pct)
            self.safe = self._plain = False
        cooling.hold_supply(readings, dt)
        self._pi.track(cooling.valve_pct, readings.supply_c - self.setpoint)
        self._ask(cooling.valve_pct)

    def _ask(self, opening: float) -> None:
        asked = self._asked
        if asked is not None and opening not in (self.config.min_pct, self.config.max_pct):
            rising = opening > asked
            least = _RESOLUTION_PCT if rising == self._rising else _TURN_PCT
            if -least < opening - asked < least:
                self.valve.ask(asked)
                return
            self._rising = rising
        self._asked = opening
        self.valve.ask(opening)
