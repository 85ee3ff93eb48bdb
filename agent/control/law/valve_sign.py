# SPDX-License-Identifier: Apache-2.0
"""Is the valve mounted in reverse? The facility flow shows it while it should be nearly shut.

Does not move the valve; see `agent.control.valve`. The position cannot show it, because the
feedback belongs to the actuator. Below `_LOW_PCT`, a flow that is far above that of the position,
and near that of the opposite position, has no other cause: a leak through the seat or a low
pressure gives less. A valve that should be open and has no flow is no proof: the pump of the
facility may stand.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.law.exchanger import Exchanger

_LOW_PCT = 30.0
_FACTOR, _LEAST_SHARE = 3.0, 1 / 10
_NEAR, _FAR = 4 / 10, 16 / 10
_PROVE_S = 3.5  # between whole steps of 1 s: see docs/project/decisions.md, thresholds


class ValveSign:
    """Call `step` once a cycle."""

    def __init__(self) -> None:
        self._opposite_s = 0.0

    def step(
        self,
        position_pct: "float | None",
        fws_lpm: "float | None",
        exchanger: "Exchanger",
        dt: float,
    ) -> bool:
        """Return True once if the flow belongs to the opposite position: the direction is wrong."""
        if position_pct is None or fws_lpm is None or position_pct > _LOW_PCT:
            self._opposite_s = 0.0
            return False
        factor = exchanger.valve_flow_factor
        expected = exchanger.flow_at(position_pct) / factor
        opposite = exchanger.flow_at(100.0 - position_pct) / factor
        least = _FACTOR * expected + _LEAST_SHARE * exchanger.flows[-1]
        is_opposite = fws_lpm > least and _NEAR * opposite < fws_lpm < _FAR * opposite
        self._opposite_s = self._opposite_s + dt if is_opposite else 0.0
        if self._opposite_s < _PROVE_S:
            return False
        self._opposite_s = 0.0
        return True
