# SPDX-License-Identifier: Apache-2.0
"""An 800G optical module in the room air: 25 W, case temperature, CMIS thresholds.

The module is air-cooled also in a liquid-cooled rack. So it shows a hot room or a failed fan first.
In CMIS the case temperature is a signed 16-bit value in 1/256 degC (lower page, bytes 14 and 15).
High alarm and high warning stand on page 02h from bytes 128 and 132. Thresholds and resistances are
assumed for a commercial-temperature module (0 to 70 degC).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

WARNING_C, ALARM_C = 70.0, 75.0


@dataclass(slots=True)
class OpticalModule:
    """One module; `lanes` (0 to 8) are lit, `airflow` is the fraction of the design air flow."""

    case_c: float = 50.0
    watts: float = 25.0
    idle_fraction: float = 0.35  # assumed: remaining fraction with all lanes off
    k_w: float = 1.2  # assumed, case to air at the design flow
    j_k: float = 60.0  # assumed
    lanes: int = 8
    airflow: float = 1.0

    @property
    def power_w(self) -> float:
        """Electric power, W."""
        return self.watts * (self.idle_fraction + (1.0 - self.idle_fraction) * self.lanes / 8.0)

    def step(self, dt_s: float, air_c: float) -> float:
        """Step by `dt_s` in air at `air_c`; return the heat into the air, W."""
        k_w = self.k_w / max(self.airflow, 0.05) ** 0.6
        end, before = air_c + self.power_w * k_w, self.case_c
        self.case_c = end + (before - end) * exp(-dt_s / (k_w * self.j_k))
        return self.power_w - self.j_k * (self.case_c - before) / dt_s

    @property
    def cmis_temperature(self) -> int:
        """The CMIS register value: 1/256 degC, two's complement in 16 bits."""
        return round(self.case_c * 256.0) & 0xFFFF

    @property
    def warning(self) -> bool:
        """Whether the high warning is active."""
        return self.case_c >= WARNING_C

    @property
    def alarm(self) -> bool:
        """Whether the high alarm is active."""
        return self.case_c >= ALARM_C
