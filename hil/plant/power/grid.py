# SPDX-License-Identifier: Apache-2.0
"""The public grid and the generator, as the row sees them: voltage, frequency, supply.

It is a state, not a network: the bench sets it (dip, outage, frequency), and the devices read it. A
generator starts some seconds after an outage and has a lower frequency under load.
"""

from __future__ import annotations

from dataclasses import dataclass

_GENERATOR_HZ = 49.7  # 3 % droop at a fifth of the load, assumed
UNDERVOLTAGE = 0.65
"""Fraction of the nominal voltage below which a drive without ride-through trips (usual; ABB's DC
undervoltage limit is about 0.6 of the mains peak)."""


@dataclass(slots=True)
class Grid:
    """Voltage as a fraction of nominal (0 to 1.2), frequency in Hz, state of the generator."""

    voltage: float = 1.0
    hertz: float = 50.0
    generator_running: bool = False

    @property
    def supplied(self) -> bool:
        """Whether the voltage is above 0."""
        return self.voltage > 0.0

    def state(self) -> tuple[float, float]:
        """Return the voltage as a fraction of nominal, and the frequency in Hz."""
        return self.voltage, self.hertz if self.supplied else 0.0

    def set_voltage(self, fraction: float) -> None:
        """Set the voltage, as a fraction of nominal."""
        self.voltage = fraction

    def set_frequency(self, hertz: float) -> None:
        """Set the frequency, Hz."""
        self.hertz = hertz

    def fail(self) -> None:
        """Set a mains failure."""
        self.voltage, self.generator_running = 0.0, False

    def start_generator(self) -> None:
        """Start the generator if the mains have failed."""
        if not self.supplied:
            self.voltage, self.hertz, self.generator_running = 1.0, _GENERATOR_HZ, True

    def restore(self) -> None:
        """Restore nominal mains."""
        self.voltage, self.hertz, self.generator_running = 1.0, 50.0, False
