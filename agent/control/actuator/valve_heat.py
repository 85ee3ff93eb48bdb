# SPDX-License-Identifier: Apache-2.0
"""Is the valve mounted in reverse? The heat of the row shows it if the facility flow cannot.

Does not turn the valve; see `agent.control.actuator.valve_check`. The flow meter is the better
proof, and immediate (`agent.control.actuator.valve.ValveSign`). But a meter can be false or dead.

    effectiveness = (return - supply) / (return - fws_supply)

Command and position are below `_LOW_PCT`, but the effectiveness is that of the opposite position,
and the supply has fallen from its highest value since they are, and the return of the facility or
of the row too. A false supply does not do this: nothing cools the row then, and both returns rise.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.law.cooling import ControlReadings
    from agent.control.law.exchanger import Exchanger

_LOW_PCT = 45.0
_LEAST_SPAN_K = 2.5
_FACTOR, _SLACK, _LEAST, _MOST = 2.0, 1 / 10, 6 / 10, 5 / 4
"""The exchanger follows the valve with a lag of 8 s: it shows less than the opposite position."""
_FALL_K = 15 / 10
_PROVE_S = 5.5  # between whole steps of 1 s: see docs/project/decisions.md, thresholds


class ValveHeatSign:
    """Call `step` once a cycle."""

    def __init__(self) -> None:
        self._highest_supply_c = self._highest_return_c = 0.0
        self._start_fws_return_c: float | None = None
        self._closed_s = self._opposite_s = 0.0

    def step(
        self,
        position_pct: "float | None",
        command_pct: "float | None",
        readings: "ControlReadings",
        exchanger: "Exchanger",
        dt: float,
    ) -> bool:
        """Return True once if the heat belongs to the opposite position. A flow that is proven is
        no reason to ask the heat.
        """
        is_closed = position_pct is not None and position_pct <= _LOW_PCT
        is_closed = is_closed and command_pct is not None and command_pct <= _LOW_PCT
        supply_c, return_c = readings.supply_c, readings.return_c
        if not is_closed or supply_c is None or return_c is None:
            self._closed_s = self._opposite_s = 0.0
            return False
        if self._closed_s == 0.0:
            self._highest_supply_c, self._highest_return_c = supply_c, return_c
            self._start_fws_return_c = readings.fws_return_c
        self._highest_supply_c = max(self._highest_supply_c, supply_c)
        self._highest_return_c = max(self._highest_return_c, return_c)
        self._closed_s += dt
        is_flow_proven = readings.fws_proof_lpm is not None and not readings.is_fws_flow_unproven
        is_opposite = (
            not is_flow_proven
            and supply_c < self._highest_supply_c - _FALL_K
            and (
                return_c < self._highest_return_c - _FALL_K
                or _has_fallen(self._start_fws_return_c, readings.fws_return_c)
            )
            and _is_opposite(position_pct or 0.0, return_c - supply_c, readings, exchanger)
        )
        self._opposite_s = self._opposite_s + dt if is_opposite else 0.0
        if self._opposite_s < _PROVE_S:
            return False
        self._closed_s = self._opposite_s = 0.0
        return True


def _is_opposite(
    position_pct: float, rise_k: float, readings: "ControlReadings", exchanger: "Exchanger"
) -> bool:
    """Return whether the effectiveness is that of the opposite position."""
    fws_supply_c = readings.fws_supply_c
    if fws_supply_c is None:
        return False
    span_k = (readings.return_c or 0.0) - fws_supply_c
    if span_k < _LEAST_SPAN_K:
        return False
    opposite = exchanger.effectiveness(100.0 - position_pct)
    found = rise_k / span_k
    is_far = found > _FACTOR * exchanger.effectiveness(position_pct) + _SLACK
    return is_far and _LEAST * opposite < found < _MOST * opposite


def _has_fallen(before_c: "float | None", now_c: "float | None") -> bool:
    return before_c is not None and now_c is not None and now_c < before_c - _FALL_K
