"""A day of virtual time with 32-bit floats: the heap is at its end what it was after an hour."""

from dataclasses import replace

import pytest

from hil.run.dut_float32 import UnixF32
from hil.run.virtual import VirtualRun
from hil.scenario.loader import find
from tests.support.peers import need

HOUR = 3600
_ROOM = 4096
"""Bytes that live objects may differ by from hour to hour: bytes on their way, a longer text."""


def live_heap(hours: int) -> list[int]:
    """Live heap at the end of each hour of a steady unit, bytes."""
    run = VirtualRun(replace(find("smoke"), seconds=float(hours * HOUR)), 1, UnixF32)
    found: list[int] = []
    assert isinstance(run.dut, UnixF32)
    dut = run.dut

    def look(second: int) -> None:
        if second % HOUR == 0:
            found.append(dut.live_heap())

    try:
        assert run.outcome("unix-f32", run.run(look)).failures == ()
    finally:
        dut.close()
    return found


@pytest.mark.soak
def test_a_day_leaves_the_heap_as_it_was() -> None:
    need("gcc")
    found = live_heap(24)
    print("live heap, bytes:", found)
    assert len(found) == 24
    assert max(found) - found[0] <= _ROOM
