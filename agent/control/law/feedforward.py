"""The law of the supply temperature: the exchanger inverted, corrected by a small PI.

Not a loop: no sensor, no actuator, no time; `agent.control.law.cooling` gives it readings. How it goes:

    wanted supply  = set-point - correction
    share          = (return - wanted) / (return - facility)           what the exchanger must do
    opening        = the exchanger's table, read backwards             see `agent.control.law.exchanger`
    correction     = gain * error + integral                            kelvin, by the PI

So a change of load, of facility water or of flow moves the valve at once and by the right amount
(feed-forward), a kelvin of error moves it as far as a kelvin needs at that point of a curved
characteristic (gain scheduling), and the coolant that comes round again is not met as a new
disturbance. What the model has wrong (UA, flows, sensors) is the integral's; slowly, the share of
UA that is there is learned from the heat balance, so that the next change is met better.

Return temperature is taken a sensor's lag ahead, by the slope of its last readings. Anti-windup:
the integral rests while the output is held by a limit or its rate and the error pushes further, and
while the valve is still on its way. Within `_REST_K` the integral rests too: sensors resolve 0.1 K,
and an integral that hunts for less wears the valve. Only + - * / on floats.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.law.exchanger import Exchanger

_GAIN = 5 / 10
_INTEGRAL_S = 12.0
_MOST_K = 10.0
_REST_K = 11 / 100
_LEAST_RISE_K = 5 / 10
_SLOPES = 5
_SMOOTH_S = 10.0
_TUBE_K = 25 / 100
_LEARN_S = 400.0
_FLOW_LEARN_S = 120.0
_LEAST_SHARE, _MOST_SHARE = 3 / 10, 18 / 10
_CALM_K = 45 / 100
_CALM_S = 59.5  # seconds end between two steps: see docs/project/decisions.md, thresholds
_LEAST_SPAN_K = 295 / 100
_FAR_PCT = 3.0


class Steer:
    """Opening of the valve, percent, from temperatures and flow.

    `low` and `high` limit the opening, `rate` its change, percent a second. `lag_s` is the lag of
    the return temperature's sensor.
    """

    def __init__(
        self, exchanger: "Exchanger", low: float, high: float, rate: float, lag_s: float
    ) -> None:
        self.exchanger = exchanger
        self.low, self.high, self.rate = low, high, rate
        self.lag_s = lag_s
        self.output = low
        self.correction = 0.0
        self._integral = 0.0
        self._tracking = True
        self._returns: list[float] = []
        self._smooth = 0.0
        self._calm_s = 0.0

    def tune(self, low: float, high: float, rate: float) -> None:
        """Take other limits of the output."""
        self.low, self.high, self.rate = low, high, rate

    def track(self, opening: float) -> None:
        """Take over from `opening` without a bump: the next step starts from there."""
        self.output = opening
        self._tracking = True

    def step(
        self,
        setpoint: float,
        supply: float,
        back: float,
        facility: float,
        flow: float,
        position: "float | None",
        dt: float,
    ) -> float:
        """Advance by `dt` seconds: temperatures in degrees Celsius, flow in L/min, valve in %.

        `facility` is the facility water's temperature, `position` where the valve is, if known.
        """
        exchanger = self.exchanger
        exchanger.at(flow)
        error = supply - setpoint
        ahead = self._ahead(back, dt)
        span = ahead - facility
        if span < _LEAST_RISE_K:
            span = _LEAST_RISE_K
        if self._tracking:
            # The correction that asks for what is there now.
            self._tracking = False
            there = exchanger.share(self.output) * span - (ahead - setpoint)
            self._integral = _clip(there - _GAIN * error, _MOST_K)
        correction = _GAIN * error
        integral = self._integral
        if error > _REST_K or error < -_REST_K:
            integral = _clip(integral + correction * dt / _INTEGRAL_S, _MOST_K)
        self.correction = correction + integral
        wanted = exchanger.opening((ahead - setpoint + self.correction) / span)
        held = self._hold(wanted, dt)
        late = position is not None and not -_FAR_PCT < held - position < _FAR_PCT
        free = not late if held == wanted else (correction > 0) != (wanted > held)
        # The table ends with the valve: what is asked beyond its ends is not seen in `wanted`.
        if free and not (held >= self.high if correction > 0 else held <= self.low):
            self._integral = integral
        if position is not None:
            self._learn(supply, back, facility, position, dt)
        self.output = held
        return held

    def see_facility_flow(self, lpm: float, position: float, dt: float) -> None:
        """Learn from a meter how much the valve really lets through, L/min at an opening in %."""
        exchanger = self.exchanger
        table = exchanger.flow_at(position)
        if position > 10.0 and table > 0.0:
            scale = exchanger.scale * (1.0 + dt / _FLOW_LEARN_S * (lpm - table) / table)
            if _LEAST_SHARE < scale < _MOST_SHARE:
                exchanger.scale = scale

    def _hold(self, wanted: float, dt: float) -> float:
        most = self.rate * dt
        low, high = self.output - most, self.output + most
        wanted = low if wanted < low else high if wanted > high else wanted
        return self.low if wanted < self.low else self.high if wanted > self.high else wanted

    def _ahead(self, back: float, dt: float) -> float:
        """The return temperature behind its sensor's lag, from the slope of the last readings."""
        returns = self._returns
        returns.append(back)
        if len(returns) <= _SLOPES:
            self._smooth = back
            return back
        returns.pop(0)
        # Least squares over five equal steps: weights -2 -1 0 1 2, over 10.
        rise = 2.0 * (returns[4] - returns[0]) + returns[3] - returns[1]
        lead = self.lag_s * rise / (10.0 * dt)
        smooth = self._smooth + (back - self._smooth) * dt / (dt + _SMOOTH_S)
        if back - smooth > _TUBE_K:
            smooth = back - _TUBE_K
        elif smooth - back > _TUBE_K:
            smooth = back + _TUBE_K
        self._smooth = smooth
        return smooth + (lead if lead > _TUBE_K or lead < -_TUBE_K else 0.0)

    def _learn(
        self, supply: float, back: float, facility: float, position: float, dt: float
    ) -> None:
        """The share of UA that is there, from a calm heat balance."""
        returns = self._returns
        moved = returns[-1] - returns[0]
        if not -_CALM_K < moved < _CALM_K or not -3.0 < position - self.output < 3.0:
            self._calm_s = 0.0
            return
        self._calm_s += dt
        if self._calm_s < _CALM_S or back - facility < _LEAST_SPAN_K:
            return
        exchanger = self.exchanger
        model = exchanger.share(position)
        if model < 5 / 100:
            return
        seen = (back - supply) / (back - facility)
        fouling = exchanger.fouling * (1.0 + dt / _LEARN_S * (seen - model) / model)
        if _LEAST_SHARE < fouling < _MOST_SHARE:
            exchanger.fouling = fouling


def _clip(value: float, most: float) -> float:
    return most if value > most else -most if value < -most else value
