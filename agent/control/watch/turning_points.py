# SPDX-License-Identifier: Apache-2.0
"""Turning points of a signal: divides it into half waves, from a peak to the next one.

Does not decide what a wave means; see `load_wave` and `oscillation`. A half wave ends when the
signal has turned by `band` from its last peak. So noise smaller than `band` ends none, and a slow
drift of the mean has no effect. Rainflow counting (ASTM E1049) uses the same turning points.
"""


class TurningPoints:
    """`count`: half waves in sequence from `shortest_s` to `longest_s`; `swing`: of the last one.

    `elapsed_s`: time of the present half wave; `last_s`: of the last one. `band` and `swing` are in
    the unit of the signal.
    """

    def __init__(self, band: float, shortest_s: float, longest_s: float) -> None:
        self.band = band
        self.count = 0
        self.swing = self.elapsed_s = self.last_s = 0.0
        self._shortest_s, self._longest_s = shortest_s, longest_s
        self._is_rising = False
        self._peak: float | None = None
        self._last_peak = 0.0

    def reset(self) -> None:
        """Forget the sequence."""
        self.count, self._peak = 0, None

    def set_band(self, band: float) -> None:
        """Set the least swing of a half wave."""
        self.band = band

    def discard(self) -> None:
        """Do not count the half waves until now."""
        self.count = 0

    def step(self, value: float, dt: float) -> bool:
        """Add the value of a cycle. Return True if a half wave ends."""
        peak = self._peak
        if peak is None:
            self._peak = self._last_peak = value
            self.elapsed_s = 0.0
            return False
        self.elapsed_s += dt
        if (value > peak) == self._is_rising:
            self._peak = peak = value
        turned = peak - value if self._is_rising else value - peak
        if self.elapsed_s > self._longest_s:
            self.count = 0
        if turned < self.band:
            return False
        is_wave = self._shortest_s < self.elapsed_s < self._longest_s
        self.count = self.count + 1 if is_wave else 0
        swing = peak - self._last_peak
        self.swing = abs(swing)
        self._last_peak, self._peak = peak, value
        self.last_s, self.elapsed_s = self.elapsed_s, 0.0
        self._is_rising = not self._is_rising
        return True
