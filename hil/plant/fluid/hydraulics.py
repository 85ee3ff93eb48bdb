# SPDX-License-Identifier: Apache-2.0
"""Parallel pumps on a system curve.

Each pump follows H = H0 n^2 - k Q^2, with n the speed over full speed. This fits the affinity laws
exactly: at the same point of the curve, Q is proportional to n and H to n^2. Each pump has a
non-return valve, so a slower pump has no backflow. The system needs H = static + r Q^2. Does not
model the inertia of the fluid: the flow follows the speeds immediately.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from hil.plant.fluid.parameters import PlantParameters

_HALVINGS = 40  # of a bracket below 400 kPa: error far below 1e-6 kPa


@dataclass(slots=True)
class PlantPump:
    """One pump with its own speed ramp; speeds in % of full speed.

    `command` sets target and ramp; `speed_pct` is the actual speed. A `seized` pump (a fault) stops
    immediately and does not start. The shaft of an `uncoupled` pump (a fault) turns without effect.
    """

    slew_pct_s: float
    speed_pct: float = 0.0
    target_pct: float = 0.0
    rate_pct_s: float = 100.0
    seized: bool = False
    uncoupled: bool = False

    def command(self, target_pct: float, rate_pct_s: float) -> None:
        """Ramp to `target_pct` (0 to 110 %) at `rate_pct_s`, at most the slew rate."""
        self.target_pct = min(max(target_pct, 0.0), 110.0)
        self.rate_pct_s = min(max(rate_pct_s, 0.01), self.slew_pct_s)

    def set_seized(self, is_seized: bool) -> None:
        """Seize the rotor (a fault), or release it."""
        self.seized = is_seized

    def set_uncoupled(self, is_uncoupled: bool) -> None:
        """Break the coupling (a fault), or repair it."""
        self.uncoupled = is_uncoupled

    @property
    def impeller_pct(self) -> float:
        """Speed of the impeller, % of full speed: that of the shaft, or 0 without the coupling."""
        return 0.0 if self.uncoupled else self.speed_pct

    def step(self, dt_s: float) -> bool:
        """Step by `dt_s`; return whether the speed changed."""
        target = 0.0 if self.seized else self.target_pct
        difference = target - self.speed_pct
        if difference == 0.0:
            return False
        max_step = self.rate_pct_s * dt_s
        if self.seized or abs(difference) <= max_step:
            self.speed_pct = target
        else:
            self.speed_pct += max_step if difference > 0.0 else -max_step
        return True


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """The operating point of pumps and system: total flow, head and the flow of each pump."""

    flow_lpm: float
    head_kpa: float
    pump_lpm: tuple[float, ...]


def operating_point(
    p: PlantParameters, speeds_pct: list[float], stuck_open: frozenset[int] = frozenset()
) -> OperatingPoint:
    """Solve the network for pump speeds in %; flows in L/min, head in kPa.

    `stuck_open` holds the indices of the pumps with a non-return valve that does not shut.
    """
    if stuck_open:
        return _backflow_point(p, speeds_pct, stuck_open)
    r = (p.row_kpa + p.cdu_internal_kpa) / p.tcs_design_lpm**2
    return _forward_point(p, speeds_pct, p.static_kpa, r)


def header_point(p: PlantParameters, speeds_pct: list[float], header_kpa: float) -> OperatingPoint:
    """Solve the network of a unit that pumps against a header at `header_kpa`.

    All its non-return valves shut.
    """
    r = p.cdu_internal_kpa / p.tcs_design_lpm**2
    return _forward_point(p, speeds_pct, p.static_kpa + header_kpa, r)


def _forward_point(
    p: PlantParameters, speeds_pct: list[float], static_kpa: float, r: float
) -> OperatingPoint:
    """Solve a network with the static part `static_kpa` and the quadratic part `r`."""
    shutoff = [p.pump_shutoff_kpa * (n / 100.0) ** 2 for n in speeds_pct]
    high = max(shutoff, default=0.0)
    if high <= static_kpa:
        return OperatingPoint(0.0, high, tuple(0.0 for _ in shutoff))
    k = p.pump_slope_kpa_lpm2
    running = sum(1 for a in shutoff if a > static_kpa)
    head = _single_pump_head(high, static_kpa, k, r)
    if running > 1:
        head = _parallel_head(shutoff, head, high, static_kpa, k, r)
    pump_flows = tuple(_pump_flow(a, head, k) for a in shutoff)
    return OperatingPoint(sum(pump_flows), head, pump_flows)


def _pump_flow(shutoff_kpa: float, head_kpa: float, k: float) -> float:
    """Return the flow of one pump against `head_kpa`, L/min; 0 if its non-return valve is shut."""
    return sqrt((shutoff_kpa - head_kpa) / k) if shutoff_kpa > head_kpa else 0.0


def _single_pump_head(shutoff_kpa: float, static_kpa: float, k: float, r: float) -> float:
    """Return the head with one pump, kPa: a - k Q^2 = s + r Q^2 in closed form."""
    return static_kpa + r * (shutoff_kpa - static_kpa) / (k + r)


def _parallel_head(
    shutoff: list[float], low: float, high: float, static_kpa: float, k: float, r: float
) -> float:
    """Return the head of several pumps by bisection, from the best single pump to its shut-off."""
    for _ in range(_HALVINGS):
        head = 0.5 * (low + high)
        flow = 0.0
        for a in shutoff:
            if a > head:
                flow += sqrt((a - head) / k)
        if flow * flow * r > head - static_kpa:
            low = head
        else:
            high = head
    return 0.5 * (low + high)


def _backflow_point(
    p: PlantParameters, speeds_pct: list[float], stuck_open: frozenset[int]
) -> OperatingPoint:
    """Solve the network with backflow through some pumps; their flow is negative then."""
    r = (p.row_kpa + p.cdu_internal_kpa) / p.tcs_design_lpm**2
    k = p.pump_slope_kpa_lpm2
    shutoff = [p.pump_shutoff_kpa * (n / 100.0) ** 2 for n in speeds_pct]

    def signed_flow(i: int, head: float) -> float:
        if i in stuck_open and head > shutoff[i]:
            return -sqrt((head - shutoff[i]) / (k * p.nrv_slope_ratio))
        return _pump_flow(shutoff[i], head, k)

    low, high = 0.0, max(shutoff, default=0.0)
    head = high
    for _ in range(_HALVINGS):
        head = 0.5 * (low + high)
        flow = sum(signed_flow(i, head) for i in range(len(shutoff)))
        required_kpa = p.static_kpa + r * flow * flow if flow > 0.0 else 0.0
        low, high = (head, high) if flow > 0.0 and required_kpa > head else (low, head)
    pump_flows = tuple(signed_flow(i, head) for i in range(len(shutoff)))
    return OperatingPoint(max(sum(pump_flows), 0.0), head, pump_flows)
