"""Pumps in parallel against a system curve.

Each pump follows H = H0 n^2 - k Q^2 (n is the speed over full speed), which obeys the affinity laws
exactly: at the same point of the curve Q goes with n and H with n^2. Each has a non-return valve,
so a slower pump never takes flow backwards. The system needs H = static + r Q^2. Inertia of the
fluid is not modelled: the flow follows the speeds at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from hil.plant.fluid.parameters import PlantParameters

_HALVINGS = 40  # of a bracket below 400 kPa: far below a millionth of a kPa


@dataclass(slots=True)
class PlantPump:
    """One pump with its own speed ramp; speeds in % of full speed.

    `command` sets where it goes and how fast; `speed_pct` is where it is. A `seized` pump stops at
    once and stays (a fault to inject).
    """

    slew_pct_s: float
    speed_pct: float = 0.0
    target_pct: float = 0.0
    rate_pct_s: float = 100.0
    seized: bool = False

    def command(self, target_pct: float, rate_pct_s: float) -> None:
        """Go to `target_pct` (0 to 110 %) at `rate_pct_s`, no faster than the rotor can."""
        self.target_pct = min(max(target_pct, 0.0), 110.0)
        self.rate_pct_s = min(max(rate_pct_s, 0.01), self.slew_pct_s)

    def step(self, dt_s: float) -> bool:
        """Move for `dt_s`; true when the speed changed."""
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
    """Where pumps and system meet: total flow, head and each pump's share."""

    flow_lpm: float
    head_kpa: float
    pump_lpm: tuple[float, ...]


def operating_point(
    p: PlantParameters, speeds_pct: list[float], stuck_open: frozenset[int] = frozenset()
) -> OperatingPoint:
    """Solve the network for pump speeds in %; flows in L/min, head in kPa.

    `stuck_open` are the indices of pumps whose non-return valve does not shut.
    """
    if stuck_open:
        return _backflow_point(p, speeds_pct, stuck_open)
    r = (p.row_kpa + p.inner_kpa) / p.tcs_design_lpm**2
    shutoff = [p.pump_shutoff_kpa * (n / 100.0) ** 2 for n in speeds_pct]
    high = max(shutoff, default=0.0)
    if high <= p.static_kpa:
        return OperatingPoint(0.0, high, tuple(0.0 for _ in shutoff))
    k = p.pump_slope_kpa_lpm2
    running = sum(1 for a in shutoff if a > p.static_kpa)
    head = _single_pump_head(high, p.static_kpa, k, r)
    if running > 1:
        head = _parallel_head(shutoff, head, high, p.static_kpa, k, r)
    pump_flows = tuple(_pump_flow(a, head, k) for a in shutoff)
    return OperatingPoint(sum(pump_flows), head, pump_flows)


def _pump_flow(shutoff_kpa: float, head_kpa: float, k: float) -> float:
    """Flow of one pump against `head_kpa`, 0 when its non-return valve is shut; L/min."""
    return sqrt((shutoff_kpa - head_kpa) / k) if shutoff_kpa > head_kpa else 0.0


def _single_pump_head(shutoff_kpa: float, static_kpa: float, k: float, r: float) -> float:
    """Head with one pump: a - k Q^2 = s + r Q^2 in closed form; kPa."""
    return static_kpa + r * (shutoff_kpa - static_kpa) / (k + r)


def _parallel_head(
    shutoff: list[float], low: float, high: float, static_kpa: float, k: float, r: float
) -> float:
    """Head with several pumps by halving: it lies between the best pump alone and its shut-off."""
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
    """The network when some pumps let flow back; their share is negative then."""
    r = (p.row_kpa + p.inner_kpa) / p.tcs_design_lpm**2
    k = p.pump_slope_kpa_lpm2
    shutoff = [p.pump_shutoff_kpa * (n / 100.0) ** 2 for n in speeds_pct]

    def signed_flow(i: int, head: float) -> float:
        if i in stuck_open and head > shutoff[i]:
            return -sqrt((head - shutoff[i]) / (k * p.nrv_slope))
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
