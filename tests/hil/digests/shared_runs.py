# SPDX-License-Identifier: Apache-2.0
"""Runs of scenarios for tests: each shipped scenario runs once on CPython, in whichever process.

Several tests compare with the undisturbed run of a scenario. The first of them runs it and stores
the result in the folder COLDLOOP_TEST_RUNS, which `tests/conftest.py` makes for each session. A
lock of the file makes another process wait. Without that variable each call runs. Do not use
`shared_result` where a test has replaced a part of the code.
"""

import fcntl
import functools
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from hil.kernel.dut import DutFactory, InProcessDut
from hil.run.several.open_run import open_run
from hil.run.virtual import RunResult
from hil.scenario.loader import find, shipped_files
from hil.scenario.model import Scenario, parse_model
from hil.shells.lockstep import LockStepDut
from tests.distribution import TEST_RUNS
from tests.support.repository import compiled_flash


@functools.cache
def shipped_models() -> dict[str, Scenario]:
    """Return the shipped scenarios by name, for lists of tests.

    Reads them without the check, which builds a bench for each: seconds in each process that
    collects tests. `tests/hil/scenario/test_scenario.py` checks them all.
    """
    return {
        name: parse_model(file.read_text(encoding="utf-8"), name)
        for name, file in sorted(shipped_files().items())
    }


class SharedResult(NamedTuple):
    """Digest and failed expectations of a run."""

    digest: str
    failures: tuple[str, ...]


def run_scenario(
    name: str | Scenario, seed: int = 1, make_dut: DutFactory = InProcessDut
) -> RunResult:
    """Run a shipped scenario or another one; always a new run."""
    run = open_run(find(name) if isinstance(name, str) else name, seed, make_dut)
    try:
        return run.make_result("any", run.run())
    finally:
        run.close()


def shared_result(name: str, seed: int = 1) -> SharedResult:
    """Return the result of a shipped scenario on CPython, from this or another process."""
    if TEST_RUNS not in os.environ:  # a mutation test
        result = run_scenario(name, seed)
        return SharedResult(result.digest or "", result.failures)
    path = Path(os.environ[TEST_RUNS], f"{name}-{seed}.json")
    with path.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        if not text:
            result = run_scenario(name, seed)
            text = json.dumps([result.digest, result.failures])
            file.write(text)
        digest, failures = json.loads(text)
        return SharedResult(digest, tuple(failures))


def quick_lock_step(*given: Any) -> LockStepDut:
    """Make MicroPython with precompiled files and a large heap: half the computing time.

    The heap of a board and the compilation of the sources have tests of their own.
    """
    return LockStepDut(*given, path=compiled_flash(), heap="8M")


def board_lock_step(heap: str) -> DutFactory:
    """Return a maker of MicroPython with precompiled files and the heap of a board."""

    def make(*given: Any) -> LockStepDut:
        return LockStepDut(*given, path=compiled_flash(), heap=heap)

    return make
