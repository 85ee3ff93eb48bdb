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
from collections.abc import Callable
from pathlib import Path
from struct import pack
from typing import Any, NamedTuple

from hil.kernel.dut import DutFactory, InProcessDut, StepResult
from hil.run.several.open_run import open_run
from hil.run.virtual import RunResult
from hil.scenario.loader import find, shipped_files
from hil.scenario.model import Scenario, parse_model
from hil.shells import lockstep_child
from hil.shells.lockstep import LockStepDut
from tests.distribution import TEST_RUNS
from tests.support.repository import compiled_flash

_BATCH_BYTES = 32_768
"""Less than a pipe holds, so to write does not wait for MicroPython, which can wait to write."""


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


def shared_result(name: str, seed: int = 1, make_dut: DutFactory = InProcessDut) -> SharedResult:
    """Return the result of a shipped scenario on CPython, from this or another process.

    With `on_both` it runs in any case. If the result is known, it must be the same.
    """
    if TEST_RUNS not in os.environ:  # a mutation test
        return _run_shared(name, seed, make_dut)
    path = Path(os.environ[TEST_RUNS], f"{name}-{seed}.json")
    with path.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        known = file.read()
        if known and make_dut is InProcessDut:
            digest, failures = json.loads(known)
            return SharedResult(digest, tuple(failures))
        result = _run_shared(name, seed, make_dut)
        text = json.dumps(result)
        if not known:
            file.write(text)
        assert known in ("", text)
        return result


def _run_shared(name: str, seed: int, make_dut: DutFactory) -> SharedResult:
    result = run_scenario(name, seed, make_dut)
    return SharedResult(result.digest or "", result.failures)


class OnBothDut(InProcessDut):
    """The agent in this process, followed by one on MicroPython: each step has the same result.

    A run of its own on MicroPython would have the same inputs as long as the outputs are the same.
    So its digest is the same if each step is, and the bench runs once instead of twice.
    MicroPython follows in batches, because a change of the process empties the caches of the core.
    """

    def __init__(self, make_micropython: Callable[..., LockStepDut], *given: Any) -> None:
        self._follower = make_micropython(*given)
        super().__init__(*given)
        self._inputs = b""
        self._results: list[StepResult] = []

    def _follow(
        self, kind: int, port: int, now: int, data: bytes, result: StepResult
    ) -> StepResult:
        self._inputs += pack(lockstep_child.HEADER, kind, port, now, len(data)) + data
        self._results.append(result)
        if len(self._inputs) >= _BATCH_BYTES:
            self._compare()
        return result

    def _compare(self) -> None:
        """Give the inputs so far to MicroPython, and compare its results."""
        while self._inputs:
            self._inputs = self._inputs[os.write(self._follower._in, self._inputs) :]
        for result in self._results:
            assert self._follower._step_result() == result
        self._results.clear()

    def start(self, now: int) -> StepResult:
        return self._follow(lockstep_child.START, 0, now, b"", super().start(now))

    def receive(self, port: int, data: bytes, now: int) -> StepResult:
        result = super().receive(port, data, now)
        return self._follow(lockstep_child.RECEIVE, port, now, data, result)

    def event(self, port: int, kind: str, now: int) -> StepResult:
        result = super().event(port, kind, now)
        return self._follow(lockstep_child.EVENT, port, now, kind.encode(), result)

    def wake(self, now: int) -> StepResult:
        return self._follow(lockstep_child.WAKE, 0, now, b"", super().wake(now))

    def inject(self, piece: str, call: int) -> None:
        self._compare()
        super().inject(piece, call)
        self._follower.inject(piece, call)

    def close(self) -> None:
        try:
            self._compare()
        finally:
            self._follower.close()


def on_both(make_micropython: Callable[..., LockStepDut]) -> DutFactory:
    """Return a maker of both agents; the one of MicroPython by `make_micropython`."""
    return functools.partial(OnBothDut, make_micropython)


def quick_lock_step(*given: Any) -> LockStepDut:
    """Make MicroPython with precompiled files and a large heap: half the computing time.

    The heap of a board and the compilation of the sources have tests of their own.
    """
    return LockStepDut(*given, path=compiled_flash(), heap="8M")


def board_lock_step(heap: str) -> Callable[..., LockStepDut]:
    """Return a maker of MicroPython with precompiled files and the heap of a board."""

    def make(*given: Any) -> LockStepDut:
        return LockStepDut(*given, path=compiled_flash(), heap=heap)

    return make
