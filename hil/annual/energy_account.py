# SPDX-License-Identifier: Apache-2.0
"""The account of a year: energies, water, hours, extremes, and the printed record.

Does not emulate meters: the sums use true values of the plant. PUE is on the input side of
categories 1 to 3, with the losses of `hil.plant.power.electrical_chain`. Each part of PUE is
relative to the IT energy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hil.annual.site import AnnualSite

_H = 3600.0
_FLOW_TOLERANCE = 0.005
"""A flow that is below the limit of the platform by less than this fraction holds the limit."""

FORMAT = "coldloop-year-1"
"""Marks the record of a simulated year, so that no reader takes it for a measurement."""

KEYS = (
    "format",
    "weather",
    "rejection",
    "policy",
    "hours",
    "it_mwh",
    "loop_pct_of_it",
    "leak_pct_of_it",
    "water_price_pct_of_it",
    "cost_pct_of_it",
    "cost_mwh",
    "pue",
    "pue_leakage_apart",
    "pue_parts",
    "wue_l_per_kwh",
    "hours_shed",
    "energy_shed_pct",
    "hours_below_dew_margin",
    "hours_below_flow",
    "least_flow_lpm_kw",
    "hottest_supply_c",
    "worst_case_c",
    "valve_travel_pct",
    "reversals",
    "valve_travel_pct_week",
    "site",
    "unit",
    "proof",
    "arguments",
    "notes",
    "wall_s",
)
"""The keys that `--json` prints, in order; the rest of the record is for the text and the plot."""


class StepPowers(NamedTuple):
    """Powers of a step, W: IT with its leakage, the leakage, the load that is not served, the
    pumps, the facility pump and the fans.
    """

    it: float
    leak: float
    shed: float
    pump: float
    facility: float
    fan: float


@dataclass
class MonthSums:
    """Sums of one month, for the plot."""

    hours: float = 0.0
    it_kwh: float = 0.0
    pump_kwh: float = 0.0
    facility_kwh: float = 0.0
    fan_kwh: float = 0.0


@dataclass
class AnnualAccount:
    """Sums since the start; powers in W, times in s."""

    site: AnnualSite
    seconds: float = 0.0
    it_j: float = 0.0
    pump_j: float = 0.0
    facility_j: float = 0.0
    fan_j: float = 0.0
    water_kg: float = 0.0
    leak_j: float = 0.0
    not_served_j: float = 0.0
    shed_s: float = 0.0
    below_margin_s: float = 0.0
    min_margin_k: float = 99.0
    max_case_c: float = 0.0
    below_flow_s: float = 0.0
    min_flow_lpm: float = 1e9
    max_supply_c: float = -99.0
    reversals: int = 0
    travel_pct: float = 0.0
    parts_kwh: dict[str, float] = field(default_factory=dict)
    months: list[MonthSums] = field(default_factory=lambda: [MonthSums() for _ in range(12)])
    days: list[dict[str, float]] = field(default_factory=list)

    def add_hour(self, month: int, powers_w: tuple[float, float, float, float]) -> None:
        """Book an hour: mean powers of IT, pumps, facility pump and fans, W."""
        it, pump, facility, fan = powers_w
        loop_kw = (pump + facility + fan) / 1000.0
        for name, kw in self.site.fixed_losses_kw(it / 1000.0, loop_kw).items():
            self.parts_kwh[name] = self.parts_kwh.get(name, 0.0) + kw
        sums = self.months[month]
        sums.hours += 1.0
        sums.it_kwh += it / 1000.0
        sums.pump_kwh += pump / 1000.0
        sums.facility_kwh += facility / 1000.0
        sums.fan_kwh += fan / 1000.0

    def add_step(self, dt: float, powers_w: StepPowers) -> None:
        """Add `dt` seconds."""
        it, leak, shed, pump, facility, fan = powers_w
        self.seconds += dt
        self.it_j += it * dt
        self.leak_j += leak * dt
        self.not_served_j += shed * dt
        self.pump_j += pump * dt
        self.facility_j += facility * dt
        self.fan_j += fan * dt
        if shed > 0.0:
            self.shed_s += dt

    def add_extremes(self, dt: float, dew_margin_k: float, case_c: float) -> None:
        """Add the dew-point margin and the hottest case of a step of `dt` seconds."""
        if dew_margin_k < 0.0:
            self.below_margin_s += dt
        if dew_margin_k < self.min_margin_k:
            self.min_margin_k = dew_margin_k
        if case_c > self.max_case_c:
            self.max_case_c = case_c

    def add_coolant(self, dt: float, supply_c: float, flow_lpm: float) -> None:
        """Add the supply temperature and the secondary flow of a step of `dt` seconds."""
        if flow_lpm < (1.0 - _FLOW_TOLERANCE) * self.site.limits.min_lpm_kw * self.site.it_kw:
            self.below_flow_s += dt
        self.min_flow_lpm = min(self.min_flow_lpm, flow_lpm)
        self.max_supply_c = max(self.max_supply_c, supply_c)

    def reset_extremes(self) -> None:
        """Forget the hottest case and the smallest dew-point margin so far."""
        self.max_case_c, self.min_margin_k = 0.0, 99.0

    def add_water(self, kg: float) -> None:
        """Add consumed water, kg."""
        self.water_kg += kg

    def add_reversals(self, count: int) -> None:
        """Add reversals of the valve."""
        self.reversals += count

    def set_travel(self, percent: float) -> None:
        """Set the total travel of the valve, % of the stroke."""
        self.travel_pct = percent

    def add_day(self, values: dict[str, float]) -> None:
        """Add the values of one day for the plot."""
        self.days.append(values)

    @property
    def loop_j(self) -> float:
        """Energy of the cooling loop: both pumps and the fans, J."""
        return self.pump_j + self.facility_j + self.fan_j

    @property
    def cost_j(self) -> float:
        """Loop, leakage, and water at its price as energy, J."""
        return self.loop_j + self.leak_j + self.site.water_j(self.water_kg)

    def record(self, policy: str, wall_s: float) -> dict[str, Any]:
        """Return the record: the keys that `--json` prints (`KEYS`) and more."""
        site, it_j = self.site, self.it_j or 1.0
        it_kwh = self.it_j / 3.6e6 or 1.0
        loop = self.loop_j / self.it_j if self.it_j else 0.0
        parts = {name: kwh / it_kwh for name, kwh in sorted(self.parts_kwh.items())}
        parts = {"loop": loop, **parts}
        return {
            "format": FORMAT,
            "weather": self.site.weather.name,
            "rejection": self.site.kind,
            "policy": policy,
            "it_mwh": round(it_kwh / 1000.0, 1),
            "loop_pct_of_it": round(100.0 * loop, 3),
            "loop_parts_pct": {
                "pumps": round(100.0 * self.pump_j / it_j, 3),
                "facility_pump": round(100.0 * self.facility_j / it_j, 3),
                "fans": round(100.0 * self.fan_j / it_j, 3),
            },
            "leak_pct_of_it": round(100.0 * self.leak_j / it_j, 3),
            "water_price_pct_of_it": round(100.0 * site.water_j(self.water_kg) / it_j, 3),
            "cost_pct_of_it": round(100.0 * self.cost_j / it_j, 3),
            "cost_mwh": round(self.cost_j / 3.6e9, 3),
            "pue": round(1.0 + sum(parts.values()), 4),
            "pue_leakage_apart": round(
                it_j * (1.0 + sum(parts.values())) / max(it_j - self.leak_j, 1.0), 4
            ),
            "pue_parts": {name: round(fraction, 4) for name, fraction in parts.items()},
            "wue_l_per_kwh": round(self.water_kg / it_kwh, 3),
            "hours_shed": round(self.shed_s / _H, 1),
            "energy_shed_pct": round(
                100.0 * self.not_served_j / (self.it_j + self.not_served_j or 1.0), 4
            ),
            "hours_below_dew_margin": round(self.below_margin_s / _H, 2),
            "least_dew_margin_k": round(self.min_margin_k, 2),
            "hours_below_flow": round(self.below_flow_s / _H, 2),
            "least_flow_lpm_kw": round(self.min_flow_lpm / site.it_kw, 3),
            "hottest_supply_c": round(self.max_supply_c, 1),
            "worst_case_c": round(self.max_case_c, 1),
            "valve_travel_pct": round(self.travel_pct, 0),
            "reversals": self.reversals,
            "valve_travel_pct_week": round(
                self.travel_pct * 7.0 * 24.0 * _H / max(self.seconds, 1.0), 0
            ),
            "site": site.record(),
            "unit": None,
            "proof": None,
            "arguments": {},
            "notes": [],
            "hours": round(self.seconds / _H, 1),
            "wall_s": round(wall_s, 1),
        }
