# SPDX-License-Identifier: Apache-2.0
"""Proof of the search: a lower bound of the cost of all steady states of an hour.

Branch and bound over pump speed, valve and fans. In a box of the three, each term of the cost is at
least its value at the corner where it is smallest, because each term of

    case = intake + (Q + S + F)(1/Gc - 1/Cf) + (Q + S)/Gx - Q/Ct + Q/Gp

moves in one direction with each variable: 1/Gc - 1/Cf (the cold water above the intake) rises with
the facility flow and falls with the fans; 1/Gx - 1/Ct rises with the secondary flow and falls with
the facility flow; 1/Gx and 1/Gp fall with the flows; the powers rise. So the case in a box is not
colder, and its leakage not less, than the value from the best corner of each term. A box whose
coldest case or supply breaks a limit holds no state. The box with the least bound is halved until
the bound is within the tolerance of the best state found.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import NamedTuple

from hil.annual.bound.steady_search import MIN_VALVE_PCT, Conditions, FlowState, SteadySearch
from hil.plant.air.cooler import Air, cooler_conductance_w_k, fan_w

_MAX_BOXES = 20_000


class Proof(NamedTuple):
    """Result: cost of the search and its lower bound, W, and the boxes that it took."""

    cost_w: float
    bound_w: float
    boxes: int

    @property
    def gap(self) -> float:
        """Largest error of the search, as a fraction of its cost."""
        return 1.0 - self.bound_w / self.cost_w


class _Box(NamedTuple):
    """Ranges of pump speed, valve and fans: low and high of each, %, %, 0 to 1."""

    pump: tuple[float, float]
    valve: tuple[float, float]
    fan: tuple[float, float]


class SearchProof:
    """Proves the results of a search; see the module."""

    def __init__(self, search: SteadySearch) -> None:
        self._search = search
        self._flows_cache: dict[tuple[float, float], FlowState] = {}

    def prove(self, c: Conditions, tolerance: float = 0.005) -> Proof | None:
        """Return the proof for these conditions; None if the search found no state."""
        best = self._search.search(c)
        if best is None:
            return None
        site = self._search.site
        first = _Box((site.min_pump_pct, 100.0), (MIN_VALVE_PCT, 100.0), (0.0, 1.0))
        heap: list[tuple[float, int, _Box]] = [(self._bound(first, c), 0, first)]
        boxes = 1
        while heap and boxes < _MAX_BOXES:
            bound, _, box = heap[0]
            if bound >= (1.0 - tolerance) * best.cost_w:
                break
            heappop(heap)
            for half in _halves(box, first):
                boxes += 1
                bound = self._bound(half, c)
                if bound < best.cost_w:
                    heappush(heap, (bound, boxes, half))
        return Proof(best.cost_w, heap[0][0] if heap else best.cost_w, boxes)

    def _flows(self, pump: float, valve: float) -> FlowState:
        flows = self._flows_cache.get((pump, valve))
        if flows is None:
            flows = self._flows_cache[pump, valve] = self._search.make_flows(pump, valve)
        return flows

    def _bound(self, box: _Box, c: Conditions) -> float:
        """Return a lower bound of the cost in a box, W; infinity if it holds no state."""
        search, site = self._search, self._search.site
        (n1, n2), (v1, v2), (f1, f2) = box
        low, high = self._flows(n1, v1), self._flows(n2, v2)
        across = self._flows(n1, v2)
        air = Air(c.intake_c, c.intake_c, c.density)
        g = cooler_conductance_w_k(site.cooler, site.kind, air, c.wet, low.fws_w_k, f2)
        cold_k_w = 1.0 / g - 1.0 / low.fws_w_k
        fixed_w = low.shaft_w + low.facility_w
        offset = c.intake_c + fixed_w * cold_k_w + low.shaft_w / high.exchange_w_k
        supply_k_w = cold_k_w + 1.0 / across.exchange_w_k - 1.0 / across.tcs_w_k
        case = search.solve_case(offset, supply_k_w + 1.0 / high.plate_w_k, c.work_w)
        limits = site.limits
        if case is None or case > limits.case_max_c:
            return float("inf")
        leakage_w = search.leakage_at_w(case)
        if offset + (c.work_w + leakage_w) * supply_k_w > limits.supply_max_c:
            return float("inf")
        fans = fan_w(site.cooler, site.kind, f1, c.density)
        water = search.water_kg_s(c, f1, c.work_w + leakage_w + fixed_w)
        return low.pump_w + low.facility_w + fans + leakage_w + site.water_j(water)


def _halves(box: _Box, first: _Box) -> tuple[_Box, _Box]:
    """Return the box in two, cut across its longest side relative to the first box."""
    sides = [(high - low) / (b - a) for (low, high), (a, b) in zip(box, first, strict=True)]
    axis = sides.index(max(sides))
    low, high = box[axis]
    middle = 0.5 * (low + high)
    ranges = list(box)
    ranges[axis] = (low, middle)
    lower = _Box(*ranges)
    ranges[axis] = (middle, high)
    return lower, _Box(*ranges)
