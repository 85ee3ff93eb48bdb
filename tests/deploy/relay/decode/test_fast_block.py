# SPDX-License-Identifier: Apache-2.0
"""Compiled reader of blocks: the same columns and the same errors as the reference."""

import os
import random
import subprocess
import sys
from binascii import crc32

import pytest

from benchmarks.telemetry import stream
from deploy.relay.decode import fast_block, row_format
from protocols.errors import DecodeError
from protocols.telemetry import block, column_v1
from tests.deploy.relay.relay_rig import ALARM, PipelineRig, bulk, pack
from tests.support.repository import ROOT

_COLUMNS = 6


def columns(rng: random.Random, rows: int) -> list[list[int | None]]:
    """Return columns of all kinds."""
    base = rng.choice((0, 5, -300, 1 << 40, -(1 << 45), (1 << 53) - 2))
    noise = rng.choice((0, 1, 30, 4000, 1 << 30))
    made: list[list[int | None]] = [
        [1_735_689_600_000 + 1000 * i for i in range(rows)],
        [base + rng.randrange(-noise, 1) for _ in range(rows)],
        [(7919 * i) % 65536 for i in range(rows)],
        [100 * (i % 2) for i in range(rows)],
        [rng.choice((None, 3, 4)) for _ in range(rows)],
        [(i * i) // 9 for i in range(rows)],
    ]
    return made


def outcome(reader: type[block.BlockReader], data: bytes, width: int) -> object:
    try:
        made = reader(data)
        return [made.read_column() for _ in range(width)], made.has_more()
    except DecodeError:
        return "error"


def compare(data: bytes, width: int) -> bool:
    """Compare both readers; return whether the compiled one has read the block."""
    reference = outcome(block.BlockReader, data, width)
    try:
        assert outcome(fast_block.FastBlockReader, data, width) == reference
    except fast_block.BeyondError:
        return False
    return True


def test_valid_blocks() -> None:
    rng = random.Random(1)
    read = 0
    for _ in range(120):
        rows = rng.choice((1, 2, 9, 60, 200))
        made = columns(rng, rows)
        data = block.encode(b"abcd", 1, made, b"xy")
        read += compare(data, _COLUMNS)
        compare(data, _COLUMNS - 1)
        compare(data, _COLUMNS + 2)
    assert read > 60
    data = block.encode(b"abcd", 1, [list(c[:60]) for c in stream.columns(1, 60)])
    assert compare(data, 40), "the usual block is read by the compiled code"


@pytest.mark.parametrize("seed", range(3))
def test_damaged_blocks(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(150):
        data = bytearray(block.encode(b"abcd", 1, columns(rng, rng.choice((5, 60)))))
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(9, len(data) - 2)] = rng.randrange(256)
        check = crc32(memoryview(data)[:-2])
        data[-2:] = bytes((check >> 8 & 255, check & 255))
        compare(bytes(data), _COLUMNS)


def test_a_relay_without_numba_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    with_numba, without = PipelineRig(), PipelineRig()
    with_numba.send(pack(ALARM, bulk(1)))
    monkeypatch.setattr(row_format, "fast_block", None)
    without.send(pack(ALARM, bulk(1)))
    assert with_numba.rows() == without.rows()
    with_numba.close()
    without.close()


def test_a_system_without_a_cache_folder_compiles_too() -> None:
    code = "from deploy.relay.decode import fast_block as f; print(f._contexts_of_spread(300))"
    made = {**os.environ, "NUMBA_CACHE_DIR": "/proc/none", "HOME": "/proc/none"}
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=made,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr


def test_version_1_is_left_to_the_reference() -> None:
    data = bytearray(block.encode(b"abcd", 1, [[1, 2, 3]]))
    data[0] = block.VERSION_1
    check = crc32(memoryview(data)[:-2])
    data[-2:] = bytes((check >> 8 & 255, check & 255))
    assert column_v1.RATE
    assert not compare(bytes(data), 1)
