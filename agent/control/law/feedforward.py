# SPDX-License-Identifier: Apache-2.0
"""The law of the supply temperature: the exchanger inverted, corrected by a small PI.

Not a loop: no sensor, no actuator, no time; `agent.control.law.cooling` gives it readings. How it
goes:

    wanted supply  = set-point - correction
    share          = (return - wanted) / (return - facility)           what the exchanger must do
    opening        = the exchanger's table, read backwards             see
    `agent.control.law.exchanger`
    correction     = gain * error + integral                            kelvin, by the PI

So a change of load, of facility water or of flow moves the valve immediately and by the right
amount (feed-forward), a kelvin of error moves it as far as a kelvin needs at that point of a curved
characteristic (gain scheduling), and the coolant that comes round again is not met as a new
disturbance. What the model has wrong (UA, flows, sensors) is the integral's; slowly, the share of
UA that is there is learned from the heat balance, so that the next change is met better.

Return temperature is taken a sensor's lag ahead, by the slope of its last readings. Anti-windup:
the integral rests while the output is held by a limit or its rate and the error pushes further, and
while the valve is still on its way. Within `_DEADBAND_K` the integral rests too: sensors resolve
0.1 K, and an integral that hunts for less wears the valve. Only + - * / on floats.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.law.exchanger import Exchanger

_GAIN = 5 / 10
_INTEGRAL_S = 12.0
_MAX_CORRECTION_K = 10.0
_DEADBAND_K = 11 / 100
_MIN_RISE_K = 5 / 10
_HISTORY_LENGTH = 5
_FILTER_S = 10.0
_FILTER_BAND_K = 25 / 100
_UA_ADAPT_S = 400.0
_FLOW_ADAPT_S = 120.0
_MIN_FACTOR, _MAX_FACTOR = 3 / 10, 18 / 10
_STEADY_K = 45 / 100
_STEADY_S = 59.5  # seconds end between two steps: see docs/project/decisions.md, thresholds
_MIN_SPAN_K = 295 / 100
_MOVING_PCT = 3.0


class FeedforwardControl:
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
        self._return_history: list[float] = []
        self._filtered_c = 0.0
        self._steady_s = 0.0

    def set_limits(self, low: float, high: float, rate: float) -> None:
        """Take other limits of the output."""
        self.low, self.high, self.rate = low, high, rate

    def track(self, valve_pct: float) -> None:
        """Take over from `valve_pct` with bumpless transfer: the next step starts from there."""
        self.output = valve_pct
        self._tracking = True

    def step(
        self,
        setpoint: float,
        supply_c: float,
        return_c: float,
        fws_supply_c: float,
        flow_lpm: float,
        position: "float | None",
        dt: float,
    ) -> float:
        """Advance by `dt` seconds: temperatures in degrees Celsius, flow in L/min, valve in %.

        `fws_supply_c` is the facility water's temperature, `position` where the valve is, if known.
        """
        exchanger = self.exchanger
        exchanger.update_table(flow_lpm)
        error = supply_c - setpoint
        compensated_c = self._compensate_lag(return_c, dt)
        span_k = compensated_c - fws_supply_c
        if span_k < _MIN_RISE_K:
            span_k = _MIN_RISE_K
        if self._tracking:
            # The correction that asks for what is there now.
            self._tracking = False
            present_k = exchanger.effectiveness(self.output) * span_k - (compensated_c - setpoint)
            self._integral = _clip(present_k - _GAIN * error, _MAX_CORRECTION_K)
        correction = _GAIN * error
        integral = self._integral
        if error > _DEADBAND_K or error < -_DEADBAND_K:
            integral = _clip(integral + correction * dt / _INTEGRAL_S, _MAX_CORRECTION_K)
        self.correction = correction + integral
        demand = exchanger.valve_for_effect((compensated_c - setpoint + self.correction) / span_k)
        limited = self._limit(demand, dt)
        valve_moving = position is not None and not -_MOVING_PCT < limited - position < _MOVING_PCT
        may_integrate = (
            not valve_moving if limited == demand else (correction > 0) != (demand > limited)
        )
        # The table ends with the valve: what is asked beyond its ends is not seen in `demand`.
        if may_integrate and not (limited >= self.high if correction > 0 else limited <= self.low):
            self._integral = integral
        if position is not None:
            self._update_fouling(supply_c, return_c, fws_supply_c, position, dt)
        self.output = limited
        return limited

    def calibrate_valve_flow(self, lpm: float, position: float, dt: float) -> None:
        """Learn from a meter how much the valve really lets through, L/min at an opening in %."""
        exchanger = self.exchanger
        model_lpm = exchanger.flow_at(position)
        if position > 10.0 and model_lpm > 0.0:
            factor = exchanger.valve_flow_factor * (
                1.0 + dt / _FLOW_ADAPT_S * (lpm - model_lpm) / model_lpm
            )
            if _MIN_FACTOR < factor < _MAX_FACTOR:
                exchanger.set_flow_factor(factor)

    def _limit(self, demand: float, dt: float) -> float:
        max_step = self.rate * dt
        low, high = self.output - max_step, self.output + max_step
        demand = low if demand < low else high if demand > high else demand
        return self.low if demand < self.low else self.high if demand > self.high else demand

    def _compensate_lag(self, return_c: float, dt: float) -> float:
        """The return temperature behind its sensor's lag, from the slope of the last readings."""
        history = self._return_history
        history.append(return_c)
        if len(history) <= _HISTORY_LENGTH:
            self._filtered_c = return_c
            return return_c
        history.pop(0)
        # Least squares over five equal steps: weights -2 -1 0 1 2, over 10.
        slope = 2.0 * (history[4] - history[0]) + history[3] - history[1]
        lead_k = self.lag_s * slope / (10.0 * dt)
        filtered_c = self._filtered_c + (return_c - self._filtered_c) * dt / (dt + _FILTER_S)
        if return_c - filtered_c > _FILTER_BAND_K:
            filtered_c = return_c - _FILTER_BAND_K
        elif filtered_c - return_c > _FILTER_BAND_K:
            filtered_c = return_c + _FILTER_BAND_K
        self._filtered_c = filtered_c
        return filtered_c + (lead_k if lead_k > _FILTER_BAND_K or lead_k < -_FILTER_BAND_K else 0.0)

    def _update_fouling(
        self, supply_c: float, return_c: float, fws_supply_c: float, position: float, dt: float
    ) -> None:
        """The share of UA that is there, from a calm heat balance."""
        history = self._return_history
        change = history[-1] - history[0]
        if not -_STEADY_K < change < _STEADY_K or not -3.0 < position - self.output < 3.0:
            self._steady_s = 0.0
            return
        self._steady_s += dt
        if self._steady_s < _STEADY_S or return_c - fws_supply_c < _MIN_SPAN_K:
            return
        exchanger = self.exchanger
        model = exchanger.effectiveness(position)
        if model < 5 / 100:
            return
        measured = (return_c - supply_c) / (return_c - fws_supply_c)
        factor = exchanger.ua_factor * (1.0 + dt / _UA_ADAPT_S * (measured - model) / model)
        if _MIN_FACTOR < factor < _MAX_FACTOR:
            exchanger.set_ua_factor(factor)


def _clip(value: float, limit: float) -> float:
    return limit if value > limit else -limit if value < -limit else value
