# SPDX-License-Identifier: Apache-2.0
"""Faults of a plant sensor: offset, drift, noise, a constant value.

The plant makes a fault object on demand, so that a fault-free sensor costs no time. Does not model
faults of the transmitter's electronics (for example a register that reads as dead); see
`hil.devices`.
"""

from __future__ import annotations

from random import Random

from hil.plant.fluid.sensor import PlantSensor

KINDS = ("offset", "drift_s", "sigma", "stuck_value")


class PlantSensorFault:
    """The faults of one sensor, in the unit of the sensor; drift in units per second."""

    __slots__ = ("_rng", "_sensor", "drift_s", "offset", "sigma", "stuck_value")

    def __init__(self, sensor: PlantSensor, rng: Random) -> None:
        """Start without a fault."""
        self._sensor = sensor
        self.offset = self.drift_s = self.sigma = 0.0
        self.stuck_value: float | None = None
        self._rng = rng

    def inject(self, name: str, value: float) -> None:
        """Set a fault of `KINDS` to `value`; raises `ValueError` for another name."""
        if name not in KINDS:
            raise ValueError(f"no sensor fault {name!r}: one of {', '.join(KINDS)}")
        setattr(self, name, value)

    @property
    def fault_free(self) -> bool:
        """Return whether no fault is active."""
        return self.stuck_value is None and not (self.offset or self.drift_s or self.sigma)

    def clear(self) -> None:
        """Clear all faults."""
        self.offset = self.drift_s = self.sigma = 0.0
        self.stuck_value = None

    def apply(self, dt_s: float) -> None:
        """Apply the faults to the value of the sensor, after the step of the sensor."""
        if self.stuck_value is not None:
            self._sensor.override(self.stuck_value)
            return
        self.offset += self.drift_s * dt_s
        noise = self._rng.gauss(0.0, self.sigma) if self.sigma else 0.0
        self._sensor.override(self._sensor.value + (self.offset + noise))
