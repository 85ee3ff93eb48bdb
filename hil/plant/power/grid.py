# SPDX-License-Identifier: Apache-2.0
"""The public grid and the generator, as the row sees them: voltage, frequency, supply.

It is a state, not a network: the bench sets it (dip, outage, frequency), and the devices read it. A
generator starts some seconds after an outage and has a lower frequency under load. A dip, a
frequency and each cause of a failure are separate: the end of one ends no other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

_GENERATOR_HZ = 49.7  # 3 % droop at a fifth of the load, assumed
UNDERVOLTAGE = 0.65
"""Fraction of the nominal voltage below which a drive without ride-through trips (usual; ABB's DC
undervoltage limit is about 0.6 of the mains peak)."""


OUTAGE, GENERATOR_OUTAGE = "outage", "generator"
"""Causes of a failure of the mains."""


@dataclass(slots=True)
class Grid:
    """Mains and generator. `dip`: voltage of the mains as a fraction of nominal (0 to 1.2) while
    they have not failed. `mains_hertz`: their frequency. `failures`: the causes for which they have
    failed: they return when the last one has ended.
    """

    dip: float = 1.0
    mains_hertz: float = 50.0
    generator_running: bool = False
    failures: set[str] = field(default_factory=set)

    @property
    def voltage(self) -> float:
        """Voltage as a fraction of nominal."""
        if self.failures:
            return float(self.generator_running)
        return self.dip

    @property
    def hertz(self) -> float:
        """Frequency, Hz."""
        return _GENERATOR_HZ if self.generator_running else self.mains_hertz

    @property
    def supplied(self) -> bool:
        """Whether the voltage is above 0."""
        return self.voltage > 0.0

    def state(self) -> tuple[float, float]:
        """Return the voltage as a fraction of nominal, and the frequency in Hz."""
        return self.voltage, self.hertz if self.supplied else 0.0

    def set_voltage(self, fraction: float) -> None:
        """Set the voltage of the mains, as a fraction of nominal."""
        self.dip = fraction

    def set_frequency(self, hertz: float) -> None:
        """Set the frequency of the mains, Hz."""
        self.mains_hertz = hertz

    def fail(self, cause: str = OUTAGE) -> None:
        """Set a failure of the mains. It stops a generator: its start needs time again."""
        self.failures.add(cause)
        self.generator_running = False

    def start_generator(self) -> None:
        """Start the generator if the mains have failed."""
        self.generator_running = bool(self.failures)

    def restore(self, cause: str = OUTAGE) -> None:
        """End one cause of a failure. The last one stops the generator."""
        self.failures.discard(cause)
        self.generator_running = self.generator_running and bool(self.failures)
