# SPDX-License-Identifier: Apache-2.0
"""A scenario with several controllers, with the interface of `hil.run.virtual.VirtualRun`.

Does not emulate; see `pair_scenario` and `group_scenario`, which say how a second passes and how a
measure is read. The controllers run on CPython in this process. So there is no other controller
under test, no capture and no real time.
"""

from __future__ import annotations

import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from hil.kernel.world import World
from hil.run.virtual import RunResult, name_interruption
from hil.scenario.judge import Evaluator
from hil.scenario.model import Scenario
from hil.shells.several import PausableShell


class SeveralRun(ABC):
    """One scenario with one seed, ready to `run`.

    `status`: the last one of the controller that a person would ask; None: there is none yet.
    """

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.scenario = scenario
        self.seed = seed
        self.status: dict[str, Any] | None = None
        self.evaluator = Evaluator(scenario)
        self.seconds = 0

    @property
    @abstractmethod
    def world(self) -> World:
        """The world of all controllers."""

    @property
    @abstractmethod
    def config(self) -> dict[str, Any]:
        """The configuration of the first controller."""

    @property
    @abstractmethod
    def console(self) -> list[str]:
        """The lines that the controllers printed, with time and controller."""

    @property
    @abstractmethod
    def shells(self) -> Sequence[PausableShell]:
        """The shells of all controllers."""

    @abstractmethod
    def _start(self) -> None:
        """Start all controllers."""

    @abstractmethod
    def _pass_second(self, second: int) -> None:
        """Run to the end of a second, and take the status."""

    @abstractmethod
    def sample(self, name: str) -> float | None:
        """Read one measure now."""

    def run(self, on_second: Callable[[int], None] | None = None) -> float:
        """Run to the end of the scenario; give the wall time in s."""
        started_s = time.perf_counter()
        self._start()
        for second in range(1, int(self.scenario.seconds) + 1):
            self._pass_second(second)
            self.evaluator.sample(second, self.sample)
            if on_second is not None:
                on_second(second)
            self.seconds = second
        return time.perf_counter() - started_s

    def close(self) -> None:
        """Switch off all controllers."""
        for shell in self.shells:
            shell.switch_off()

    def make_result(self, dut: str, wall_s: float) -> RunResult:
        """Return the result of the run, or of its part until it was interrupted.

        The digest is SHA-256 over those of all controllers. An exception that a controller has
        contained is a failure.
        """
        faults = [line for line in self.console if " fault " in line]
        failures = name_interruption(self.scenario, self.seconds) or (
            self.evaluator.failures() + faults
        )
        digests = "".join(shell.digest.text() for shell in self.shells)
        return RunResult(
            self.scenario.name,
            self.seed,
            dut,
            tuple(failures),
            hashlib.sha256(digests.encode()).hexdigest(),
            float(self.seconds),
            wall_s,
        )
