"""The log's scenarios on both interpreters, and on a board's heap; many seeds of power cuts."""

from typing import Any

import pytest

from hil.dut import InProcess
from hil.scenario import find
from hil.shells.lockstep import LockStep
from hil.virtualrun import MakeDut, Outcome, VirtualRun
from tests.house import flash
from tests.peers import need

NAMES = ("link-outage", "link-half-open", "power-cuts", "disk-full")


def outcome(name: str, seed: int = 1, make: MakeDut = InProcess) -> Outcome:
    run = VirtualRun(find(name), seed, make)
    try:
        return run.outcome("", run.run())
    finally:
        run.dut.close()


@pytest.mark.parametrize("name", NAMES)
def test_passes_with_one_digest_on_a_board_s_heap(name: str) -> None:
    need("micropython")

    def board(*given: Any) -> LockStep:
        return LockStep(*given, path=flash(), heap="256wK")

    here, there = outcome(name), outcome(name, make=board)
    assert here.failures == ()
    assert (there.digest, there.failures) == (here.digest, ())


@pytest.mark.soak
@pytest.mark.parametrize("name", NAMES)
def test_many_seeds(name: str) -> None:
    for seed in range(2, 40):
        assert outcome(name, seed).failures == (), seed
