# SPDX-License-Identifier: Apache-2.0
"""A day of virtual time with 32-bit floats: the heap is constant after the first hour."""

from dataclasses import replace

import pytest

from hil.run.dut_float32 import UnixF32
from hil.run.virtual import VirtualRun
from hil.scenario.loader import find
from tests.support.programs import require_program

HOUR = 3600
_TOLERANCE_BYTES = 4096
"""Allowed change of the live heap from hour to hour, bytes: queued data, a longer text."""


def live_heap(hours: int) -> list[int]:
    """Return the live heap at the end of each hour of a steady unit, bytes."""
    run = VirtualRun(replace(find("smoke"), seconds=float(hours * HOUR)), 1, UnixF32)
    samples: list[int] = []
    assert isinstance(run.dut, UnixF32)
    dut = run.dut

    def on_second(second: int) -> None:
        if second % HOUR == 0:
            samples.append(dut.live_heap())

    try:
        assert run.make_result("unix-f32", run.run(on_second)).failures == ()
    finally:
        dut.close()
    return samples


@pytest.mark.soak
def test_heap_is_constant_over_a_day() -> None:
    require_program("gcc")
    samples = live_heap(24)
    print("live heap, bytes:", samples)
    assert len(samples) == 24
    assert max(samples) - samples[0] <= _TOLERANCE_BYTES
