"""Scenarios of the satellite link with other seeds; tests/test_hil_runs.py runs each with one."""

import pytest

from hil.dut import InProcess
from hil.scenario import find
from hil.virtualrun import Outcome, VirtualRun

QUICK = ("link-alarm", "link-budget", "link-hostile", "link-no-sky", "link-resets")


def _run(name: str, seed: int = 1) -> Outcome:
    run = VirtualRun(find(name), seed, InProcess)
    try:
        return run.outcome("cpython", run.run())
    finally:
        run.dut.close()


@pytest.mark.soak
@pytest.mark.parametrize("name", QUICK)
def test_a_scenario_passes_with_other_seeds(name: str) -> None:
    for seed in range(2, 12):
        assert _run(name, seed=seed).failures == (), seed
