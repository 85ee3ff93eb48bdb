# SPDX-License-Identifier: Apache-2.0
"""Plausibility of the facility water: its flow and its return temperature at the exchanger.

Does not read sensors and does not raise alarms; see `agent.control.sensors`. Does not check the
supply temperature of the facility: see `agent.control.law.plausibility`. Flows in L/min.

    R1   flow C1 (fws_return - fws_supply) = heat of the row
    R7   flow = learned flow of the position of the valve

The flow meter is suspect if R1 contradicts it and agrees with R7. The return is suspect if R1 alone
contradicts it: R7 agrees, and so does the effectiveness of the exchanger (R6). A meter that a
relation accuses has the flow of the position as substitute; the return has none. Each is valid
again after `_AGREE_S` of agreement.

A real change of the flow is in R1 after some seconds. Until then, and while R1 contradicts it, the
flow `is_unproven`: nothing is learned from it. After a jump it shows no reversed valve either; a
false sensor of the row must not hide one. The substitute never shows one, because it follows the
position; the reading of a suspect meter does, while R1 agrees with it. A return that jumps up is
not used until R1 agrees with it, or while R1 says nothing, until it is in the range of the other
temperatures for `_APART_S`: an estimate of the supply must not be too high. A flow that jumps away
from that of its position is not used for this estimate while R1 says nothing, if the water becomes
warmer: some of it flows. Up to `Exchanger.most_size` times that of its position is used: the valve
may be larger than configured. All else uses the flow: the heat may have no way out.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.law.exchanger import Exchanger
    from agent.control.law.row.readings import RowReadings

# between whole steps of 1 s: see docs/project/decisions.md, thresholds
_APART_S, _FLOW_PROOF_S, _RETURN_PROOF_S, _AGREE_S = 9.5, 14.5, 19.5, 59.5
_NEAR = 3 / 2
_SLACK, _LEAST_FLOW = 3 / 100, 3 / 10
"""Of the design flow of the facility, and of the row."""
_SLACK_K, _INFORMATIVE_K, _MOST_K = 5 / 10, 3.0, 1000.0
_MISFIT, _FLOW_OFF, _CURVE_OFF = 1 / 3, 10 / 100, 2 / 100
"""Of the heat, beyond `_SLACK_K`. A flow of the position that agrees within `_CURVE_OFF` accuses a
meter that is off by `_FLOW_OFF`.
"""
_JUMP_K, _RANGE_K = 5.0, 2.0
_LEAST_PCT = 4.0
_MODEL_K, _MODEL_SHARE = 5 / 10, 12 / 100


class FacilityCheck:
    """`flow`, `fws_return`: what the relations accuse. `is_unproven`: the flow is.
    `is_jump_unproven`: it is since the start, or since it jumped by more than the valve explains.
    `proof_lpm`: the flow that may show the direction of the valve, L/min, or None.
    `estimate_lpm`: the flow for the estimates of the row, if it is not the reading, L/min.
    """

    def __init__(self) -> None:
        self.flow, self.fws_return = _Accused(_FLOW_PROOF_S), _Accused(_RETURN_PROOF_S)
        self.is_unproven = self._is_return_unproven = False
        self.is_jump_unproven = True
        self.proof_lpm: float | None = None
        self.estimate_lpm: float | None = None
        self._last_lpm: float | None = None
        self._last_return_c: float | None = None
        self._last_pct = self._apart_s = self._possible_s = self._all_s = 0.0

    def step(
        self,
        r: "RowReadings",
        rise_k: "float | None",
        heat_factor: float,
        position_pct: "float | None",
        exchanger: "Exchanger",
        dt: float,
    ) -> None:
        """Check the readings of a cycle, and replace those that are suspect.

        `rise_k`: return minus supply of the row; None: one of both is not valid. `heat_factor`: the
        learned factor of R1.
        """
        lpm, position = r.fws_flow_lpm, position_pct or 0.0
        curve_lpm = exchanger.flow_at(position) if position >= _LEAST_PCT else None
        self.estimate_lpm = self.proof_lpm = None
        if lpm is not None:
            self._note_jumps(r, lpm, position, exchanger)
            balance = _HeatBalance(r, rise_k, heat_factor, exchanger)
            is_by_heat = self._compare(r, lpm, curve_lpm, balance, dt)
            if not self.is_jump_unproven and (is_by_heat or not self.flow.is_suspect):
                self.proof_lpm = lpm
        if self.flow.is_suspect:
            r.fws_flow_lpm = curve_lpm
        if self.fws_return.is_suspect or self._is_return_unproven:
            r.fws_return_c = None

    def compare_all(
        self, r: "RowReadings", heat_factor: float, exchanger: "Exchanger", dt: float
    ) -> bool:
        """Return whether R1 and R6 hold for all readings as they are, for `_AGREE_S`: readings that
        accuse each other then prove each other. Call it before a reading is replaced.
        """
        agrees = False
        if r.supply_c is not None and r.return_c is not None and r.fws_flow_lpm is not None:
            balance = _HeatBalance(r, r.return_c - r.supply_c, heat_factor, exchanger)
            misfit = balance.misfit(r.fws_flow_lpm)
            agrees = misfit is not None and misfit < _FLOW_OFF and _is_possible(r)
            agrees = agrees and balance.fits_model(r, r.fws_flow_lpm)
        self._all_s = self._all_s + dt if agrees else 0.0
        return self._all_s >= _AGREE_S

    def accept_return(self) -> None:
        """Take the next return as it is: the reading before was not that of the return."""
        self._last_return_c, self._is_return_unproven = None, False
        self.fws_return.end_suspicion()

    def _note_jumps(
        self, r: "RowReadings", lpm: float, position: float, exchanger: "Exchanger"
    ) -> None:
        """A flow that the valve cannot have moved so fast is unproven, and a return that jumps up.
        A valve that is mounted in reverse moves it, too.
        """
        last, last_pct = self._last_lpm, self._last_pct
        if last is not None and not _may_follow(lpm, last, position, last_pct, exchanger):
            self.is_unproven = self.is_jump_unproven = True
        self._last_lpm, self._last_pct = lpm, position
        return_c, last_c = r.fws_return_c, self._last_return_c
        if return_c is None:
            return
        change_k = 0.0 if last_c is None else return_c - last_c
        if not -_JUMP_K < change_k < _JUMP_K:
            self._is_return_unproven, self._possible_s = change_k > 0.0, 0.0
        self._last_return_c = return_c

    def _compare(
        self,
        r: "RowReadings",
        lpm: float,
        curve_lpm: "float | None",
        balance: "_HeatBalance",
        dt: float,
    ) -> bool:
        """Compare the readings with each other. Return whether R1 agrees with the flow."""
        slack_lpm = _SLACK * balance.exchanger.fws_design_lpm
        fits_curve = curve_lpm is not None and _are_near(lpm, curve_lpm, slack_lpm)
        misfit, curve_misfit = balance.misfit(lpm), balance.misfit(curve_lpm)
        is_possible = _is_possible(r)
        by_heat = None if misfit is None else misfit <= _MISFIT and is_possible
        if by_heat is None and self.is_jump_unproven and not fits_curve and _takes_heat(r):
            most_size = balance.exchanger.most_size
            is_by_size = curve_lpm is not None and curve_lpm < lpm < most_size * curve_lpm
            self.estimate_lpm = None if is_by_size else curve_lpm
        is_flow_third = False
        if misfit is not None and curve_misfit is not None:
            is_far = misfit > _MISFIT and not fits_curve and curve_misfit <= _MISFIT
            is_flow_third = is_far or (misfit > _FLOW_OFF and curve_misfit < _CURVE_OFF)
        self.flow.step(bool(by_heat), is_flow_third, dt)
        is_apart = by_heat is False and fits_curve
        may_be_true = by_heat or (by_heat is None and is_possible)
        self.fws_return.step(bool(may_be_true), is_apart and balance.fits_model(r, lpm), dt)
        self._possible_s = self._possible_s + dt if may_be_true else 0.0
        if by_heat or self._possible_s >= _APART_S:
            self._is_return_unproven = False
        elif self.fws_return.is_suspect:
            by_heat = None
        self._apart_s = self._apart_s + dt if by_heat is False else 0.0
        # A flow far from the curve needs the heat as a proof, if the unit measures it.
        is_measured = self._last_return_c is not None
        is_odd = not fits_curve and not by_heat and is_measured
        if by_heat or (by_heat is None and (fits_curve or not is_measured)):
            self.is_jump_unproven = False
        if self._apart_s >= _APART_S or is_odd:
            self.is_unproven = True
        elif by_heat or (by_heat is None and fits_curve):
            self.is_unproven = False
        return bool(by_heat)


class _Accused:
    """A sensor that a relation accuses for `proof_s` is suspect, until it agrees."""

    def __init__(self, proof_s: float) -> None:
        self.is_suspect = False
        self._proof_s = proof_s
        self._counted_s = 0.0

    def end_suspicion(self) -> None:
        """Make the sensor valid again."""
        self.is_suspect, self._counted_s = False, 0.0

    def step(self, may_be_true: bool, is_third: bool, dt: float) -> None:
        """Take over whether it agrees, and whether all others agree without it."""
        is_counted = may_be_true and not is_third if self.is_suspect else is_third
        self._counted_s = self._counted_s + dt if is_counted else 0.0
        if self._counted_s >= (_AGREE_S if self.is_suspect else self._proof_s):
            self.is_suspect, self._counted_s = not self.is_suspect, 0.0


class _HeatBalance:
    """R1 of a cycle: the heat of the row, and the rise of the facility water."""

    def __init__(
        self,
        r: "RowReadings",
        rise_k: "float | None",
        heat_factor: float,
        exchanger: "Exchanger",
    ) -> None:
        self.exchanger = exchanger
        self._heat_w: float | None = None
        self._span_k = 0.0
        flow, fws_supply_c, fws_return_c = r.flow_lpm, r.fws_supply_c, r.fws_return_c
        if rise_k is None or flow is None or flow < _LEAST_FLOW * exchanger.design_lpm:
            return
        self._rise_k = rise_k
        if fws_supply_c is not None and fws_return_c is not None:
            self._heat_w = exchanger.tcs_capacity(flow) * rise_k / heat_factor
            self._span_k = fws_return_c - fws_supply_c

    def misfit(self, lpm: "float | None") -> "float | None":
        """Return how far the heat that this flow takes is from that of the row, as a part of the
        larger one; None: unknown, or too little to say anything.
        """
        if self._heat_w is None or lpm is None:
            return None
        span_k, capacity_w = self._span_k, self.exchanger.fws_capacity(lpm)
        expected_k = min(self._heat_w / capacity_w, _MOST_K) if capacity_w > 0.0 else _MOST_K
        larger_k = max(abs(span_k), abs(expected_k))
        if larger_k < _INFORMATIVE_K:
            return None
        return max(abs(span_k - expected_k) - _SLACK_K, 0.0) / larger_k

    def fits_model(self, r: "RowReadings", lpm: float) -> bool:
        """Return whether supply, return, facility supply and both flows agree by R6."""
        if self._heat_w is None or r.return_c is None or r.fws_supply_c is None:
            return False
        apart_k = self._rise_k - self.exchanger.effectiveness_of(lpm) * (
            r.return_c - r.fws_supply_c
        )
        return abs(apart_k) < _MODEL_K + _MODEL_SHARE * abs(self._rise_k)


def _takes_heat(r: "RowReadings") -> bool:
    """Return whether the facility return is well above the supply."""
    fws_supply_c, fws_return_c = r.fws_supply_c, r.fws_return_c
    if fws_supply_c is None or fws_return_c is None:
        return False
    return fws_return_c - fws_supply_c >= _INFORMATIVE_K


def _is_possible(r: "RowReadings") -> bool:
    """Return whether the facility return is in the range of the three other temperatures."""
    fws_supply_c, fws_return_c = r.fws_supply_c, r.fws_return_c
    supply_c, return_c = r.supply_c, r.return_c
    if fws_supply_c is None or fws_return_c is None or supply_c is None or return_c is None:
        return False
    low_c = min(fws_supply_c, supply_c, return_c)
    high_c = max(fws_supply_c, supply_c, return_c)
    return low_c - _RANGE_K <= fws_return_c <= high_c + _RANGE_K


def _may_follow(
    lpm: float, last_lpm: float, position: float, last_pct: float, exchanger: "Exchanger"
) -> bool:
    """Return whether a move of the valve, in either direction, explains the change of the flow."""
    forward = exchanger.flow_at(position) - exchanger.flow_at(last_pct)
    reverse = exchanger.flow_at(100.0 - position) - exchanger.flow_at(100.0 - last_pct)
    low = last_lpm + min(forward, reverse, 0.0)
    high = last_lpm + max(forward, reverse, 0.0)
    nearest = min(max(lpm, low), high)
    return _are_near(lpm, nearest, _SLACK * exchanger.fws_design_lpm)


def _are_near(first: float, second: float, slack: float) -> bool:
    larger, smaller = (first, second) if first > second else (second, first)
    return larger <= _NEAR * smaller + slack
