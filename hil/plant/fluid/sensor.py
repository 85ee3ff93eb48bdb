# SPDX-License-Identifier: Apache-2.0
"""A sensor: first-order lag and seeded noise.

The noise comes from a table, because a look-up takes a tenth of the time of a Gaussian draw. The
table is long, and its length is a prime number, so that no period is visible. Does not round to the
resolution of a register; the device does this.
"""

from __future__ import annotations

from math import exp
from random import Random

_TABLE = 1021  # a prime


class PlantSensor:
    """One measured quantity in its own unit; `value` is the output of the transmitter."""

    __slots__ = ("_decay", "_index", "_lag_s", "_lagged", "_table", "value")

    def __init__(
        self, rng: Random, start: float, lag_s: float, sigma: float, step_s: float
    ) -> None:
        """Start in steady state at `start`; `sigma` is the standard deviation of the noise."""
        self._lag_s = lag_s
        self._lagged = start
        self._table = [rng.gauss(0.0, sigma) for _ in range(_TABLE)]
        self._index = 0
        self.value = start + self._table[0]
        self.set_step(step_s)

    def set_step(self, step_s: float) -> None:
        """Set the step length, s."""
        self._decay = exp(-step_s / self._lag_s) if self._lag_s > 0.0 else 0.0

    def step(self, true_value: float) -> None:
        """Follow `true_value` for one step; the noise changes only at `next_noise_sample`."""
        lagged = true_value + (self._lagged - true_value) * self._decay
        self._lagged = lagged
        self.value = lagged + self._table[self._index]

    def override(self, value: float) -> None:
        """Replace the value until the next `step`."""
        self.value = value

    def next_noise_sample(self) -> None:
        """Take the next noise sample (the update of the transmitter, once a second)."""
        index = self._index + 1
        self._index = index if index < _TABLE else 0
