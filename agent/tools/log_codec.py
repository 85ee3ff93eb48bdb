# SPDX-License-Identifier: Apache-2.0
"""`coldloop telemetry codec`: encode a CSV of integers in blocks, compared with other coders.

The table has one column for each signal. The first line has the names; integers follow (an empty
cell: no value). Each block is decoded again, alone, and compared. For comparison, the deltas of the
columns as zig-zag numbers go through zlib -9, and zstd -19 if Python has it, also block by block.
Bits per value include all bytes of the blocks.
"""

import argparse
import csv
import importlib
import json
import zlib
from collections.abc import Callable
from pathlib import Path

from agent.core.errors import AgentError
from protocols.errors import EncodeError
from protocols.telemetry import block, varint
from protocols.telemetry.schema import Schema

EXAMPLE = "coldloop telemetry codec stream.csv --block 60 --json"

Columns = list[list[int | None]]
Compressor = Callable[[bytes], bytes]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("file", metavar="FILE.csv")
    parser.add_argument(
        "--block", type=int, default=60, metavar="ROWS", help="rows for each block (60)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def read_table(path: str) -> tuple[list[str], Columns]:
    """Return names and columns. Raises `AgentError` with file and line."""
    with Path(path).open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    if len(lines) < 2 or not lines[0]:
        raise AgentError(f"{path}: no rows; the first line must name the columns, values follow")
    names, rows = lines[0], []
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(names):
            raise AgentError(f"{path}:{number}: {len(line)} cells for {len(names)} columns")
        try:
            rows.append([int(cell) if cell.strip() else None for cell in line])
        except ValueError:
            raise AgentError(f"{path}:{number}: a cell must be an integer or empty") from None
    return names, [list(column) for column in zip(*rows, strict=True)]


def zigzag_deltas(columns: Columns) -> bytes:
    """Return a block as zig-zag deltas, column by column; a gap repeats the last value."""
    out = bytearray()
    for column in columns:
        last = 0
        for value in column:
            current = last if value is None else value
            varint.put(varint.zigzag_encode(current - last), out)
            last = current
    return bytes(out)


def measure(names: list[str], columns: Columns, rows: int) -> dict[str, object]:
    """Encode and decode the table; return the record of --json."""
    try:
        schema = Schema([(name or "?", "", 1, 1) for name in names])
    except EncodeError as error:
        raise AgentError(str(error)) from None
    block_bytes, zlib_bytes, roundtrip = 0, 0, True
    for start_row in range(0, len(columns[0]), rows):
        block_columns = [column[start_row : start_row + rows] for column in columns]
        try:
            data = block.encode(schema.number, start_row, block_columns)
        except EncodeError as error:
            raise AgentError(f"rows from {start_row + 1}: {error}") from None
        roundtrip = roundtrip and block.decode(data, len(block_columns)).columns == block_columns
        block_bytes += len(data)
        zlib_bytes += len(zlib.compress(zigzag_deltas(block_columns), 9))
    values = len(columns) * len(columns[0])
    return {
        "block": rows,
        "values": values,
        "bytes": block_bytes,
        "bits_per_value": round(8 * block_bytes / values, 4),
        "zlib_bits_per_value": round(8 * zlib_bytes / values, 4),
        "roundtrip": roundtrip,
    }


def zstd_compressor() -> Compressor | None:
    """Return a zstd compressor of level 19 (Python 3.14 or zstandard); None without one."""
    for name in ("compression.zstd", "zstandard"):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        if name == "zstandard":
            return lambda data: bytes(module.ZstdCompressor(19).compress(data))
        return lambda data: bytes(module.compress(data, 19))
    return None


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; return 1 if a decoded block differs from its source."""
    if not 1 <= arguments.block <= block.MAX_ROWS:
        raise AgentError(f"--block {arguments.block}: 1 to {block.MAX_ROWS}")
    names, columns = read_table(arguments.file)
    record = measure(names, columns, arguments.block)
    if arguments.json:
        print(json.dumps(record))
        return 0 if record["roundtrip"] else 1
    compress = zstd_compressor()
    print(f"{record['values']} values in blocks of {record['block']} rows: {record['bytes']} bytes")
    print(f"this codec          {record['bits_per_value']:>7} bits per value")
    print(f"deltas and zlib -9  {record['zlib_bits_per_value']:>7} bits per value")
    if compress is not None:
        rows = arguments.block
        blocks = [
            [column[start_row : start_row + rows] for column in columns]
            for start_row in range(0, len(columns[0]), rows)
        ]
        bits = (
            8
            * sum(len(compress(zigzag_deltas(block_columns))) for block_columns in blocks)
            / float(str(record["values"]))
        )
        print(f"deltas and zstd -19 {bits:>7.4f} bits per value")
    print("every block decodes alone" if record["roundtrip"] else "A DECODED BLOCK DIFFERS")
    return 0 if record["roundtrip"] else 1
