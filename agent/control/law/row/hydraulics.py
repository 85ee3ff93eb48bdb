# SPDX-License-Identifier: Apache-2.0
"""Plausibility of flow and dP, by the row and by the speed of the pumps.

Does not read sensors and does not raise alarms; a part of `agent.control.law.plausibility`. Flows
in L/min, dP in kPa.

    R4   flow = k sqrt(dP)                              k: learned
    R3   flow = n * pump speed                          n: learned

The third of three values that does not agree is suspect. Behind a clogged filter (its own pressure
drop is high) R3 does not hold: then a flow above R4 is suspect. A flow below R3 with a dP above it,
up to the shut-off pressure, is no false sensor: a branch of the row is shut. Without a valid flow
only two values are left: then a dP far above the shut-off pressure of this speed is suspect.

The factors of the usual row learn only while nothing speaks against it: no suspect sensor, no shut
branch, and a protection that calls the row usual (`RowReadings.is_row_usual`). Otherwise they stay,
and a second pair follows the present row: it finds a false sensor there. When the usual row is
back, its factors fit immediately. Another row becomes the usual one if the protection calls it
usual for `_ADOPT_S`, or without its word in hours. In the first `_YOUNG_S` it is the one that lasts
longer, without the time in which the protection calls the row not usual.

Nothing is learned while the flow changes: its meter lags, and the pressure does not. Factors that
were learned for less than `_LEARNED_S` accuse no sensor: pumps that just start would make the flow
suspect forever.
"""

from agent.control.law.deterministic_math import sqrt_det
from agent.control.law.row.checked_signal import RELATION, CheckedSignal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.law.row.readings import RowReadings

# between whole steps of 1 s: see docs/project/decisions.md, thresholds
_PROOF_S, _METER_LAG_S = 1.5, 1.5
_SHUT_OFF = 126 / 100
"""Flow that the shut-off pressure of a pump stands for, of the flow that it gives: the root of 1.6
(`agent.safety.pump_curve`).
"""
_IMPOSSIBLE = 16 / 10
"""As `_SHUT_OFF`, for pumps that give only 0.4 of their shut-off pressure to the usual row."""
_FILTER_S, _HOURS_S = 60.0, 30_000.0
_ADOPT_S, _YOUNG_S, _FITS_S = 59.5, 299.5, 9.5
_LEARNED_S = 9.5


class FlowFactors:
    """The flow by dP and by the pump speed, L/min, and the factors of both; 0: not learned.

    `learned_s`: time for which they were learned, s.
    """

    def __init__(self, dp_factor: float = 0.0, pump_factor: float = 0.0) -> None:
        self.dp_factor, self.pump_factor = dp_factor, pump_factor
        self.by_dp: float | None = None
        self.by_pump: float | None = None
        self._damped: list[float | None] = [None, None]
        self.learned_s = 0.0

    def copy(self) -> "FlowFactors":
        """Return the same factors and estimates."""
        made = FlowFactors(self.dp_factor, self.pump_factor)
        made.by_dp, made.by_pump = self.by_dp, self.by_pump
        made._damped, made.learned_s = list(self._damped), self.learned_s
        return made

    def estimate(self, dp: "float | None", pump_pct: "float | None", dt: float) -> None:
        """Update both flows; None: unknown."""
        self.by_dp = self.by_pump = None
        if dp is not None and self.dp_factor > 0.0:
            self.by_dp = self._damp(0, self.dp_factor * sqrt_det(dp), dt)
        if pump_pct is not None and self.pump_factor > 0.0:
            self.by_pump = self._damp(1, self.pump_factor * pump_pct, dt)

    def is_shut(self, flow: float, tolerance: float) -> bool:
        """Return whether the row takes less flow and the pumps give more pressure: both sensors are
        right. But no pump at this speed gives more than its shut-off pressure.
        """
        by_dp, by_pump = self.by_dp, self.by_pump
        if by_dp is None or by_pump is None or by_dp >= _SHUT_OFF * by_pump:
            return False
        return flow < by_pump - tolerance / 2.0 < by_dp - tolerance

    def is_impossible(self, tolerance: float) -> bool:
        """Return whether no pump at this speed can give this pressure, whatever the row takes."""
        by_dp, by_pump = self.by_dp, self.by_pump
        if by_dp is None or by_pump is None or self.learned_s < _LEARNED_S:
            return False
        return by_dp > _IMPOSSIBLE * by_pump + 2.0 * tolerance

    def forget_dp(self) -> None:
        """Begin the damping of the flow by dP again."""
        self._damped[0] = None

    def _damp(self, i: int, lpm: float, dt: float) -> float:
        """Return an estimate of the flow with the damping of a flow meter."""
        last = self._damped[i]
        self._damped[i] = lpm = (
            lpm if last is None else last + dt / (dt + _METER_LAG_S) * (lpm - last)
        )
        return lpm

    def learn(self, flow: float, r: "RowReadings", filter_s: float, dt: float) -> None:
        """Move the factors to the readings."""
        self.learned_s += dt
        share = dt / (dt + filter_s)
        if r.dp_kpa is not None and r.dp_kpa > 1.0:
            factor = flow / sqrt_det(r.dp_kpa)
            self.dp_factor += (share if self.dp_factor > 0.0 else 1.0) * (factor - self.dp_factor)
        if r.pump_pct is not None and r.pump_pct > 5.0:
            factor = flow / r.pump_pct
            share = share if self.pump_factor > 0.0 else 1.0
            self.pump_factor += share * (factor - self.pump_factor)


class RowHydraulics:
    """Checks `flow` and `dp` once a cycle. `moving_left_s`: the flow has moved; a gap alone, after
    which it is the same, is no move. `may_be_low`: the flow is an estimate from the speed of the
    pumps alone. No reading since the start has shown that the row still takes it, or the protection
    does not call the row usual: a filter may be clogged.
    """

    def __init__(self, design_lpm: float) -> None:
        self._tolerance = tolerance = design_lpm / 10.0
        self.flow = CheckedSignal(-0.5, 16 * tolerance, tolerance, tolerance)
        self.dp = CheckedSignal(-100.0, 1600.0, 10.0, 10.0)
        self.moving_left_s = 0.0
        self._last_lpm: float | None = None
        self._is_changing = False
        self.may_be_low = self._is_clogged = False
        self._usual = FlowFactors()
        self._present: FlowFactors | None = None
        self._flow_s = self._dp_s = 0.0
        self._usual_s = self._other_s = self._called_usual_s = self._fits_s = 0.0

    @property
    def is_usual(self) -> bool:
        """Return whether nothing speaks against the usual row: then a model may learn."""
        return self._present is None and not self.flow.suspect and not self.dp.suspect

    def factors(self) -> "list[float]":
        """Return the factors of the usual row: of dP, of the pump speed."""
        return [self._usual.dp_factor, self._usual.pump_factor]

    def restore(self, dp_factor: float, pump_factor: float, is_old: bool) -> None:
        """Take over the factors of the usual row from before a restart. `is_old`: they were learned
        for some time.
        """
        self._usual, self._usual_s = FlowFactors(dp_factor, pump_factor), _YOUNG_S * is_old
        self._usual.learned_s = self._usual_s
        self._present = None  # it began without them

    def step(self, r: "RowReadings", dt: float) -> None:
        """Compare the flow, dP and the speed of the pumps: the third of three is suspect."""
        tolerance = self._tolerance
        any_rate = 100.0 * tolerance
        flow = self.flow.read(r.flow_lpm, any_rate, any_rate, 0.0, dt)
        dp = self.dp.read(r.dp_kpa, 1e4, 1e4, 0.0, dt)
        self._usual.estimate(dp, r.pump_pct, dt)
        used = self._usual if self._present is None else self._present
        self._clear_pressure(r, used)
        if used is self._present:
            used.estimate(dp, r.pump_pct, dt)
        # Values of a faulty sensor say nothing about the time after the fault.
        if self.dp.suspect or self.flow.suspect:
            self._flow_s = 0.0
        if self.dp.suspect:
            self._dp_s = 0.0
            self._usual.forget_dp()
            used.forget_dp()
        self._judge(flow, used, dt)
        self._settle(r, flow, used, dt)
        if flow is not None and not (self.flow.suspect or self.dp.suspect):
            self._follow_row(flow, r, dt)
        if self._present is not None:
            self._leave_present(r, dt)

    def _clear_pressure(self, r: "RowReadings", used: FlowFactors) -> None:
        """A pressure that R3 has accused is right if the filter is clogged: the flow is not."""
        was_clogged, self._is_clogged = self._is_clogged, r.is_filter_clogged
        if was_clogged or not self._is_clogged or self.dp.suspect != RELATION:
            return
        flow, dp = r.flow_lpm, r.dp_kpa
        if flow is None or dp is None or dp <= 0.0 or self.flow.suspect:
            return
        if flow > used.dp_factor * sqrt_det(dp) + 2.0 * self._tolerance:
            self.dp.end_suspicion()
            self.flow.mark_suspect(RELATION)

    def _judge(self, flow: "float | None", used: FlowFactors, dt: float) -> None:
        """Find the third of three. The present row follows a drift of the pressure: the usual one
        finds it.
        """
        is_flow_apart = is_dp_apart = False
        if flow is not None and self._is_clogged:
            is_flow_apart = used.by_dp is not None and flow > used.by_dp + 2.0 * self._tolerance
        elif flow is None:
            is_dp_apart = used.is_impossible(self._tolerance)
        else:
            is_flow_apart, is_dp_apart = self._find_third(flow, used)
            if used is not self._usual:
                is_dp_apart = is_dp_apart or self._find_third(flow, self._usual)[1]
        self._flow_s = self._flow_s + dt if is_flow_apart else 0.0
        self._dp_s = self._dp_s + dt if is_dp_apart else 0.0
        if self._flow_s >= _PROOF_S:
            self.flow.mark_suspect(RELATION)
        if self._dp_s >= _PROOF_S:
            self.dp.mark_suspect(RELATION)

    def _find_third(self, flow: float, factors: FlowFactors) -> "tuple[bool, bool]":
        """Return whether the flow is the third of three, and whether the pressure is."""
        by_dp, by_pump, tolerance = factors.by_dp, factors.by_pump, self._tolerance
        is_moved = factors.is_shut(flow, tolerance) or self._is_opening(flow)
        if by_dp is None or by_pump is None or is_moved or factors.learned_s < _LEARNED_S:
            return False, False
        return (
            _is_third(flow, by_dp, by_pump, tolerance),
            _is_third(by_dp, flow, by_pump, tolerance),
        )

    def _is_opening(self, flow: float) -> bool:
        """Return whether flow and pressure go back towards those of the usual row."""
        present, most_lpm = self._present, self._usual.by_dp
        if present is None or present.by_dp is None or present.by_pump is None or most_lpm is None:
            return False
        half = self._tolerance / 2.0
        return present.by_dp + half < present.by_pump < flow - half < most_lpm + half

    def _settle(self, r: "RowReadings", flow: "float | None", used: FlowFactors, dt: float) -> None:
        """Set the value of both signals: the readings, or their estimates."""
        tolerance, factor = self._tolerance, used.dp_factor
        estimate = used.by_pump if used.by_dp is None else used.by_dp
        was_read = self.flow.raw is not None or self.dp.raw is not None
        is_by_speed = flow is None and used.by_dp is None
        self.may_be_low = is_by_speed and (not was_read or r.is_row_usual is False)
        flow_lpm = used.by_pump if flow is None or self.flow.suspect else flow
        sqrt_dp = None if flow_lpm is None or factor <= 0.0 else flow_lpm / factor
        self.dp.settle(r.dp_kpa, None if sqrt_dp is None else sqrt_dp * sqrt_dp, 10.0, dt)
        self.flow.settle(r.flow_lpm, estimate, tolerance, dt)
        last, now = self._last_lpm, self.flow.value
        self._last_lpm = now = last if now is None else now
        change_lpm = 0.0 if last is None else abs((now or 0.0) - last)
        moved = change_lpm >= tolerance
        self._is_changing = change_lpm >= tolerance / 2.0
        self.moving_left_s = _FILTER_S if moved else self.moving_left_s - dt

    # The usual row and another one.

    def _follow_row(self, flow: float, r: "RowReadings", dt: float) -> None:
        """Learn from the readings: for the usual row, or only for the present one."""
        is_other = r.is_row_usual is False or self._usual.is_shut(flow, self._tolerance)
        may_learn = flow >= 2.0 * self._tolerance and not self._is_changing
        if self._present is None and is_other:
            self._present, self._other_s = self._usual.copy(), 0.0
            self._called_usual_s = self._fits_s = 0.0
        present = self._present
        if present is None:
            if may_learn:
                self._usual.learn(flow, r, _FILTER_S, dt)
                self._usual_s = min(self._usual_s + dt, _YOUNG_S)
            return
        if may_learn:
            present.learn(flow, r, _FILTER_S, dt)
            if r.is_row_usual is not False:
                self._other_s += dt
            if r.is_row_usual is None:
                self._usual.learn(flow, r, _HOURS_S, dt)
        is_longer = max(self._usual_s, _FITS_S) < min(self._other_s, _YOUNG_S)
        is_longer = is_longer and r.is_row_usual is not False
        self._called_usual_s = self._called_usual_s + dt if r.is_row_usual else 0.0
        if self._called_usual_s >= _ADOPT_S or is_longer:
            self._usual, self._usual_s, self._present = present, self._other_s, None

    def _leave_present(self, r: "RowReadings", dt: float) -> None:
        """Forget the present row if flow and pressure fit the usual one again for `_FITS_S`. A
        suspect sensor fits too if the protection agrees: it was judged by the factors of the other
        row.
        """
        flow, kpa, tolerance = r.flow_lpm, r.dp_kpa, self._tolerance
        is_suspect = self.flow.suspect or self.dp.suspect
        is_usual = r.is_row_usual or (r.is_row_usual is None and not is_suspect)
        if flow is None or kpa is None or kpa <= 0.0 or not is_usual:
            self._fits_s = 0.0
            return
        apart = flow - self._usual.dp_factor * sqrt_det(kpa)
        fits = -tolerance < 2.0 * apart < tolerance and not self._usual.is_shut(flow, tolerance)
        self._fits_s = self._fits_s + dt if fits else 0.0
        if self._fits_s >= _FITS_S:
            self._present = None


def _is_third(value: float, first: float, second: float, tolerance: float) -> bool:
    """Return whether `first` and `second` agree, and `value` does not agree with them."""
    low, high = (first, second) if first < second else (second, first)
    apart = value < low - 2.0 * tolerance or value > high + 2.0 * tolerance
    return apart and high - low < tolerance
