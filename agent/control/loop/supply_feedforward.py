# SPDX-License-Identifier: Apache-2.0
"""Supply temperature loop with a model of the exchanger: `SupplyLoop` with feedforward control.

Does not contain the control law; see `agent.control.law.feedforward`. Without a supply reading, it
requests the fail-safe position, as `SupplyLoop` does. If another input of the model is missing
(return temperature, facility water temperature, flow), the PI controller continues from the present
position. Each change of the mode is bumpless.

The loop sends a new position after a change of `_RESOLUTION_PCT`, or `_REVERSAL_PCT` if the
direction changes, because travel and reversals cause wear of a valve. If the travel of days is
above its budget, the valve stays within a band: `agent.control.watch.travel_budget`.
"""

from agent.control.loop.supply_loop import SupplyLoop
from agent.control.watch.travel_budget import OVER_K, UNDER_K, TravelBudget

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.actuator.arbiter import Arbiter
    from agent.control.actuator.valve import ValveActuator
    from agent.control.law.cooling import ControlReadings, CoolingControl
    from agent.control.watch.sticky_moves import StickyMoves
    from agent.core.config_records import LoopConfig
    from agent.core.context import SensorView

_RESOLUTION_PCT = 0.5
_REVERSAL_PCT = 1.0
_DEAD_ZONE_K = 21 / 100
"""As that of the integral in `agent.control.law.feedforward`."""
_WAVE_PCT = 4.0
_ENERGY = 20.0
_LEAST_SPAN_K = 5 / 10
_DEW_RESERVE_K = 3.0
"""Least set-point above the dew-point limit at which a smaller opening may wait: the supply can
fall by as much meanwhile, if half of the load ends.
"""
_BELOW_FLOOR_K = 7 / 10
"""A supply this far below the dew-point limit saves no travel: the cold side of the full band."""


class SupplyLoopFf(SupplyLoop):
    """`cooling` has the control law. The owner fills `readings`."""

    def __init__(
        self,
        config: "LoopConfig",
        sensor: "SensorView",
        valve: "ValveActuator",
        arbiter: "Arbiter",
        cooling: "CoolingControl",
        readings: "ControlReadings",
    ) -> None:
        super().__init__(config, sensor, valve, arbiter)
        self.cooling = cooling
        self.readings = readings
        self._command_pct: float | None = None
        self._rising = True
        self._pi_active = False
        self._unmet = self._stiction_pct = 0.0
        self._scale = 1.0
        self.travel_budget = TravelBudget()
        self._may_save = True
        self._sticky: StickyMoves | None = None

    def set_tuning(self, config: "LoopConfig") -> None:
        """Set the target of the set-point and the limits, with bumpless transfer."""
        self.config = config
        self._set_pi_tuning()
        self.cooling.set_target(config.setpoint)
        self.cooling.feedforward.set_limits(config.min_pct, config.max_pct, config.rate_pct_per_s)

    @property
    def target(self) -> float:
        """The end value of the ramp of the set-point, °C: configured, or of the optimiser."""
        return self.cooling.target_c

    def set_care(self, is_gentle: bool, deadband_scale: float, stiction_pct: float) -> None:
        """Set how to move the valve: in the gentle mode, with a larger deadband (1: the usual one),
        with moves for a stiction in percent of the stroke (0: none).
        """
        super().set_care(is_gentle, deadband_scale, stiction_pct)
        self.cooling.feedforward.set_gentle(is_gentle)
        self._scale, self._stiction_pct = deadband_scale, stiction_pct
        if stiction_pct > 0.0 and self._sticky is None:
            from agent.control.watch.sticky_moves import StickyMoves  # noqa: PLC0415 - rare

            self._sticky = StickyMoves()

    def step(self, now: int, dt: float) -> None:
        """Advance by `dt` seconds and request the valve position."""
        cooling, readings = self.cooling, self.readings
        self.setpoint = cooling.setpoint_c
        supply_c = readings.supply_c
        if supply_c is None or self._is_claimed():
            self._step_without_model(now, dt)
            return
        budget, floor_c = self.travel_budget, cooling.min_setpoint_c
        budget.add(self.valve.position(), dt)
        self._may_save = floor_c is None or supply_c >= floor_c - _BELOW_FLOOR_K
        if None in (readings.return_c, readings.fws_supply_c, readings.flow_lpm):
            self._step_without_model(now, dt)
            return
        if self.at_fail_safe or self._pi_active:
            cooling.track_valve(self._present_output())
            self.at_fail_safe = self._pi_active = False
        # a wave has its own means and bands
        is_full = self.in_wave or not self._may_save
        cooling.feedforward.set_integral_share(1.0 if is_full else budget.integral_share)
        if self._stiction_pct > 0.0:
            cooling.feedforward.hold_integral()
        cooling.step_valve(readings, dt)
        self.in_wave = cooling.feedforward.wave.share > 0.0
        self._pi.track(cooling.valve_pct, self._error_k(supply_c))
        self._request_valve(cooling.valve_pct, dt)

    def _step_without_model(self, now: int, dt: float) -> None:
        """Step the PI controller, or follow a claim, or request the fail-safe position."""
        super().step(now, dt)
        self._pi_active, self.in_wave = True, False
        self._command_pct = None
        if self._sticky is not None:
            self._sticky.reset()

    def _error_k(self, measured: float) -> float:
        """Return the error of the PI controller, K. It has a dead zone: readings in steps of 0.1 K
        are never at the set-point, and the integral would move the valve all day. The band of the
        budget makes it wider.
        """
        error = measured - self.setpoint
        share = self.travel_budget.share if self._may_save else 0.0
        high_k = _DEAD_ZONE_K + OVER_K * share
        low_k = -_DEAD_ZONE_K - UNDER_K * share
        if error > high_k:
            return error - high_k
        return min(error - low_k, 0.0)

    def _request_valve(self, valve_pct: float, dt: float) -> None:
        command_pct, position = self._command_pct, self.valve.position()
        if command_pct is not None and valve_pct not in (self.config.min_pct, self.config.max_pct):
            if self._stiction_pct > 0.0 and self._sticky is not None and position is not None:
                valve_pct = self._move_sticky(self._sticky, valve_pct, command_pct, position, dt)
            else:
                if self.travel_budget.share > 0.0 and self._may_save and not self.in_wave:
                    valve_pct = self._save_travel(valve_pct, command_pct, dt)
                if self._is_held(valve_pct - command_pct, dt):
                    valve_pct = command_pct
                else:
                    self._rising, self._unmet = valve_pct > command_pct, 0.0
        moved = self._move(valve_pct)
        if moved is not None and moved != valve_pct:
            self.cooling.limit_valve(moved)
        self._command_pct = moved

    def _save_travel(self, requested_pct: float, command_pct: float, dt: float) -> float:
        """Return the position within the band of the budget, percent."""
        cooling, r = self.cooling, self.readings
        exchanger, limit_c = cooling.exchanger, cooling.min_setpoint_c
        span_k = (r.return_c or 0.0) - (r.fws_supply_c or 0.0)
        if span_k < _LEAST_SPAN_K:
            return requested_pct
        may_wait = limit_c is not None and cooling.setpoint_c - limit_c > _DEW_RESERVE_K
        present_k = span_k * exchanger.effectiveness(command_pct)
        wanted_k = span_k * exchanger.effectiveness(requested_pct)
        effect_k = self.travel_budget.limit_effect(wanted_k, present_k, may_wait, dt)
        if effect_k == present_k:
            return command_pct
        return exchanger.valve_for_effect(effect_k / span_k)

    def _move_sticky(
        self,
        sticky: "StickyMoves",
        requested_pct: float,
        command: float,
        position: float,
        dt: float,
    ) -> float:
        """Return the command for a valve with stiction, percent."""
        r, law = self.readings, self.cooling.feedforward
        sticky.add(r.supply_c or 0.0, r.return_c or 0.0, dt)
        if not sticky.is_due(self.setpoint):
            return sticky.command(requested_pct, command, position, self._stiction_pct, dt)
        means = (sticky.supply_c, sticky.return_c, r.fws_supply_c or 0.0)
        target = law.steady_valve(self.setpoint, means[0], means[1], means[2], position)
        law.track(target)
        limits = (self.config.min_pct, self.config.max_pct)
        return sticky.begin(target, position, self._stiction_pct, limits)

    def _is_held(self, change: float, dt: float) -> bool:
        """Return True if a `change` of the position, percent, is not worth a move."""
        if (change > 0.0) != (self._unmet > 0.0):
            self._unmet = 0.0
        self._unmet += change * dt
        if self.in_wave:
            return -_WAVE_PCT < change < _WAVE_PCT and -_ENERGY < self._unmet < _ENERGY
        least = _RESOLUTION_PCT if (change > 0.0) == self._rising else _REVERSAL_PCT
        least *= self._scale
        return -least < change < least
