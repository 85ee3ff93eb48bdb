# SPDX-License-Identifier: Apache-2.0
"""Protection against condensation: bounds of valve and pumps, and the alarm `dew`.

Does not set the set-point; see `agent.control.law.dew_point`. Loaded only with `cooling.dew`.

The valve is claimed AT_MOST 0 while the supply is near the dew point, with the rank of an
interlock: no mode opens it (`agent.control.law.dew_guard`). Below the dew point the pumps run at
full speed: warm coolant comes back sooner, and the same heat with a larger flow gives a warmer
supply, also at a valve that is stuck. The supply counts with its
uncertainty (`CoolingControl.uncertainty_k`).

A supply that becomes unknown while the guard closes the valve says nothing new: the valve stays
closed for `_HOLD_S`: a larger opening would make the valve cycle. But a load can rise behind it,
and without a flow of the facility nothing shows it. So in `_LOOK_S` of each `_LOOK_EVERY_S` the
limit is at least the least opening of the loop: then the facility return gives an estimate. A load
of 100 kW warms the row by 20 K between two of them. Loads that are proven off need none.

If all readings of the row and of the facility return, also those that are suspect, are `_WARM_K`
above the dew point, it opens: at a closed valve no relation can prove the suspect ones.

While the supply is not known after that, and in each mode of manual operation, the opening of the
valve is limited: with the last known heat, the supply stays above the dew point + `_SAFE_K`. Loads
that draw less give less heat, and a flow that may be low (`ControlReadings.low_flow_k`) cools more.
Loads that are proven off give no heat: the supply falls to the facility water. If that is colder
than the dew point and the open valve does not answer, this is an alarm too. After `_UNSEEN_S` it is
one with any load: less flow, or less heat, would wet the row, and no order can prevent it. Facility
water that was never read counts as cold then. After a gap of `_SUSPECT_S` the first reading decides
immediately.

After a restart the heat or the facility water can be unknown with the supply. Then the valve opens
no further than at the start while the devices are cool: the loop had that opening. It may be
wrong, and the alarm says so.

A reading can show a lower supply than the value in use: that of a sensor that a relation accuses,
an error of both temperatures, or two relations that agree within seconds
(`ControlReadings.lowest_supply_c`). If it is near the dew point for `_SUSPECT_S`, the alarm says
so; nothing moves, because this is no proof.

A supply that falls towards the dew point has the same limit, with the present heat: a valve that
needs a minute for its stroke would pass the opening that the heat needs.

Little heat needs less than the least opening of the loop. Facility water below the dew point then
wets the row, also if the valve does not answer any more. So the loop has the same limit if this is
below its least opening, and the supply is at most `_IDLE_K` above the set-point. While all loads
are proven off, the heat that the cases still have does not count.

A valve that is larger than configured passes too much at this limit. So each closing by the guard
from the loop's least opening or below makes the limit smaller (`_LESS`). Then a PI controller of
the supply moves it, and the loop has the valve back at `_IDLE_END_K` more.
"""

from agent.control.law.dew_guard import DRY, WET, DewGuard
from agent.core.actuator import AT_LEAST, AT_MOST, INTERLOCK, PROTECTION, PUMPS, VALVE
from agent.core.alarm_record import DEGRADED, SAFE, AlarmRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.control_context import ControlContext
    from agent.control.law.cooling import ControlReadings, CoolingControl
    from agent.core.alarm_record import Condition
    from agent.core.context import LoadLimitsView

DEW = AlarmRecord("dew", DEGRADED, "supply is near or below the dew point of", "", True)

_SUSPECT = "supply may be below %.1f C"
_SAFE_K = 2.0
_IDLE_K, _IDLE_END_K = 1.0, 2.0
_LEAST_FLOW = 0.15
"""Part of the design flow. Coolant that stands shows no heat: it stays in the cases."""
_HOLD_S, _WARM_K = 299.5, 8.0
_LOOK_EVERY_S, _LOOK_S = 60.0, 20.0
_UNSEEN_S = 14.5
_OPEN_PCT = 1.0
_SUSPECT_S, _NEAR_K = 5.5, 1.0
_FILTER_S = 30.0
_LESS, _LEAST_PART = 6 / 10, 1 / 10
_GAIN, _INTEGRAL_S, _LARGE_K = 3 / 10, 210.0, 2.0
"""Part of an opening for 1 K, and the time constant of a row with little heat on the bench: about
300 kJ/K, and 15 kW at 11 K.
"""


class DewControl:
    """Makes the claims in each cycle."""

    def __init__(
        self,
        agent: "ControlContext",
        cooling: "CoolingControl",
        readings: "ControlReadings",
    ) -> None:
        self.guard = DewGuard()
        self._agent, self._cooling, self._readings = agent, cooling, readings
        self._is_boosted = self._is_idle = self._is_unseen = False
        self._heat_w: float | None = None
        self._present_w = 0.0
        self._limits: LoadLimitsView | None = None
        self._fws_supply_c: float | None = None
        self._valve_pct = _OPEN_PCT
        self._first_pct: float | None = None
        self._unknown_s = self._suspect_s = self._low_flow_k = 0.0
        self._part = 1.0

    def use_limits(self, limits: "LoadLimitsView | None") -> None:
        """Ask `limits` whether the loads are off; None: the unit has no loads."""
        self._limits = limits

    def step(
        self, now: int, dt: float, is_manual: bool = False, is_proof: bool = False
    ) -> "list[Condition]":
        """Make the claims of this cycle. Return the alarm `dew` if it is active.

        `is_proof`: a proof test moves the valve by some percent.
        """
        limit, readings, guard = self._cooling.dew_limit, self._readings, self.guard
        if readings.fws_supply_c is not None:
            self._fws_supply_c = readings.fws_supply_c
        if readings.valve_pct is not None:
            self._valve_pct = readings.valve_pct
            if self._first_pct is None:
                self._first_pct = readings.valve_pct
        if limit is None or limit.guard_c is None:
            return []
        supply_c = readings.supply_c
        if supply_c is None:
            self._unknown_s += dt
            self._step_unknown(limit.guard_c)
        else:
            if self._unknown_s >= _SUSPECT_S:
                guard.restart()
            self._unknown_s, self._is_unseen = 0.0, False
            self._low_flow_k = readings.low_flow_k
            self._update_heat(dt)
            low_c = supply_c - self._cooling.uncertainty_k
            was_closing = guard.closing
            guard.step(low_c, limit.guard_c, limit.dew_c is not None, dt)
            error_k = supply_c - self._cooling.setpoint_c
            self._update_part(error_k, guard.closing and not was_closing, dt)
            if guard.closing and supply_c < self._cooling.settings["supply"]["high_c"]:
                self._claim_bounds()
            else:
                self._is_boosted = False
                if is_manual:
                    self._limit_opening(self._heat_w, limit.guard_c + _SAFE_K, INTERLOCK, "dew")
                else:
                    self._limit_loop(error_k, limit.guard_c + _SAFE_K, is_proof)
        low, dew_c = readings.lowest_supply_c, limit.dew_c
        is_low = low is not None and dew_c is not None and low < dew_c + _NEAR_K
        self._suspect_s = self._suspect_s + dt if is_low else 0.0
        if guard.level == DRY:
            is_suspect = self._is_unseen or self._suspect_s >= _SUSPECT_S
            return [(DEW, "", _SUSPECT % limit.guard_c)] if is_suspect else []
        state = SAFE if guard.level == WET else DEGRADED
        text = DEW.text + " %.1f C" % limit.guard_c
        return [(AlarmRecord(DEW.code, state, DEW.text, DEW.per, DEW.ends_trial), "", text)]

    def _step_unknown(self, guard_c: float) -> None:
        """Limit the valve while the supply is unknown, by the last known heat."""
        is_off = self._limits is not None and self._limits.proven_off()
        low_c = self._readings.lowest_reading_c
        is_warm = low_c is not None and low_c >= guard_c + _WARM_K
        least_pct = 0.0
        if (
            not is_off
            and self._unknown_s >= _LOOK_EVERY_S
            and self._unknown_s % _LOOK_EVERY_S < _LOOK_S
        ):
            least_pct = self._cooling.settings["supply"]["min_pct"]
        if self.guard.closing and self._unknown_s < _HOLD_S and not is_warm:
            self._claim_bounds(least_pct)
        else:
            heat_w = 0.0 if is_off else self._heat_w
            if heat_w is not None and self._limits is not None:
                heat_w = min(heat_w, self._limits.load_w)
            safe_c = guard_c + _SAFE_K + self._low_flow_k
            self._limit_opening(heat_w, safe_c, PROTECTION, "dew, supply unknown", least_pct)
        self._judge_unknown(guard_c, is_off)

    def _judge_unknown(self, guard_c: float, is_off: bool) -> None:
        """Judge whether the row may be wet: the valve does not answer, or a heat or facility water
        that was never read permits no limit. Without any heat immediately, else after `_UNSEEN_S`.
        """
        fws_c = self._fws_supply_c
        is_cold = fws_c is not None and fws_c < guard_c
        is_unmeasured = fws_c is None or (self._heat_w is None and not is_off)
        if is_unmeasured:
            self._hold_first_opening()
        is_open = is_unmeasured or self._readings.valve_pct is None
        is_open = is_open and self._valve_pct >= _OPEN_PCT
        may_be_cold = is_cold or fws_c is None
        self._is_unseen = may_be_cold and is_open and self._unknown_s >= _UNSEEN_S
        if is_cold and is_open and is_off:
            self.guard.mark_near()

    def _hold_first_opening(self) -> None:
        limits, first_pct = self._limits, self._first_pct
        if first_pct is not None and limits is not None and limits.devices_cool:
            self._agent.arbiters[VALVE].claim(
                PROTECTION, "dew", AT_MOST, first_pct, "dew, supply unknown"
            )

    def _claim_bounds(self, valve_pct: float = 0.0) -> None:
        arbiters = self._agent.arbiters
        arbiters[VALVE].claim(INTERLOCK, "dew", AT_MOST, valve_pct, "dew")
        # Full speed stays until the guard opens the valve again: without this the speed swings.
        self._is_boosted = self._is_boosted or self.guard.below
        if self._is_boosted:
            arbiters[PUMPS].claim(PROTECTION, "dew", AT_LEAST, 100.0, "dew")

    def _update_part(self, error_k: float, has_closed: bool, dt: float) -> None:
        """Learn which part of the limit for little heat the valve needs."""
        if has_closed and self._valve_pct <= self._cooling.settings["supply"]["min_pct"]:
            self._part = max(_LESS * self._part, _LEAST_PART)
        elif self._part < 1.0:
            error_k = max(-_LARGE_K, min(error_k, _LARGE_K))
            part = self._part * (1.0 + dt / _INTEGRAL_S * _GAIN * error_k)
            self._part = max(_LEAST_PART, min(part, 1.0))

    def _update_heat(self, dt: float) -> None:
        readings = self._readings
        supply_c, return_c, flow = readings.supply_c, readings.return_c, readings.flow_lpm
        if supply_c is None or return_c is None or flow is None:
            return
        exchanger = self._cooling.exchanger
        if flow < _LEAST_FLOW * exchanger.design_lpm:
            return
        heat_w = exchanger.tcs_capacity(flow) * (return_c - supply_c)
        last_w, self._present_w = self._heat_w, heat_w
        self._heat_w = heat_w if last_w is None else last_w + dt / _FILTER_S * (heat_w - last_w)

    def _limit_opening(
        self,
        heat_w: "float | None",
        supply_c: float,
        rank: int,
        reason: str,
        least_pct: float = 0.0,
    ) -> None:
        """Limit the opening to one that keeps the supply at `supply_c`, or to `least_pct`."""
        if heat_w is None or self._fws_supply_c is None:
            return
        largest = self._cooling.max_valve_pct(heat_w, self._fws_supply_c, supply_c)
        if largest is not None:
            largest = max(largest, least_pct)
            self._agent.arbiters[VALVE].claim(rank, "dew", AT_MOST, largest, reason)

    def _limit_loop(self, error_k: float, safe_c: float, is_proof: bool) -> None:
        if self.guard.approaching and self._heat_w is not None:
            self._limit_opening(self._present_w, safe_c, PROTECTION, "dew, falls")
        if not is_proof:
            self._limit_idle(error_k, safe_c)

    def _limit_idle(self, error_k: float, safe_c: float) -> None:
        """Limit the opening of the loop if the heat needs less than its least opening."""
        cooling = self._cooling
        supply = cooling.settings["supply"]
        if self._heat_w is None or self._fws_supply_c is None:
            return
        heat_w = max(self._heat_w, self._present_w)
        end_k = _IDLE_END_K if self._is_idle else _IDLE_K
        if self._limits is not None and self._limits.proven_off():
            heat_w = 0.0
        largest = cooling.max_valve_pct(heat_w, self._fws_supply_c, safe_c)
        if largest is not None and self._part < 1.0:
            largest *= max(self._part * (1.0 + _GAIN * error_k), 0.0)
            end_k += _IDLE_END_K
        self._is_idle = error_k <= end_k and largest is not None and largest < supply["min_pct"]
        if self._is_idle and largest is not None:
            self._agent.arbiters[VALVE].claim(PROTECTION, "dew", AT_MOST, largest, "little heat")
