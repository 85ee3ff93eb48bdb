"""A sensor: first-order lag and a little noise, seeded.

The noise is drawn once into a table and walked through, because a table look-up costs a tenth of a
Gaussian draw; the table is long and its length prime to the usual periods, so it does not show.
Rounding to a register's resolution is the device's business, not the sensor's.
"""

from __future__ import annotations

from math import exp
from random import Random

_TABLE = 1021  # a prime


class PlantSensor:
    """One measured quantity in its own unit; `value` is what the transmitter shows."""

    __slots__ = ("_decay", "_index", "_lag_s", "_lagged", "_table", "value")

    def __init__(
        self, rng: Random, start: float, lag_s: float, sigma: float, quantum_s: float
    ) -> None:
        """Start settled at `start`; `sigma` is the standard deviation of the noise."""
        self._lag_s = lag_s
        self._lagged = start
        self._table = [rng.gauss(0.0, sigma) for _ in range(_TABLE)]
        self._index = 0
        self.value = start + self._table[0]
        self.set_quantum(quantum_s)

    def set_quantum(self, quantum_s: float) -> None:
        """Use another step length."""
        self._decay = exp(-quantum_s / self._lag_s) if self._lag_s > 0.0 else 0.0

    def step(self, true_value: float) -> None:
        """Follow `true_value` for one quantum; the noise stands until the next `next_noise_sample`."""
        lagged = true_value + (self._lagged - true_value) * self._decay
        self._lagged = lagged
        self.value = lagged + self._table[self._index]

    def next_noise_sample(self) -> None:
        """Take the next noise sample (the transmitter's own update, once a second)."""
        index = self._index + 1
        self._index = index if index < _TABLE else 0
