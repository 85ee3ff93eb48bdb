"""The air around the racks: its temperature, its moisture, and the residual heat it carries away.

Not a zone model: the air is well mixed, and what an air handler holds (or a scenario says) is what
it is. The residual heat is the share of the IT power that no cold plate takes; a chiller with a
coefficient of performance removes it.
"""

from __future__ import annotations

from dataclasses import dataclass

from hil.plant.air.psychrometrics import dew_point_c


@dataclass(slots=True)
class Room:
    """Room air; `air_fraction` of the IT power goes into it and leaves at `cop`."""

    celsius: float = 27.0
    humidity_pct: float = 50.0
    air_fraction: float = 0.2
    cop: float = 4.0
    _dew_state: tuple[float, float] = (0.0, 0.0)
    _dew_c: float = 0.0

    @property
    def dew_c(self) -> float:
        """Dew point of the room's air, degC."""
        state = (self.celsius, self.humidity_pct)
        if state != self._dew_state:
            self._dew_state = state
            self._dew_c = dew_point_c(*state)
        return self._dew_c

    def heat_kw(self, it_kw: float) -> float:
        """Heat that goes into the air, kW."""
        return it_kw * self.air_fraction

    def electric_kw(self, it_kw: float) -> float:
        """Electric power that removes it, kW."""
        return self.heat_kw(it_kw) / self.cop
