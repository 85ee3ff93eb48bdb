# SPDX-License-Identifier: Apache-2.0
"""The air around the racks: temperature, humidity, and the residual heat that it removes.

Does not model zones: the air is well mixed, and its state is an input (an air handler or a
scenario). The residual heat is the fraction of the IT power that does not go into the cold plates.
A chiller with a coefficient of performance (COP) removes it.
"""

from __future__ import annotations

from dataclasses import dataclass

from hil.plant.air.psychrometrics import dew_point_c


@dataclass(slots=True)
class Room:
    """Room air; it takes up `air_fraction` of the IT power, removed at the COP `cop`."""

    celsius: float = 27.0
    humidity_pct: float = 50.0
    air_fraction: float = 0.2
    cop: float = 4.0
    _dew_state: tuple[float, float] = (0.0, 0.0)
    _dew_c: float = 0.0

    def set_temperature(self, celsius: float) -> None:
        """Set the air temperature, degC."""
        self.celsius = celsius

    def set_humidity(self, percent: float) -> None:
        """Set the relative humidity, %."""
        self.humidity_pct = percent

    @property
    def dew_c(self) -> float:
        """Dew point of the room air, degC."""
        state = (self.celsius, self.humidity_pct)
        if state != self._dew_state:
            self._dew_state = state
            self._dew_c = dew_point_c(*state)
        return self._dew_c

    def heat_kw(self, it_kw: float) -> float:
        """Return the heat into the air, kW."""
        return it_kw * self.air_fraction

    def electric_kw(self, it_kw: float) -> float:
        """Return the electric power of the chiller, kW."""
        return self.heat_kw(it_kw) / self.cop
