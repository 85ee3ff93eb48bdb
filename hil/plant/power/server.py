# SPDX-License-Identifier: Apache-2.0
"""A server or GPU behind its cold plate: power, leakage, case temperature, power limit.

The input is the work demand (`demand_w`). The electric power is the work, at least the idle power,
plus leakage. Leakage grows with the case temperature. A limit from outside (Redfish) takes effect
after a delay; it cannot go below the minimum limit of the device. The work follows with a lag.
Above its maximum case temperature the device throttles itself; a controller must prevent this. All
figures are assumed, near those of accelerators of 700 to 1000 W.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

LEAK_AT_C = 60.0
"""Case temperature of the stated leakage, degC."""


@dataclass(frozen=True, slots=True)
class ServerParameters:
    """One device of 1 kW."""

    idle_w: float = 120.0  # assumed
    full_w: float = 1000.0  # design
    min_limit_w: float = 200.0  # the minimum limit of real devices is 200 W
    leakage_w: float = 40.0  # assumed, at a case temperature of 60 degC
    leakage_per_k: float = 0.012  # assumed: e-fold in 83 K
    delay_s: float = 0.5  # assumed: command to effect, 0.2 to 10 s depending on the platform
    lag_s: float = 0.3  # assumed
    case_j_k: float = 400.0  # as in the row's racks: 10 kJ/K for 25 devices
    case_max_c: float = 85.0  # assumed: the device throttles itself above
    throttle_w_k: float = 50.0  # assumed: reduction for each kelvin above


class ServerModel:
    """One device; inputs are `demand_w` and the coolant, outputs are `power_w` and `case_c`."""

    def __init__(self, parameters: ServerParameters | None = None, case_c: float = 50.0) -> None:
        """Start idle at a case temperature in degC."""
        self.parameters = parameters or ServerParameters()
        self.demand_w = self.parameters.idle_w
        self.case_c = case_c
        self.limit_w: float | None = None
        self.self_throttled = False
        self.power_w = self.parameters.idle_w
        self._work_w = self.parameters.idle_w
        self._pending_limits: list[tuple[float, float | None]] = []
        self._now_s = 0.0

    def set_limit(self, watts: float | None) -> None:
        """Request a limit in W (None: no limit); it takes effect after the delay of the device."""
        if watts is not None:
            watts = max(watts, self.parameters.min_limit_w)
        self._pending_limits.append((self._now_s + self.parameters.delay_s, watts))

    @property
    def leakage_w(self) -> float:
        """Leakage at the present case temperature, W."""
        return self.parameters.leakage_w * exp(
            self.parameters.leakage_per_k * (self.case_c - LEAK_AT_C)
        )

    def step(self, dt_s: float, inlet_c: float, plate_conductance_w_k: float) -> float:
        """Step by `dt_s` with coolant at `inlet_c`; return the heat to it, W."""
        p = self.parameters
        self._now_s += dt_s
        while self._pending_limits and self._pending_limits[0][0] <= self._now_s + 1e-9:
            self.limit_w = self._pending_limits.pop(0)[1]
        max_w = p.full_w if self.limit_w is None else min(self.limit_w, p.full_w)
        excess_k = self.case_c - p.case_max_c
        self.self_throttled = excess_k > 0.0
        if excess_k > 0.0:
            max_w = max(max_w - p.throttle_w_k * excess_k, p.idle_w)
        leak = self.leakage_w
        work = min(max(self.demand_w, p.idle_w), max(max_w - leak, p.idle_w))
        self._work_w = work + (self._work_w - work) * exp(-dt_s / p.lag_s)
        self.power_w = self._work_w + leak
        if plate_conductance_w_k <= 0.0:
            self.case_c += self.power_w * dt_s / p.case_j_k
            return 0.0
        end = inlet_c + self.power_w / plate_conductance_w_k
        before = self.case_c
        self.case_c = end + (before - end) * exp(-plate_conductance_w_k * dt_s / p.case_j_k)
        return self.power_w - p.case_j_k * (self.case_c - before) / dt_s
