# SPDX-License-Identifier: Apache-2.0
"""Latency of sentences against a reference: samples in, a proposed setting with its error out.

Does not open ports; see `agent.tools.clock.clock_calibrate`. A sample is the arrival of the first
byte of an epoch minus the instant that the epoch states, in µs.

A reference of pulses knows only the phase of the second. Its samples are modulo one second, and
the first sample decides the turn.
"""

import math
from dataclasses import dataclass

from protocols.time_units import SECOND

MIN_SAMPLES = 60
_SIGMAS = 4
_STEP_MS = 0.1


@dataclass(frozen=True)
class Latency:
    """A measured latency in ms. `drift_ms`: mean of the last third minus that of the first.

    `error_ms`: error of the reference, statistical error, drift and rounding. It covers only what
    was seen: another baud rate or list of sentences has another latency.
    """

    samples: int
    mean_ms: float
    deviation_ms: float
    earliest_ms: float
    latest_ms: float
    drift_ms: float
    reference_ms: float
    latency_ms: float
    error_ms: float


class LatencyMeter:
    """The samples of one measurement. `modulo`: the reference knows only the phase of a second."""

    def __init__(self, modulo: bool) -> None:
        self.samples: list[int] = []
        self._modulo = modulo

    def add(self, sample_us: int) -> None:
        """Add a sample."""
        if self._modulo:
            base = self.samples[0] if self.samples else SECOND // 2
            sample_us = base + (sample_us - base + SECOND // 2) % SECOND - SECOND // 2
        self.samples.append(sample_us)

    def result(self, reference_us: int) -> Latency | None:
        """Return the latency; `reference_us`: error of the reference. None: too few samples."""
        n = len(self.samples)
        if n < MIN_SAMPLES:
            return None
        samples = [sample / 1000 for sample in self.samples]
        mean = math.fsum(samples) / n
        if self._modulo:
            turn = mean - mean % 1000
            samples, mean = [sample - turn for sample in samples], mean - turn
        deviation = math.sqrt(math.fsum((s - mean) ** 2 for s in samples) / (n - 1))
        third = n // 3
        drift = (math.fsum(samples[-third:]) - math.fsum(samples[:third])) / third
        setting = round(mean / _STEP_MS) * _STEP_MS
        error = reference_us / 1000 + _SIGMAS * deviation / math.sqrt(n) + abs(drift)
        error += abs(setting - mean)
        return Latency(
            n,
            mean,
            deviation,
            min(samples),
            max(samples),
            drift,
            reference_us / 1000,
            round(setting, 1),
            round(math.ceil(max(error, _STEP_MS) / _STEP_MS - 1e-9) * _STEP_MS, 1),
        )
