# SPDX-License-Identifier: Apache-2.0
"""Training of the initial contexts of the codec, protocols/telemetry/initial_contexts.py.

    python -m benchmarks.telemetry.codec_train [--seeds 1001-1008] [--rows 1200] [--write]

Seeds below 1000 are for tests and benchmarks, seeds from 1000 for the training. Half of the weight
is other columns than those of the stream: large spreads, ramps, gaps, constants. So the table does
not fit only one stream. The table is a part of the format: --write makes another format.
"""

import argparse
import math
import random
import re
import sys
from pathlib import Path
from typing import ClassVar

from benchmarks.telemetry import stream
from protocols.telemetry import block, initial_contexts
from protocols.telemetry.range_coder import RangeEncoder

FIRST_TRAINING_SEED = 1000
_ROWS = 60


class CountingEncoder(RangeEncoder):
    """Counts the decisions of each context while it encodes."""

    counts: ClassVar[list[list[int]]] = []

    def encode(self, decisions: "list[int]") -> None:  # type: ignore[override]
        """Count, then encode."""
        for decision in decisions:
            CountingEncoder.counts[decision >> 1][decision & 1] += 1
        super().encode(decisions)


def other_shapes(seed: int) -> "list[list[int | None]]":
    """Return columns of one block with shapes that the stream does not have."""
    rng = random.Random(seed)
    columns: list[list[int | None]] = []
    for i in range(12):
        width = 4 ** (i % 6) * 3
        level = rng.randrange(-20_000, 200_000)
        noise = [level + int(rng.gauss(0, width)) for _ in range(_ROWS)]
        columns.append([v if rng.random() > 0.02 * (i % 3) else None for v in noise])
    for i in range(4):
        rate, phase = rng.random() * 3, rng.random()
        start = rng.randrange(1_000_000)
        columns.append([start + int(phase + rate * t) for t in range(_ROWS)])
        columns.append([i * 7] * _ROWS)
    columns.append([None] * _ROWS)
    columns += structured_shapes(rng)
    return columns


def structured_shapes(rng: random.Random) -> "list[list[int | None]]":
    """Return a smooth, a periodic, an alternating and a wrapping column."""
    size, length = rng.randrange(20, 5_000), rng.uniform(30, 300)
    period, rate = rng.randrange(2, 30), rng.randrange(100, 9_000)
    start, high = rng.randrange(65_536), rng.randrange(1 << 30, 1 << 52)
    return [
        [high if t % 2 else -high for t in range(_ROWS)],
        [round(size * math.sin(6.28 * t / length)) for t in range(_ROWS)],
        [size + 7 * (t % period) for t in range(_ROWS)],
        [size + t % 2 * 3_000 + int(rng.gauss(0, 5)) for t in range(_ROWS)],
        [(start + rate * t + rng.randrange(9)) % 65_536 for t in range(_ROWS)],
    ]


def train(seeds: "list[int]", count: int) -> bytes:
    """Return the table: one byte for each context."""
    CountingEncoder.counts = [[1, 1] for _ in range(initial_contexts.COUNT)]
    original = vars(block)["RangeEncoder"]
    vars(block)["RangeEncoder"] = CountingEncoder
    try:
        for seed in seeds:
            whole = stream.columns(seed, count)
            for at in range(0, count, _ROWS):
                block.encode(bytes(4), 0, [column[at : at + _ROWS] for column in whole])
                if at % (6 * _ROWS) == 0:
                    block.encode(bytes(4), 0, other_shapes(seed * count + at))
    finally:
        vars(block)["RangeEncoder"] = original
    shares = [256 * ones // (zeros + ones) for zeros, ones in CountingEncoder.counts]
    return bytes(min(254, max(1, share)) for share in shares)


def _table_source(table: bytes) -> str:
    lines = [table[at : at + 33].hex() for at in range(0, len(table), 33)]
    text = "\n".join(f'    "{line}"' for line in lines)
    return f"_INITIAL = unhexlify(\n{text}\n)\n"


def main(arguments: "list[str] | None" = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--seeds", default="1001-1008", metavar="A-B")
    parser.add_argument("--rows", type=int, default=1200)
    parser.add_argument("--write", action="store_true", help="write the shipped table")
    options = parser.parse_args(arguments)
    first, last = (int(word) for word in options.seeds.split("-"))
    if first <= FIRST_TRAINING_SEED:
        parser.error("seeds up to 1000 are for tests and benchmarks")
    text = _table_source(train(list(range(first, last + 1)), options.rows))
    if not options.write:
        print(text, end="")
        return 0
    path = Path(str(initial_contexts.__file__))
    source = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"_INITIAL = (?s:.*?)\n\)\n", text, source), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
