# SPDX-License-Identifier: Apache-2.0
"""Telemetry stream of 40 signals at 1 Hz, as scaled integers: the input of codec measurements.

Mean-reverting walks plus white noise, rounded to the quantum of the sensor; valves with steps, an
energy counter, a leak bit. Also the entropy of the innovations of a Kalman filter on the same model
(`innovation_bits`): the limit of a coder that knows all parameters.
"""

import math
import random
from collections.abc import Iterator

Columns = list[list[int]]
Spec = tuple[str, float, float, float, float, float]
"""Name, start, drift per square root of a second, time of reversion in s, noise, quantum."""

SPECS: list[Spec] = [
    *[(f"T{i}", 30 + 2 * i / 3, 0.010, 1800.0, 0.03, 0.1) for i in range(12)],
    *[(f"P{i}", 2.5 + 0.2 * i, 0.002, 600.0, 0.008, 0.01) for i in range(8)],
    *[(f"F{i}", 180.0 + 10 * i, 0.05, 600.0, 0.25, 0.1) for i in range(4)],
    *[(f"PumpRPM{i}", 3200.0 + 50 * i, 0.8, 300.0, 2.0, 1.0) for i in range(4)],
    *[(f"FanRPM{i}", 1500.0, 2.0, 300.0, 5.0, 10.0) for i in range(2)],
    *[(f"kW{i}", 85.0, 0.15, 300.0, 0.1, 0.1) for i in range(2)],
    ("Hz", 50.0, 0.003, 200.0, 0.003, 0.01),
    ("V", 400.0, 0.05, 600.0, 0.2, 0.1),
    ("RH", 78.0, 0.01, 3600.0, 0.1, 0.1),
]
NAMES = [spec[0] for spec in SPECS] + ["Valve0", "Valve1", "Valve2", "kWh", "Leak"]


def rows(seed: int, count: int) -> Iterator[list[int]]:
    """Return `count` rows of the stream with this seed."""
    rng = random.Random(seed)
    walk = [0.0] * len(SPECS)
    valves = [450, 450, 450]
    energy = 12345.6
    for _ in range(count):
        row = []
        for i, (_, start, drift, tau, noise, quantum) in enumerate(SPECS):
            walk[i] = math.exp(-1 / tau) * walk[i] + rng.gauss(0, drift)
            row.append(round((start + walk[i] + rng.gauss(0, noise)) / quantum))
        for i in range(3):
            if rng.random() < 1 / 60:
                valves[i] = min(1000, max(0, valves[i] + rng.randrange(-15, 16)))
        energy += 85 / 3600
        yield row + valves + [int(energy * 10), 0]


def columns(seed: int, count: int) -> Columns:
    """Return the columns of the stream."""
    return [list(column) for column in zip(*rows(seed, count), strict=True)]


def _steady(drift: float, noise: float) -> tuple[float, float]:
    """Return gain and innovation variance of the filter for a walk in noise (local level)."""
    q, r = drift * drift, noise * noise
    prior = (q + math.sqrt(q * q + 4 * q * r)) / 2
    return prior / (prior + r), prior + r


def _probability(at: float, sigma: float) -> float:
    """Return the share of a normal distribution of width `sigma` within half a count of `at`."""
    scale = 1 / (sigma * math.sqrt(2))
    return 0.5 * (math.erf((at + 0.5) * scale) - math.erf((at - 0.5) * scale))


def innovation_bits(seed: int, count: int) -> float:
    """Return bits a value of a coder that knows the parameters of each walk.

    The filter treats rounding as noise of variance 1/12. The cost of a value comes from the
    prediction of the filter. Valves cost the entropy of their steps; counter and leak cost nothing.
    """
    total = 0.0
    for spec, column in zip(SPECS, columns(seed, count), strict=False):
        _, start, drift, tau, noise, quantum = spec
        gain, variance = _steady(drift / quantum, math.hypot(noise / quantum, math.sqrt(1 / 12)))
        sigma = math.sqrt(max(variance - 1 / 12, 1e-9))
        mean = start / quantum
        level, keep = mean, math.exp(-1 / tau)
        for value in column:
            level = mean + keep * (level - mean)
            total -= math.log2(max(_probability(value - level, sigma), 1e-12))
            level += gain * (value - level)
    step = 1 / 60 * (1 - 1 / 31)
    valve = -step * math.log2(step / 30) - (1 - step) * math.log2(1 - step)
    return (total + 3 * count * valve) / (count * len(NAMES))
