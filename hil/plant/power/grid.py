"""The public grid and the generator behind it, as the row sees them: voltage, frequency, supply.

A state, not a network: whoever runs the bench says what happens (dip, outage, frequency), the
devices ask what there is. A generator takes over some seconds after an outage and runs a little
slow under load.
"""

from __future__ import annotations

from dataclasses import dataclass

_GENERATOR_HZ = 49.7  # 3 % droop at a fifth of the load, assumed
UNDERVOLTAGE = 0.65
"""Share of the nominal voltage below which a drive without ride-through trips (usual, as in ABB's
DC undervoltage limit of about 0.6 times the mains' peak)."""


@dataclass(slots=True)
class Grid:
    """Voltage as a share of nominal (0 to 1.2), frequency in Hz, and whether a generator runs."""

    voltage: float = 1.0
    hertz: float = 50.0
    generator_running: bool = False

    @property
    def supplied(self) -> bool:
        """Whether there is any voltage."""
        return self.voltage > 0.0

    def state(self) -> tuple[float, float]:
        """Voltage as a share of nominal, and frequency in Hz."""
        return self.voltage, self.hertz if self.supplied else 0.0

    def fail(self) -> None:
        """The mains are gone."""
        self.voltage, self.generator_running = 0.0, False

    def start_generator(self) -> None:
        """The generator takes over, unless the mains are there."""
        if not self.supplied:
            self.voltage, self.hertz, self.generator_running = 1.0, _GENERATOR_HZ, True

    def restore(self) -> None:
        """The mains are back to nominal."""
        self.voltage, self.hertz, self.generator_running = 1.0, 50.0, False
