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
flow `is_doubtful`: nothing is learned from it, and it proves no reversed valve.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.law.exchanger import Exchanger
    from agent.control.law.row.readings import RowReadings

# between whole steps of 1 s: see docs/project/decisions.md, thresholds
_DOUBT_S, _FLOW_PROOF_S, _RETURN_PROOF_S, _AGREE_S = 9.5, 14.5, 19.5, 59.5
_NEAR = 3 / 2
_SLACK, _LEAST_FLOW = 3 / 100, 3 / 10
"""Of the design flow of the facility, and of the row."""
_SLACK_K, _INFORMATIVE_K, _MOST_K = 1.0, 3.0, 1000.0
_LEAST_PCT = 4.0
_STILL_PCT = 1.0
_MODEL_K, _MODEL_SHARE = 5 / 10, 12 / 100


class FacilityCheck:
    """`flow`, `fws_return`: what the relations accuse."""

    def __init__(self) -> None:
        self.flow, self.fws_return = _Accused(_FLOW_PROOF_S), _Accused(_RETURN_PROOF_S)
        self.is_doubtful = False
        self._last_lpm: float | None = None
        self._last_pct = self._apart_s = 0.0

    def step(
        self,
        r: "RowReadings",
        rise_k: "float | None",
        position_pct: "float | None",
        exchanger: "Exchanger",
        dt: float,
    ) -> None:
        """Check the readings of a cycle, and replace those that are suspect.

        `rise_k`: return minus supply of the row; None: one of both is not valid.
        """
        lpm, position = r.fws_flow_lpm, position_pct or 0.0
        curve_lpm = exchanger.flow_at(position) if position >= _LEAST_PCT else None
        if lpm is not None:
            slack_lpm = _SLACK * exchanger.fws_design_lpm
            self._note_jump(lpm, position, slack_lpm)
            fits_curve = curve_lpm is not None and _are_near(lpm, curve_lpm, slack_lpm)
            heat_w = _heat_w(r, rise_k, exchanger)
            by_heat = _agrees(r, heat_w, lpm, exchanger)
            is_third = not fits_curve and _agrees(r, heat_w, curve_lpm, exchanger)
            self.flow.step(by_heat, bool(is_third), dt)
            is_third = fits_curve and _fits_model(r, lpm, heat_w, exchanger)
            self.fws_return.step(by_heat, is_third, dt)
            self._follow_doubt(None if self.fws_return.is_suspect else by_heat, fits_curve, dt)
        if self.flow.is_suspect:
            r.fws_flow_lpm = curve_lpm
        if self.fws_return.is_suspect:
            r.fws_return_c = None

    def _note_jump(self, lpm: float, position: float, slack_lpm: float) -> None:
        """A flow that jumps while the valve stands is doubtful."""
        last, moved_pct = self._last_lpm, position - self._last_pct
        is_still = -_STILL_PCT < moved_pct < _STILL_PCT
        if last is not None and is_still and not _are_near(lpm, last, slack_lpm):
            self.is_doubtful = True
        self._last_lpm, self._last_pct = lpm, position

    def _follow_doubt(self, by_heat: "bool | None", fits_curve: bool, dt: float) -> None:
        self._apart_s = self._apart_s + dt if by_heat is False else 0.0
        if self._apart_s >= _DOUBT_S:
            self.is_doubtful = True
        elif by_heat or (by_heat is None and fits_curve):
            self.is_doubtful = False


class _Accused:
    """A sensor that a relation accuses for `proof_s` is suspect, until it agrees."""

    def __init__(self, proof_s: float) -> None:
        self.is_suspect = False
        self._proof_s = proof_s
        self._counted_s = 0.0

    def step(self, by_heat: "bool | None", is_third: bool, dt: float) -> None:
        """Take over whether R1 agrees (None: unknown), and whether the others agree without it."""
        is_counted = by_heat if self.is_suspect else by_heat is False and is_third
        self._counted_s = self._counted_s + dt if is_counted else 0.0
        if self._counted_s >= (_AGREE_S if self.is_suspect else self._proof_s):
            self.is_suspect, self._counted_s = not self.is_suspect, 0.0


def _heat_w(r: "RowReadings", rise_k: "float | None", exchanger: "Exchanger") -> "float | None":
    flow = r.flow_lpm
    if rise_k is None or flow is None or flow < _LEAST_FLOW * exchanger.design_lpm:
        return None
    return exchanger.tcs_capacity(flow) * rise_k


def _are_near(first: float, second: float, slack: float) -> bool:
    larger, smaller = (first, second) if first > second else (second, first)
    return larger <= _NEAR * smaller + slack


def _agrees(
    r: "RowReadings", heat_w: "float | None", lpm: "float | None", exchanger: "Exchanger"
) -> "bool | None":
    """Return whether a facility flow takes the heat of the row (R1); None: this says nothing."""
    fws_supply_c, fws_return_c = r.fws_supply_c, r.fws_return_c
    if heat_w is None or lpm is None or fws_supply_c is None or fws_return_c is None:
        return None
    span_k, capacity_w = fws_return_c - fws_supply_c, exchanger.fws_capacity(lpm)
    expected_k = min(heat_w / capacity_w, _MOST_K) if capacity_w > 0.0 else _MOST_K
    larger_k = max(abs(span_k), abs(expected_k))
    if larger_k < _INFORMATIVE_K:
        return None
    return abs(span_k - expected_k) <= _SLACK_K + (1.0 - 1.0 / _NEAR) * larger_k


def _fits_model(
    r: "RowReadings", lpm: float, heat_w: "float | None", exchanger: "Exchanger"
) -> bool:
    """Return whether supply, return, facility supply and both flows agree by R6."""
    flow, return_c, fws_supply_c = r.flow_lpm, r.return_c, r.fws_supply_c
    if heat_w is None or flow is None or return_c is None or fws_supply_c is None:
        return False
    rise_k = heat_w / exchanger.tcs_capacity(flow)
    apart_k = rise_k - exchanger.effectiveness_of(lpm) * (return_c - fws_supply_c)
    return abs(apart_k) < _MODEL_K + _MODEL_SHARE * abs(rise_k)
