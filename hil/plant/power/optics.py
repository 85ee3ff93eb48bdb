"""An 800G optical module in the room's air: 25 W, its case temperature, CMIS thresholds.

Air-cooled even in a liquid-cooled rack, so that it is the first to notice a hot room or a fan that
fails. CMIS: case temperature is signed 16 bits of 1/256 degC (lower page, bytes 14 and 15), high
alarm and high warning stand on page 02h from bytes 128 and 132. Thresholds and resistances are
assumptions of a commercial-temperature module (0 to 70 degC).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

WARNING_C, ALARM_C = 70.0, 75.0


@dataclass(slots=True)
class OpticalModule:
    """One module; `lanes` of 8 are lit, `airflow` is the share of the design flow of air."""

    case_c: float = 50.0
    watts: float = 25.0
    idle_fraction: float = 0.35  # assumed: what is left with all lanes off
    k_w: float = 1.2  # assumed, case to air at the design flow
    j_k: float = 60.0  # assumed
    lanes: int = 8
    airflow: float = 1.0

    @property
    def power_w(self) -> float:
        """Power drawn, W."""
        return self.watts * (self.idle_fraction + (1.0 - self.idle_fraction) * self.lanes / 8.0)

    def step(self, dt_s: float, air_c: float) -> float:
        """Go on by `dt_s` in air at `air_c`; the heat that goes into it, W."""
        k_w = self.k_w / max(self.airflow, 0.05) ** 0.6
        end, before = air_c + self.power_w * k_w, self.case_c
        self.case_c = end + (before - end) * exp(-dt_s / (k_w * self.j_k))
        return self.power_w - self.j_k * (self.case_c - before) / dt_s

    @property
    def cmis_temperature(self) -> int:
        """The register: 1/256 degC, two's complement in 16 bits."""
        return round(self.case_c * 256.0) & 0xFFFF

    @property
    def warning(self) -> bool:
        """Whether the high warning stands."""
        return self.case_c >= WARNING_C

    @property
    def alarm(self) -> bool:
        """Whether the high alarm stands."""
        return self.case_c >= ALARM_C
