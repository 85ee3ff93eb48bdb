"""Scenarios of the satellite link: judged, and the same bytes on both interpreters."""

import pytest

from hil.dut import InProcess
from hil.scenario import find
from hil.shells.lockstep import LockStep
from hil.virtualrun import Outcome, VirtualRun
from tests.peers import need

QUICK = ("link-alarm", "link-budget", "link-hostile", "link-outage", "link-resets")
LONG = ("link-masked",)


def _run(name: str, dut: str = "cpython", seed: int = 1) -> Outcome:
    run = VirtualRun(find(name), seed, LockStep if dut == "micropython" else InProcess)
    try:
        return run.outcome(dut, run.run())
    finally:
        run.dut.close()


@pytest.mark.parametrize("name", [*QUICK, *LONG])
def test_a_scenario_passes(name: str) -> None:
    assert _run(name).failures == ()


@pytest.mark.parametrize("name", ["link-alarm"])
def test_both_interpreters_say_the_same(name: str) -> None:
    need("micropython")
    assert _run(name).digest == _run(name, "micropython").digest


@pytest.mark.soak
@pytest.mark.parametrize("name", [*QUICK, *LONG])
def test_both_interpreters_say_the_same_in_every_scenario(name: str) -> None:
    need("micropython")
    assert _run(name).digest == _run(name, "micropython").digest


@pytest.mark.soak
@pytest.mark.parametrize("name", QUICK)
def test_a_scenario_passes_with_other_seeds(name: str) -> None:
    for seed in range(2, 12):
        assert _run(name, seed=seed).failures == (), seed
