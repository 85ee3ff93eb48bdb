"""What can be false about a sensor of the plant: offset, drift, noise, a held value.

Put over a `PlantSensor` only when somebody asks, so that an honest sensor costs nothing. What the
transmitter's electronics can do besides (a register that reads as dead) belongs to the device.
"""

from __future__ import annotations

from random import Random

from hil.plant.fluid.sensor import PlantSensor


class PlantSensorFault:
    """Spoils one sensor; all in the sensor's own unit, drift per second. Settable at any time."""

    __slots__ = ("_rng", "drift_s", "offset", "sensor", "sigma", "stuck_value")

    def __init__(self, sensor: PlantSensor, rng: Random) -> None:
        """Start honest."""
        self.sensor = sensor
        self.offset = self.drift_s = self.sigma = 0.0
        self.stuck_value: float | None = None
        self._rng = rng

    @property
    def fault_free(self) -> bool:
        """Whether nothing is false any more."""
        return self.stuck_value is None and not (self.offset or self.drift_s or self.sigma)

    def clear(self) -> None:
        """Take all of it away."""
        self.offset = self.drift_s = self.sigma = 0.0
        self.stuck_value = None

    def apply(self, dt_s: float) -> None:
        """Spoil what the sensor shows, after it has moved."""
        if self.stuck_value is not None:
            self.sensor.value = self.stuck_value
            return
        self.offset += self.drift_s * dt_s
        noise = self._rng.gauss(0.0, self.sigma) if self.sigma else 0.0
        self.sensor.value += self.offset + noise
