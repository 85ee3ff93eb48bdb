# SPDX-License-Identifier: Apache-2.0
"""The telemetry codec against zstd with a dictionary, on each shape of the published zoo."""

import pytest

from benchmarks.telemetry import stream, zoo
from protocols.telemetry import block


@pytest.mark.parametrize("rows", [60, 600])
def test_no_shape_is_much_larger_than_zstd(rows: int) -> None:
    ratios = {}
    for shape in zoo.ZOO:
        ours, theirs = zoo.compare(shape, rows, range(1, 3), 6_000 // rows)
        ratios[shape] = ours / theirs
    assert {shape: ratio for shape, ratio in ratios.items() if ratio > 1.1} == {}


@pytest.mark.parametrize(("rows", "limit"), [(60, 2.05), (600, 1.85)])
def test_bits_of_reference_stream(rows: int, limit: float) -> None:
    columns = stream.columns(1, 1800)
    size = 0
    for at in range(0, 1800, rows):
        size += len(block.encode(bytes(4), 0, [column[at : at + rows] for column in columns]))
    assert 8 * size / (1800 * len(columns)) <= limit
