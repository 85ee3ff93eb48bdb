# SPDX-License-Identifier: Apache-2.0
"""Ramp of the dP set-point to that of the optimiser, and the flow after a step of the load.

Does not search; see `agent.control.law.optimum.optimizer`, which keeps a reserve for such a step.
After a step the supply is still that of the load before. More flow cools the cases within seconds,
a colder supply within minutes. So the cases that would follow from the present supply and load
raise the set-point fast, and keep it up until the supply is colder.
"""

from agent.control.law.deterministic_math import sqrt_det

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.law.optimum.optimizer import SetpointOptimizer

_SLOW_KPA_S, _RETURN_KPA_S, _FAST_KPA_S = 1 / 5, 1.0, 10.0
"""Ramp to the optimum; down with a reserve of the cases; up while they get too warm."""
_BAND_K, _RESERVE_K = 2 / 5, 1.0
"""Excess of the cases from which the flow rises; reserve for a fast fall. With a band of 0.2 K the
noise of the supply moved the flow, and the valve twice as much as without this ramp.
"""


class DpRamp:
    """Moves the dP set-point to a target."""

    def __init__(self, optimizer: "SetpointOptimizer") -> None:
        self._optimizer = optimizer

    def step(
        self,
        kpa: float,
        target_kpa: float,
        design_kpa: float,
        supply_c: "float | None",
        load_kw: "float | None",
        dt: float,
    ) -> float:
        """Return the set-point `dt` seconds after `kpa`, kPa. `design_kpa`: that of the design
        flow. Without supply (°C) or load the ramp is slow.
        """
        up_kpa, down_kpa = _SLOW_KPA_S * dt, _SLOW_KPA_S * dt
        if supply_c is not None and load_kw is not None and kpa > 0.0:
            optimizer = self._optimizer
            flow = optimizer.exchanger.design_lpm * sqrt_det(kpa / design_kpa)
            excess_k = optimizer.case_excess_k(supply_c, load_kw, flow)
            if excess_k > _BAND_K:
                highest_kpa: float = optimizer.model.get("dp_max_kpa", design_kpa)
                target_kpa, up_kpa = max(target_kpa, highest_kpa), _FAST_KPA_S * dt
            elif excess_k > 0.0:
                target_kpa = max(target_kpa, kpa)
            elif excess_k < -_RESERVE_K:
                down_kpa = _RETURN_KPA_S * dt
        return kpa + max(-down_kpa, min(target_kpa - kpa, up_kpa))
