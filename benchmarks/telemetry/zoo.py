# SPDX-License-Identifier: Apache-2.0
"""Shapes of columns for the comparison of the telemetry codec with zstd and a dictionary.

    python -m benchmarks.telemetry.zoo [--rows 60,600]

Each shape is a block of eight columns with parameters drawn from the seed. zstd -19 codes the
differences of the same block as zig-zag varints, with a dictionary of 8 kB that is trained on 200
other blocks of the shape. Both results are whole messages: our header and check, the frame of zstd.
"""

import argparse
import math
import random
import sys
from collections.abc import Callable
from typing import Any

from agent.tools.log_codec import zigzag_deltas
from benchmarks.telemetry import stream
from protocols.telemetry import block

Column = list[int | None]
_COLUMNS = 8
_DICTIONARY_BYTES, _SAMPLES = 8192, 200


def _steps(rng: random.Random, rows: int) -> Column:
    level, out = rng.randrange(1000), []
    for _ in range(rows):
        if rng.random() < 1 / 60:
            level = min(1000, max(0, level + rng.randrange(-15, 16)))
        out.append(level)
    return [*out]


def _walk(rng: random.Random, rows: int) -> Column:
    level, out = rng.uniform(100, 5000), []
    for _ in range(rows):
        level += rng.gauss(0, 0.3)
        out.append(round(level + rng.gauss(0, 1.5)))
    return [*out]


def _pulses(rng: random.Random, rows: int) -> Column:
    total, out = rng.randrange(1 << 24), []
    rate = rng.uniform(5, 200)
    for _ in range(rows):
        rate = max(1.0, rate + rng.gauss(0, 2))
        total += round(rate)
        out.append(total)
    return [*out]


def _wrapped(modulus: int, jitter: int) -> Callable[[random.Random, int], Column]:
    def make(rng: random.Random, rows: int) -> Column:
        at, rate = rng.randrange(modulus), rng.randrange(modulus // 400, modulus // 4)
        return [(at + rate * t + rng.randrange(jitter + 1)) % modulus for t in range(rows)]

    return make


def _signed_wrap(rng: random.Random, rows: int) -> Column:
    at, rate = rng.randrange(65_536), rng.randrange(100, 9_000)
    return [(at + rate * t) % 65_536 - 32_768 for t in range(rows)]


def _sine(noise: float, whole: bool) -> Callable[[random.Random, int], Column]:
    def make(rng: random.Random, rows: int) -> Column:
        period = rng.randrange(8, 41) if whole else rng.uniform(20, 200)
        size, phase = rng.uniform(50, 2_000), rng.random() * 6.283
        wave = [size * math.sin(phase + 2 * math.pi * (t % 10_000) / period) for t in range(rows)]
        if whole:
            wave = [wave[t % int(period)] for t in range(rows)]
        return [round(value + rng.gauss(0, noise)) for value in wave]

    return make


def _alternating(rng: random.Random, rows: int) -> Column:
    high = rng.randrange(1 << 40, 1 << 52)
    return [high if t % 2 else -high for t in range(rows)]


def _two_levels(rng: random.Random, rows: int) -> Column:
    low, high = rng.randrange(1000), rng.randrange(2000, 9000)
    return [round((high if t % 2 else low) + rng.gauss(0, 3)) for t in range(rows)]


def _square(rng: random.Random, rows: int) -> Column:
    half, level = rng.randrange(3, 15), rng.randrange(1, 100)
    return [level * (t // half % 2) for t in range(rows)]


def _saw(rng: random.Random, rows: int) -> Column:
    period, step = rng.randrange(5, 25), rng.randrange(1, 50)
    return [step * (t % period) for t in range(rows)]


def _gaps(rng: random.Random, rows: int) -> Column:
    return [value if rng.random() > 0.05 else None for value in _walk(rng, rows)]


def _bits(rng: random.Random, rows: int) -> Column:
    state, out = 0, []
    for _ in range(rows):
        state ^= rng.random() < 0.02
        out.append(state)
    return [*out]


def _ramp(rng: random.Random, rows: int) -> Column:
    start, rate = rng.randrange(1_000_000), rng.uniform(0.05, 20)
    return [start + int(rate * t) for t in range(rows)]


def _noise(rng: random.Random, rows: int) -> Column:
    return [rng.randrange(-(1 << 15), 1 << 15) for _ in range(rows)]


def _wide_noise(rng: random.Random, rows: int) -> Column:
    return [rng.randrange(-(1 << 52), 1 << 52) for _ in range(rows)]


def _time(rng: random.Random, rows: int) -> Column:
    start = 1_795_500_000_000 + rng.randrange(10**9)
    return [start + 1000 * t + rng.randrange(2) for t in range(rows)]


def _constant(rng: random.Random, rows: int) -> Column:
    return [rng.randrange(10_000)] * rows


ZOO: dict[str, Callable[[random.Random, int], Column]] = {
    "constant": _constant,
    "ramp": _ramp,
    "time in ms": _time,
    "counter of pulses": _pulses,
    "16-bit counter, steady": _wrapped(65_536, 0),
    "16-bit counter, jitter 20": _wrapped(65_536, 20),
    "16-bit counter, signed": _signed_wrap,
    "32-bit counter, jitter 1000": _wrapped(1 << 32, 1000),
    "counter to 9999": _wrapped(10_000, 3),
    "angle, 0.1 degree": _wrapped(3_600, 2),
    "sine, whole period": _sine(0, whole=True),
    "sine, any period": _sine(0, whole=False),
    "sine with noise": _sine(3, whole=False),
    "sine, whole period, noise": _sine(3, whole=True),
    "alternating extremes": _alternating,
    "two levels with noise": _two_levels,
    "square wave": _square,
    "saw tooth": _saw,
    "walk with noise": _walk,
    "walk with gaps": _gaps,
    "steps": _steps,
    "bits": _bits,
    "noise, 16 bits": _noise,
    "noise, 53 bits": _wide_noise,
}


def columns(shape: str, seed: int, rows: int) -> list[Column]:
    """Return the block of a shape."""
    rng = random.Random(f"{shape}/{seed}")
    return [ZOO[shape](rng, rows) for _ in range(_COLUMNS)]


def stream_columns(seed: int, rows: int) -> list[Column]:
    """Return a block of the reference stream."""
    return [[*column] for column in stream.columns(seed, rows)]


def compare(
    shape: str, rows: int, seeds: range = range(1, 6), count: int = _SAMPLES
) -> tuple[float, float]:
    """Return bits a value of our codec and of zstd, mean of `seeds`; `count` samples train it."""
    import zstandard  # noqa: PLC0415 - only for the comparison

    module: Any = zstandard
    samples = [zigzag_deltas(columns(shape, 1000 + i, rows)) for i in range(count)]
    try:
        dictionary = module.train_dictionary(_DICTIONARY_BYTES, samples)
        compressor = module.ZstdCompressor(level=19, dict_data=dictionary)
    except module.ZstdError:  # samples without anything in common
        compressor = module.ZstdCompressor(level=19)
    ours = theirs = 0
    for seed in seeds:
        data = columns(shape, seed, rows)
        encoded = block.encode(bytes(4), seed, data)
        if block.decode(encoded, len(data)).columns != data:
            raise AssertionError(shape)
        ours += len(encoded)
        theirs += len(compressor.compress(zigzag_deltas(data)))
    values = len(seeds) * rows * _COLUMNS
    return 8 * ours / values, 8 * theirs / values


def main(arguments: "list[str] | None" = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--rows", default="60,600", help="rows of a block, separated by commas")
    options = parser.parse_args(arguments)
    for rows in (int(word) for word in options.rows.split(",")):
        for shape in ZOO:
            ours, theirs = compare(shape, rows)
            print(f"{rows:5}  {shape:28} {ours:8.3f} {theirs:8.3f} {ours / theirs:6.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
