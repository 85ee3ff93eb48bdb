# SPDX-License-Identifier: Apache-2.0
"""The control laws of one unit as one object: readings in, outputs out, no bytes.

Does not read sensors or write actuators; `agent.control.component` does. Does not decide trips. It
connects the laws:

- the valve controls the supply temperature (`agent.control.law.feedforward`);
- the fans move the valve to its mid-range position (`agent.control.law.fan`);
- the dew point limits the set-point from below (`agent.control.law.dew_point`);
- the optimiser moves the set-points (`agent.control.law.optimum.optimizer`).

    cooling.optimise(readings, now); cooling.ramp_setpoint(now, dt); cooling.step_fans(readings, dt)

An unknown reading is None. A law without a necessary reading keeps its output; the caller then
controls without it (`agent.control.loop.supply_feedforward`).
"""

from agent.control.law.exchanger import Exchanger
from agent.control.law.feedforward import FeedforwardControl
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.control.law.dew_point import DewPointLimit
    from agent.control.law.fan import FanControl, WetPads
    from agent.control.law.optimum.dp_ramp import DpRamp
    from agent.control.law.optimum.optimizer import SetpointOptimizer
    from agent.control.law.optimum.peak_load import PeakLoad

_SETPOINT_K_S = 1 / 50
_COLD_K_S = 1 / 5
"""The same for the coldest supply that the dew point permits."""
_OPTIMUM_K_S = 1 / 300
"""The same for a change that the optimiser wants: the fans and the facility water follow within
minutes. A faster rise would shut the valve, and open it again when they have followed. A fall is
slow only while the cases are `_RESERVE_K` below their limit.
"""
_RESERVE_K = 1.0
_FAN_PERIOD_S = 9.5
"""10 s less half a step of 1 s, so that rounding of a time does not change the step."""
_RETRY_US, _GAP_US = 15 * SECOND, 330 * SECOND
"""Without air or load the last optimum stays for `_GAP_US` after it is due."""
_VALVE_BAND_PCT = 2.0
"""Least move of the mid-range position: each move is travel of the valve."""
_STEADY_K = 29 / 100


class ControlReadings:
    """Readings of one cycle; None: unknown. Units are in the names: °C, L/min, kPa, %, kW, W.

    `is_usual`: False if a reading is suspect, or an estimate, or the row is not the usual one. Then
    the models do not adapt. `lowest_supply_c`: the supply by the reading that shows the lowest.
    `lowest_reading_c`: the lowest of supply, return and facility return as they were read.
    `fws_shown_c`: facility water by a reading that no relation accuses, also an unproven one.
    `low_flow_k`: see `agent.control.law.plausibility`. `is_fws_flow_unproven` and
    `fws_proof_lpm`: see `agent.control.law.row.facility_check`.
    """

    def __init__(self) -> None:
        self.supply_c: float | None = None
        self.lowest_supply_c: float | None = None
        self.lowest_reading_c: float | None = None
        self.return_c: float | None = None
        self.fws_supply_c: float | None = None
        self.fws_shown_c: float | None = None
        self.fws_return_c: float | None = None
        self.flow_lpm: float | None = None
        self.dp_kpa: float | None = None
        self.valve_pct: float | None = None
        self.pump_pct: float | None = None
        self.fws_flow_lpm: float | None = None
        self.air_c: float | None = None
        self.adiabatic_air_c: float | None = None
        self.load_kw: float | None = None
        self.pump_w: float | None = None
        self.is_usual = True
        self.is_fws_flow_unproven = False
        self.fws_proof_lpm: float | None = None
        self.low_flow_k = 0.0


def clear_readings(readings: ControlReadings) -> None:
    """Set all readings to unknown."""
    ControlReadings.__init__(readings)


class CoolingControl:
    """The control laws of one unit. `settings` has these sections:

    `exchanger` (see `Exchanger`), `supply` {setpoint_c, low_c, high_c, min_pct, max_pct,
    rate_pct_per_s, lag_s}. Optional sections: `dew` (see `DewPointLimit`), `fans` {min_pct,
    max_pct, middle_pct, rate_pct_per_s, wet_above_c}, `optimum` (see `SetpointOptimizer`; also
    `every_s`, `design_kw`).

    Outputs: `valve_pct`, `fan_pct`, `adiabatic_on` (water on the pads or in the tower).
    The cooler wets its pads by its own thermostat at `wet_above_c`; the unit only follows it.
    `min_setpoint_c`: limit by the dew point. `setpoint_c`: the present set-point.
    """

    def __init__(self, settings: "dict[str, Any]") -> None:
        self.settings = settings
        supply = settings["supply"]
        self.exchanger = Exchanger(settings["exchanger"])
        self.feedforward = FeedforwardControl(
            self.exchanger,
            supply["min_pct"],
            supply["max_pct"],
            supply["rate_pct_per_s"],
            supply["lag_s"],
        )
        self.dew_limit: DewPointLimit | None = None
        self.target_c: float = supply["setpoint_c"]
        self.setpoint_c = self.target_c
        self.min_setpoint_c: float | None = None
        self.uncertainty_k = self.low_flow_k = 0.0
        self.is_cold_wanted = False
        self.valve_pct = self.fan_pct = 0.0
        self.optimizer: SetpointOptimizer | None = None
        self.peak_load: PeakLoad | None = None
        self._dp_ramp: DpRamp | None = None
        self.fans: FanControl | None = None
        self.pads: WetPads | None = None
        self._fan_elapsed_s = 0.0
        self._optimize_due = 0
        self._optimum_valid_until = 0
        self.optimal_pump_pct: float | None = None
        self._build_options(settings)

    def _build_options(self, settings: "dict[str, Any]") -> None:
        """Add the configured options. Code of the other options is not loaded."""
        if "dew" in settings:
            from agent.control.law.dew_point import DewPointLimit  # noqa: PLC0415 - only with its section

            self.dew_limit = DewPointLimit(settings["dew"])
        if "fans" in settings:
            from agent.control.law.fan import FanControl, WetPads  # noqa: PLC0415 - only with its section

            fans = settings["fans"]
            self.pads = WetPads(fans.get("wet_above_c"))
            self.fans = FanControl(fans["min_pct"], fans["max_pct"], fans["rate_pct_per_s"])
            self._valve_target_pct: float = fans["middle_pct"]
        if "optimum" in settings:
            from agent.control.law.optimum.dp_ramp import DpRamp  # noqa: PLC0415 - only with its section
            from agent.control.law.optimum.optimizer import SetpointOptimizer  # noqa: PLC0415 - only with its section
            from agent.control.law.optimum.peak_load import PeakLoad  # noqa: PLC0415

            model = settings["optimum"]
            self.optimizer = SetpointOptimizer(model, self.exchanger, model["design_kw"])
            self.peak_load = PeakLoad(int(model["every_s"]) * SECOND)
            self._dp_ramp = DpRamp(self.optimizer)

    def set_target(self, target_c: float) -> None:
        """Set the end value of the set-point ramp, °C."""
        self.target_c = target_c

    def want_cold(self, is_cold_wanted: bool) -> None:
        """Choose whether the set-point goes to the dew-point limit, but not below `low_c`."""
        self.is_cold_wanted = is_cold_wanted

    def set_uncertainty(self, kelvin: float, low_flow_k: float = 0.0) -> None:
        """Set the uncertainty of an estimated supply: it raises the dew-point limit. So does
        `low_flow_k` (`agent.control.law.plausibility`), which is no reason to shut the valve.
        """
        self.uncertainty_k, self.low_flow_k = kelvin, low_flow_k

    def track_valve(self, valve_pct: float) -> None:
        """Continue from the present valve position, with bumpless transfer."""
        self.valve_pct = valve_pct
        self.feedforward.track(valve_pct)

    def limit_valve(self, valve_pct: float) -> None:
        """Continue from `valve_pct`, to which a bound limited the output of this step."""
        self.valve_pct = valve_pct
        self.feedforward.limit(valve_pct)

    def add_humidity(self, i: int, air_c: "float | None", rh_pct: "float | None", now: int) -> None:
        """Add a reading of humidity sensor `i`: °C and % RH; None: unknown."""
        if self.dew_limit is not None:
            self.dew_limit.add_reading(i, air_c, rh_pct, now)

    def optimise(self, readings: ControlReadings, now: int) -> None:
        """Update `target_c` and `optimal_pump_pct` by the optimiser every `every_s` seconds."""
        peak_load = self.peak_load
        if self.optimizer is None or peak_load is None:
            return
        peak_load.add_heat(self._heat_kw(readings), now)
        load_kw = peak_load.load_kw(readings.load_kw)
        if load_kw is not None and peak_load.add(load_kw, now):
            self._optimize_due = now
        if now >= self._optimize_due:
            self._run_optimizer(readings, now)

    def optimal_dp_kpa(self, design_kpa: float) -> float:
        """Return the dP for the flow of the optimiser, kPa: proportional to the flow squared.

        `design_kpa`: dP at the design flow; also the result without a speed of the optimiser.
        """
        optimizer, speed = self.optimizer, self.optimal_pump_pct
        if optimizer is None or speed is None:
            return design_kpa
        fraction = optimizer.flow_lpm(speed) / self.exchanger.design_lpm
        target_kpa = design_kpa * fraction * fraction
        min_kpa: float = optimizer.model["dp_min_kpa"]
        max_kpa: float = optimizer.model.get("dp_max_kpa", design_kpa)
        return max(min(target_kpa, max_kpa), min_kpa)

    def ramp_dp(self, kpa: float, design_kpa: float, readings: ControlReadings, dt: float) -> float:
        """Return the dP set-point `dt` seconds after `kpa`, on the way to the optimum, kPa."""
        ramp, peak_load = self._dp_ramp, self.peak_load
        target_kpa = self.optimal_dp_kpa(design_kpa)
        if ramp is None or peak_load is None:
            return target_kpa
        load_kw = peak_load.load_kw(readings.load_kw)
        return ramp.step(kpa, target_kpa, design_kpa, readings.supply_c, load_kw, dt)

    def ramp_setpoint(self, now: int, dt: float) -> None:
        """Move the set-point to the target. It is never below the dew-point limit or above
        `high_c`: a higher limit raises it immediately.
        """
        target_c = self.target_c
        supply = self.settings["supply"]
        if self.dew_limit is not None:
            min_c = self.dew_limit.min_setpoint_c(now, dt)
            if min_c is not None:
                min_c += self.uncertainty_k + self.low_flow_k
                if self.is_cold_wanted:
                    target_c = min(target_c, supply["low_c"])
                target_c = max(target_c, min_c)
            self.min_setpoint_c = min_c
        # overheating has priority over condensation
        target_c = min(target_c, supply["high_c"])
        is_slow = self.optimal_pump_pct is not None and (
            target_c > self.setpoint_c or self._has_reserve()
        )
        max_step = (_OPTIMUM_K_S if is_slow else _SETPOINT_K_S) * dt
        if self.is_cold_wanted and target_c < self.setpoint_c:
            max_step = _COLD_K_S * dt
        min_c = self.min_setpoint_c
        if min_c is not None and self.setpoint_c < min_c:
            self.setpoint_c = min(min_c, supply["high_c"])
        difference = target_c - self.setpoint_c
        self.setpoint_c += max(-max_step, min(difference, max_step))

    def _has_reserve(self) -> bool:
        """Return whether the optimiser expects cases below their limit at the present set-point."""
        optimizer = self.optimizer
        if optimizer is None:
            return False
        best, limit_c = optimizer.best, optimizer.model["case_max_c"]
        return bool(best.case_c + self.setpoint_c - best.supply_c < limit_c - _RESERVE_K)

    def raise_setpoint(self, limit_c: float, step_k: float) -> None:
        """Raise the set-point by `step_k`, at most to `limit_c`."""
        if self.setpoint_c < limit_c:
            self.setpoint_c = min(self.setpoint_c + step_k, limit_c)

    def max_valve_pct(self, heat_w: float, fws_supply_c: float, supply_c: float) -> "float | None":
        """Return the largest opening that keeps the supply above `supply_c` at this heat.

        None: each opening does. It is valid at the secondary flow `exchanger.table_lpm`, for which
        the characteristic of the exchanger was computed last.
        """
        exchanger = self.exchanger
        cooling_k = supply_c - fws_supply_c
        if cooling_k <= 0.0:
            return None
        if heat_w <= 0.0:
            return 0.0
        ratio = exchanger.tcs_capacity(exchanger.table_lpm) * cooling_k / heat_w
        return exchanger.valve_for_effect(1.0 / (1.0 + ratio))

    def step_valve(self, readings: ControlReadings, dt: float) -> None:
        """Step the valve law."""
        supply_c, return_c = readings.supply_c, readings.return_c
        fws_supply_c, flow_lpm = readings.fws_supply_c, readings.flow_lpm
        if supply_c is None or return_c is None or fws_supply_c is None or flow_lpm is None:
            self.feedforward.track(self.valve_pct)
            return
        position = readings.valve_pct
        fws_lpm = None if readings.is_fws_flow_unproven else readings.fws_flow_lpm
        if fws_lpm is not None and position is not None:
            self.feedforward.calibrate_valve_flow(fws_lpm, position, dt)
        self.valve_pct = self.feedforward.step(
            self.setpoint_c, supply_c, return_c, fws_supply_c, flow_lpm, position, dt
        )

    def track_fans(self, fan_pct: float, supply_c: "float | None" = None) -> None:
        """Continue from the present fan speed, with bumpless transfer. `supply_c`: the supply, if
        the fans control it from now on.
        """
        self.fan_pct = fan_pct
        if self.fans is not None:
            self.fans.track(fan_pct, None if supply_c is None else self._supply_error_k(supply_c))

    def step_fans(self, readings: ControlReadings, dt: float) -> None:
        """Step the fan law and the adiabatic cooling, every 10 s: they are slow.

        If return or facility water is unknown, the fans control the supply: the error is that of a
        valve at its mid-range position.
        """
        fans = self.fans
        self._fan_elapsed_s += dt
        if fans is None or self._fan_elapsed_s < _FAN_PERIOD_S:
            return
        dt, self._fan_elapsed_s = self._fan_elapsed_s, 0.0
        return_c, fws_supply_c = readings.return_c, self.facility_c(readings)
        if return_c is not None and fws_supply_c is not None:
            if readings.flow_lpm is None:
                self._assume_flow(readings.pump_pct)
            # The target is return - (return - set-point) / effectiveness.
            error_k = fws_supply_c - return_c + self._supply_error_k(return_c)
            self.fan_pct = fans.step(error_k, dt)
        elif readings.supply_c is not None:
            self.fan_pct = fans.step(self._supply_error_k(readings.supply_c), dt)
        self._follow_pads(readings)

    def _supply_error_k(self, supply_c: float) -> float:
        """Return what the error of the supply is in the facility water, K."""
        effectiveness = max(self.exchanger.effectiveness(self._valve_target_pct), 5 / 100)
        error_k: float = (supply_c - self.setpoint_c) / effectiveness
        return error_k

    def facility_c(self, readings: ControlReadings) -> "float | None":
        """Return the temperature of the facility water, °C, or its estimate; None: unknown."""
        supply_c, return_c, flow_lpm = readings.supply_c, readings.return_c, readings.flow_lpm
        water_c, valve_pct = readings.fws_supply_c, readings.valve_pct
        if water_c is not None or supply_c is None or return_c is None:
            return water_c
        rise_k = return_c - supply_c
        if flow_lpm is None or valve_pct is None or valve_pct < 10.0 or rise_k < 1.0:
            return None
        self.exchanger.update_table(flow_lpm)
        return return_c - rise_k / self.exchanger.effectiveness(valve_pct)

    def _assume_flow(self, pump_pct: "float | None") -> None:
        """Use the table of the exchanger at the flow of the data sheet: the valve law, which sets
        its flow, stands still without a flow.
        """
        if self.optimizer is not None and pump_pct is not None:
            self.exchanger.update_table(self.optimizer.flow_lpm(pump_pct))

    def _follow_pads(self, readings: ControlReadings) -> None:
        """Find out if the pads are wet. A change runs the optimiser immediately: the fans need
        another speed.
        """
        pads = self.pads
        if pads is not None and pads.follow(readings.air_c, readings.adiabatic_air_c):
            self._optimize_due = 0

    @property
    def adiabatic_on(self) -> bool:
        """Return whether there is water on the pads or in the tower."""
        return self.pads is not None and self.pads.is_wet

    def _run_optimizer(self, readings: ControlReadings, now: int) -> None:
        """Run the optimiser, if air temperature and load are known."""
        optimizer, supply = self.optimizer, self.settings["supply"]
        peak_load = self.peak_load
        if optimizer is None or peak_load is None:
            return
        self._optimize_due = now + int(self.settings["optimum"]["every_s"]) * SECOND
        self._adapt_models(readings)
        air, pads = readings.air_c, self.pads
        if pads is not None:
            air = pads.inlet_c(air, readings.adiabatic_air_c)
        optimizer.set_pads(0.0 if pads is None else pads.cooling_k)
        load = peak_load.use(readings.load_kw, now)
        if air is None or load is None:
            if now < self._optimum_valid_until:  # a short gap: the last point stays
                self._optimize_due = now + _RETRY_US
                return
            self.target_c, self.optimal_pump_pct = supply["setpoint_c"], None
            return
        self._optimum_valid_until = self._optimize_due + _GAP_US
        min_supply_c = supply["low_c"]
        if self.min_setpoint_c is not None and self.min_setpoint_c > min_supply_c:
            min_supply_c = self.min_setpoint_c
        best = optimizer.find_optimum(load, air, min_supply_c, supply["high_c"])
        self.target_c, self.optimal_pump_pct = optimizer.target_c(best), best.pump_pct
        if self.fans is not None:
            self.fans.set_feedforward(best.fan_pct)
            change = best.valve_target_pct - self._valve_target_pct
            if best.valve_target_pct and not -_VALVE_BAND_PCT < change < _VALVE_BAND_PCT:
                self._valve_target_pct = best.valve_target_pct

    def _heat_kw(self, readings: ControlReadings) -> "float | None":
        supply_c, return_c, flow_lpm = readings.supply_c, readings.return_c, readings.flow_lpm
        if supply_c is None or return_c is None or flow_lpm is None:
            return None
        return self.exchanger.tcs_capacity(flow_lpm) * (return_c - supply_c) / 1000.0

    def _adapt_models(self, readings: ControlReadings) -> None:
        """Adapt the models while the supply is within `_STEADY_K` of the set-point."""
        optimizer, supply_c = self.optimizer, readings.supply_c
        if optimizer is None or supply_c is None or not readings.is_usual:
            return
        if readings.pump_w is not None and readings.pump_pct is not None:
            optimizer.adapt_pumps(readings.pump_w, readings.pump_pct)
        heat_kw, valve_pct = self._heat_kw(readings), readings.valve_pct
        fws_supply_c = readings.fws_supply_c
        steady = -_STEADY_K < supply_c - self.setpoint_c < _STEADY_K
        if (
            heat_kw is None
            or fws_supply_c is None
            or valve_pct is None
            or not steady
            or valve_pct < 10.0
        ):
            return
        if readings.air_c is None or self.fan_pct < 1.0:
            return
        fws_flow_lpm = readings.fws_flow_lpm
        fws_capacity = self.exchanger.fws_capacity(
            self.exchanger.flow_at(valve_pct) if fws_flow_lpm is None else fws_flow_lpm
        )
        heat_w = 1000.0 * heat_kw
        fws_return_c = fws_supply_c + heat_w / fws_capacity
        air_c = readings.adiabatic_air_c
        if air_c is None and not self.adiabatic_on:
            air_c = readings.air_c
        if air_c is not None:
            optimizer.adapt_cooler(heat_w, fws_return_c, air_c, self.fan_pct, valve_pct)
            return
        inlet_c = optimizer.inlet_air_c(
            heat_w, fws_return_c, readings.air_c, self.fan_pct, valve_pct
        )
        if self.pads is not None:
            self.pads.estimate(readings.air_c - inlet_c)
