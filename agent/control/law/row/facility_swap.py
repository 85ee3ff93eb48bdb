# SPDX-License-Identifier: Apache-2.0
"""Supply and return temperature of the facility water that are exchanged.

Does not find another error of them: see `agent.control.law.row.facility_check` and
`agent.control.law.row.facility_temperature`.

Heat goes from warm to cold (second law of thermodynamics). So water that leaves an exchanger is not
colder than all that goes through it: a return that is the coldest of the four readings is the
supply. This is true also if supply and return of the row are exchanged, so their order is not used.
Then the heat of both sides is equal, and the effectiveness of the exchanger agrees (R1 and R6).
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.law.exchanger import Exchanger
    from agent.control.law.row.readings import RowReadings

_PROOF_S = 4.5  # between whole steps of 1 s: see docs/project/decisions.md, thresholds
_COLDER_K, _LEAST_K = 2.0, 15 / 10
_MISFIT_K, _MISFIT = 5 / 10, 1 / 3
"""Of the larger heat: the row is not steady when sensors fail."""


class FacilitySwap:
    """`is_swapped`: the readings are exchanged, until the return is the warmer one."""

    def __init__(self) -> None:
        self.is_swapped = False
        self._counted_s = 0.0

    def step(self, r: "RowReadings", exchanger: "Exchanger", dt: float) -> bool:
        """Check the readings of a cycle, and exchange those that are swapped. Return whether
        `is_swapped` has changed.
        """
        supply_c, return_c, was_swapped = r.fws_supply_c, r.fws_return_c, self.is_swapped
        if supply_c is None or return_c is None:
            return False
        if return_c >= supply_c:
            self.is_swapped, self._counted_s = False, 0.0
        elif not was_swapped:
            is_counted = _are_swapped(r, exchanger)
            self._counted_s = self._counted_s + dt if is_counted else 0.0
            self.is_swapped = self._counted_s >= _PROOF_S
        if self.is_swapped:
            r.fws_supply_c, r.fws_return_c = return_c, supply_c
        return self.is_swapped != was_swapped


def _are_swapped(r: "RowReadings", exchanger: "Exchanger") -> bool:
    """Return whether the return is the coldest reading, and R1 and R6 hold with exchanged readings,
    apart from the order of the row.
    """
    fws_supply_c, fws_return_c, lpm = r.fws_supply_c, r.fws_return_c, r.fws_flow_lpm
    supply_c, return_c, flow = r.supply_c, r.return_c, r.flow_lpm
    if fws_supply_c is None or fws_return_c is None or supply_c is None or return_c is None:
        return False
    if lpm is None or flow is None or flow <= 0.0:
        return False
    if fws_return_c > min(fws_supply_c, supply_c, return_c) - _COLDER_K:
        return False
    rise_k = abs(return_c - supply_c)
    heat_k = (fws_supply_c - fws_return_c) * exchanger.fws_capacity(lpm)
    heat_k /= exchanger.tcs_capacity(flow)
    exchanger.update_table(flow)
    model_k = exchanger.effectiveness_of(lpm) * (max(supply_c, return_c) - fws_return_c)
    larger_k = max(rise_k, heat_k)
    limit_k = _MISFIT_K + _MISFIT * larger_k
    return larger_k >= _LEAST_K and max(abs(rise_k - heat_k), abs(rise_k - model_k)) <= limit_k
