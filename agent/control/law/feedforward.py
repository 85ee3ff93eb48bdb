# SPDX-License-Identifier: Apache-2.0
"""Control law of the supply temperature: inverse of the exchanger model plus a PI correction.

Does not read sensors or write actuators; `agent.control.law.cooling` gives it readings. Equations:

    target supply = set-point - correction
    effectiveness = (return - target supply) / (return - fws_supply)
    position      = inverse of the exchanger table; see `agent.control.law.exchanger`
    correction    = gain * error + integral; kelvin

Feedforward: a change of load, facility water or flow moves the valve immediately by the right
amount. Gain scheduling: an error of 1 K moves the valve by the amount that 1 K needs at this
position. The return temperature is an input, so returning warm coolant is not a new disturbance.
The integral corrects errors of the model (UA, flows, sensors). `ua_factor` is learned slowly from
the heat balance.

Lag: the return temperature is extrapolated by the lag of its sensor from the slope of the last
readings. Anti-windup: the integral stops in two cases. The output is at a limit or at its rate and
the error pushes further, or the valve still moves. It also stops within `_DEADBAND_K`, because
sensors resolve 0.1 K and a hunting integral wears the valve. Only + - * / on floats.

Coolant that stands: the readings belong to no flow, so they show no error of the model. Below
`_LEAST_FLOW` the integral stands, and a transfer begins with 0: its output moves with `rate`.
"""

from agent.control.watch.load_wave import LoadWave
from agent.control.watch.valve_curve import ValveCurve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.law.exchanger import Exchanger

_GAIN = 5 / 10
_GENTLE_GAIN = 25 / 100
_INTEGRAL_S = 12.0
_TRANSIENT_SHARE = 4 / 10
_WAVE_SHARE = 2 / 10
_MAX_CORRECTION_K = 10.0
_LEAST_FLOW = 3 / 10
"""Part of the design flow."""
_DEADBAND_K = 21 / 100
_MIN_RISE_K = 5 / 10
_HISTORY_LENGTH = 5
_FILTER_S = 10.0
_FILTER_BAND_K = 25 / 100
_NOISE_S = 60.0
_NOISE_BANDS = 4.0
_RESOLUTION_K = 5 / 100
_UA_ADAPT_S = 400.0
_MIN_FACTOR, _MAX_FACTOR = 3 / 10, 18 / 10
_STEADY_K = 45 / 100
_STEADY_S = 59.5  # between whole steps of 1 s: see docs/project/decisions.md, thresholds
_MIN_SPAN_K = 295 / 100
_MOVING_PCT = 3.0


class FeedforwardControl:
    """Valve position in percent, from temperatures and flow.

    `low` and `high` limit the position, `rate` its change in percent per second. `lag_s` is the lag
    of the return temperature sensor in seconds.
    """

    def __init__(
        self, exchanger: "Exchanger", low: float, high: float, rate: float, lag_s: float
    ) -> None:
        self.exchanger = exchanger
        self.low, self.high, self.rate = low, high, rate
        self.lag_s = lag_s
        self.output = low
        self.correction = 0.0
        self._integral = self._last_integral = self._next_integral = 0.0
        self._tracking = True
        self._is_gentle = False
        self._may_integrate = True
        self._integral_share = 1.0
        self._return_history: list[float] = []
        self._filtered_c = self._noise_k = 0.0
        self._steady_s = 0.0
        self.valve_curve = ValveCurve(exchanger)
        self.wave = LoadWave()
        self._fws_lpm: float | None = None

    def set_limits(self, low: float, high: float, rate: float) -> None:
        """Set the limits of the output: percent, and percent per second."""
        self.low, self.high, self.rate = low, high, rate

    def set_gentle(self, is_gentle: bool) -> None:
        """Set the gentle mode, with bumpless transfer."""
        if is_gentle != self._is_gentle:
            self._is_gentle = is_gentle
            self._tracking = True

    def track(self, valve_pct: float) -> None:
        """Continue from `valve_pct` with bumpless transfer."""
        self.output = valve_pct
        self._tracking = True
        self.wave.stop()

    def limit(self, valve_pct: float) -> None:
        """Continue from `valve_pct`, to which a bound limited this step. The integral moves only
        away from the bound.
        """
        last, integral = self._last_integral, self._next_integral
        self._integral = last if (self.output > valve_pct) == (integral > last) else integral
        self.wave.stop()
        self.output = valve_pct

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
        """Advance by `dt` seconds. Return the valve position, percent.

        Temperatures in °C, flow in L/min. `fws_supply_c`: facility water temperature. `position`:
        measured valve position in percent; None: unknown.
        """
        exchanger = self.exchanger
        exchanger.update_table(flow_lpm)
        error = supply_c - setpoint
        compensated_c = self._compensate_lag(return_c, dt)
        wave = self.wave
        wave.step(return_c, supply_c, error, self._noise_k, dt)
        if wave.share > 0.0:
            compensated_c += wave.share * (setpoint + wave.rise_k - compensated_c)
            error += wave.share * (wave.error_k - error)
        span_k = max(compensated_c - fws_supply_c, _MIN_RISE_K)
        gain = _GENTLE_GAIN if self._is_gentle else _GAIN
        is_flowing = flow_lpm >= _LEAST_FLOW * exchanger.design_lpm
        correction = gain * error
        if self._tracking:
            # Bumpless: the correction that gives the present output.
            self._tracking = False
            present_k = exchanger.effectiveness(self.output) * span_k - (compensated_c - setpoint)
            present_k = present_k - correction if is_flowing else 0.0
            self._integral = _clip(present_k, _MAX_CORRECTION_K)
        integral = self._last_integral = self._integral
        is_steady = -_STEADY_K < self._return_history[-1] - self._return_history[0] < _STEADY_K
        error = wave.error_k if wave.active else error  # of a slow one too
        if is_flowing and not -_DEADBAND_K <= error <= _DEADBAND_K:
            # Towards 0, the integral that a bumpless transfer has left ends quickly.
            grows = (correction > 0.0) == (integral > 0.0)
            share = _TRANSIENT_SHARE if grows and not is_steady else 1.0
            share = _WAVE_SHARE if wave.active or self._is_gentle else share
            change_k = self._integral_share * share * gain * error * dt / _INTEGRAL_S
            integral = _clip(integral + change_k, _MAX_CORRECTION_K)
        self._next_integral = integral
        self.correction = correction + integral
        demand = exchanger.valve_for_effect((compensated_c - setpoint + self.correction) / span_k)
        limited = self._limit(demand, dt)
        valve_moving = position is not None and not -_MOVING_PCT < limited - position < _MOVING_PCT
        may_integrate = (
            not valve_moving if limited == demand else (correction > 0) != (demand > limited)
        )
        # The table ends at the valve limits, so `demand` cannot exceed them.
        may_integrate, self._may_integrate = may_integrate and self._may_integrate, True
        if may_integrate and not (limited >= self.high if correction > 0 else limited <= self.low):
            self._integral = integral
        if position is not None:
            self._update_fouling(supply_c, return_c, fws_supply_c, position, dt)
        self.output = limited
        return limited

    def steady_valve(
        self,
        setpoint: float,
        supply_c: float,
        return_c: float,
        fws_supply_c: float,
        position: float,
    ) -> float:
        """Return the position, percent, that gives `setpoint` at the present heat and flow.

        The readings, °C, are those of a steady plant with the valve at `position` percent: they
        correct the effectiveness of the model.
        """
        exchanger, span_k = self.exchanger, return_c - fws_supply_c
        model = exchanger.effectiveness(position)
        rise_k = return_c - supply_c
        wanted_k = setpoint + rise_k - fws_supply_c
        if span_k < _MIN_RISE_K or wanted_k < _MIN_RISE_K or rise_k <= 0.0 or model <= 0.0:
            return position
        required_effect = rise_k / wanted_k * model / (rise_k / span_k)
        valve_pct = exchanger.valve_for_effect(required_effect)
        return self.low if valve_pct < self.low else min(valve_pct, self.high)

    def hold_integral(self) -> None:
        """Do not integrate in the next step."""
        self._may_integrate = False

    def set_integral_share(self, share: float) -> None:
        """Set the speed of the integral: 1 is the usual one, 0 holds it."""
        self._integral_share = share

    def calibrate_valve_flow(self, lpm: float, position: float, dt: float) -> None:
        """Learn the flow factor of the valve from a flow meter: `lpm` at `position` percent."""
        self.valve_curve.learn(lpm, position, dt)
        self._fws_lpm = lpm

    def _limit(self, demand: float, dt: float) -> float:
        max_step = self.rate * dt
        low, high = self.output - max_step, self.output + max_step
        demand = low if demand < low else high if demand > high else demand
        return self.low if demand < self.low else self.high if demand > self.high else demand

    def _compensate_lag(self, return_c: float, dt: float) -> float:
        """Return the return temperature without sensor lag, from the slope of the last readings."""
        history = self._return_history
        history.append(return_c)
        if len(history) <= _HISTORY_LENGTH:
            self._filtered_c = return_c
            return return_c
        history.pop(0)
        # Least squares over five equal steps: weights -2 -1 0 1 2, divided by 10.
        slope = 2.0 * (history[4] - history[0]) + history[3] - history[1]
        lead_k = self.lag_s * slope / (10.0 * dt)
        filtered_c = self._filtered_c + (return_c - self._filtered_c) * dt / (dt + _FILTER_S)
        # Least noise: the second difference has no slope. Its mean is 1.95 standard deviations.
        noise_k = history[4] - 2.0 * history[3] + history[2]
        noise_k = noise_k / 1.95 if noise_k > 0.0 else -noise_k / 1.95
        most_k = 3.0 * self._noise_k + _RESOLUTION_K
        noise_k = most_k if noise_k > most_k else noise_k
        self._noise_k += dt / (dt + _NOISE_S) * (noise_k - self._noise_k)
        band_k = _NOISE_BANDS * self._noise_k
        band_k = _FILTER_BAND_K if band_k < _FILTER_BAND_K else band_k
        if return_c - filtered_c > band_k:
            filtered_c = return_c - band_k
        elif filtered_c - return_c > band_k:
            filtered_c = return_c + band_k
        self._filtered_c = filtered_c
        return filtered_c + (lead_k if lead_k > band_k or lead_k < -band_k else 0.0)

    def _update_fouling(
        self, supply_c: float, return_c: float, fws_supply_c: float, position: float, dt: float
    ) -> None:
        """Learn `ua_factor` from the heat balance while all values are steady."""
        history = self._return_history
        change = history[-1] - history[0]
        if not -_STEADY_K < change < _STEADY_K or not -3.0 < position - self.output < 3.0:
            self._steady_s = 0.0
            return
        self._steady_s += dt
        exchanger = self.exchanger
        if self._steady_s < _STEADY_S or return_c - fws_supply_c < _MIN_SPAN_K:
            return
        if not exchanger.may_learn_ua:
            return
        lpm, self._fws_lpm = self._fws_lpm, None
        model = (
            exchanger.effectiveness(position) if lpm is None else exchanger.effectiveness_of(lpm)
        )
        if model < 5 / 100:
            return
        measured = (return_c - supply_c) / (return_c - fws_supply_c)
        factor = exchanger.ua_factor * (1.0 + dt / _UA_ADAPT_S * (measured - model) / model)
        if _MIN_FACTOR < factor < _MAX_FACTOR:
            exchanger.set_ua_factor(factor)


def _clip(value: float, limit: float) -> float:
    return limit if value > limit else -limit if value < -limit else value
