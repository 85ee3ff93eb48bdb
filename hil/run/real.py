# SPDX-License-Identifier: Apache-2.0
"""Runs a scenario in real time over real ports, with the same row, faults and measures.

Does not give a digest: the times of a real run differ by microseconds. The agent is a process on
the interpreter under test.
"""

from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from drivers.tools.terminal.end_signals import handle_end_signals
from hil.errors import BenchError
from hil.measure.registry import read
from hil.run.dut_qemu import QemuDut
from hil.run.real_bench import RealBench
from hil.run.virtual import RunResult, name_interruption
from hil.scenario.channels import Series
from hil.scenario.judge import Evaluator
from hil.scenario.model import Scenario
from hil.scenario.timeline import schedule

_SECOND = 1_000_000
START_TIMEOUT_S = 90
"""An agent sends its first status in this time, also on a busy machine."""


class RealRun:
    """A run of one scenario with one seed against an agent on the interpreter `dut`.

    `real_devices`: name -> address of real devices that replace emulated ones (see
    `hil.bench.device_swap`). `series`, if given, gets one sample each second, and
    `on_second` is called with the number of the second.
    """

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        dut: str,
        real_devices: dict[str, str] | None = None,
        series: Series | None = None,
        on_second: Callable[[int], None] | None = None,
    ) -> None:
        self.scenario = scenario
        self.seed = seed
        self.dut = dut
        self.status: dict[str, Any] | None = None
        self.evaluator = Evaluator(scenario)
        self.series = series
        self._on_second = on_second
        self.config: dict[str, Any] = {}
        self.devices: list[dict[str, Any]] = []
        self._real_devices = real_devices or {}
        self._seconds = 0
        self._start_us = 0

    def run(self, log: Path | None = None) -> RunResult:
        """Run the scenario to its end and judge it.

        SIGINT, SIGTERM and SIGHUP end the run: the result is that of the seconds until then. Raises
        KeyboardInterrupt in the first second.
        """
        if self.dut == "qemu":
            QemuDut.build_image()
        with RealBench(self.scenario.settings, self.seed, make_board_agent=QemuDut) as bench:
            stop_on_signals(bench)
            for name, port in self._real_devices.items():
                bench.device_swap.attach_real(name, port)
            self.config = bench.config(self.dut)
            self._start_us = self._start_agent(bench, log)
            schedule(self.scenario, bench.testbed, self._start_us)
            bench.world.schedule(self._start_us + _SECOND, self._sample, bench)
            end = self._start_us + int(self.scenario.seconds * _SECOND) + _SECOND // 2
            bench.shell.run(end)
            if bench.shell.stopped and not self._seconds:
                raise KeyboardInterrupt
            self.devices = bench.device_swap.devices()
            wall_s = (bench.shell.now() - self._start_us) / _SECOND
        failures = name_interruption(self.scenario, self._seconds) or self.evaluator.failures()
        return RunResult(
            self.scenario.name,
            self.seed,
            self.dut,
            tuple(failures),
            None,
            float(self._seconds),
            wall_s,
        )

    def _start_agent(self, bench: RealBench, log: Path | None) -> int:
        """Start the agent; give the world time at which the scenario begins: that of the first
        status.

        An interpreter or QEMU can take long to start on a busy machine. In virtual time the agent
        runs from the start.
        """
        bench.start_agent(self.dut, log)
        for second in range(1, START_TIMEOUT_S):
            bench.shell.run(second * _SECOND)
            if bench.shell.stopped:
                raise KeyboardInterrupt
            if bench.status() is not None:
                return bench.shell.now()
            code = bench.agent_exit_code()
            if code is not None:
                raise BenchError(f"the agent ended with exit code {code} after {second} s")
        raise BenchError(f"the agent sent no status in {START_TIMEOUT_S} s; see --log")

    def _sample(self, bench: RealBench) -> None:
        if bench.shell.stopped:
            return
        code = bench.agent_exit_code()
        if code is not None:
            raise BenchError(f"the agent ended with exit code {code} after {self._seconds + 1} s")
        self._seconds += 1
        self.status = bench.status()
        self.evaluator.sample(self._seconds, lambda name: read(bench.testbed, self.status, name))
        if self.series is not None:
            self.series.sample(self._seconds, lambda name: read(bench.testbed, self.status, name))
        if self._on_second is not None:
            self._on_second(self._seconds)
        due = self._start_us + (self._seconds + 1) * _SECOND
        bench.world.schedule(due, self._sample, bench)


def stop_on_signals(bench: RealBench) -> None:
    """Let SIGINT, SIGTERM and SIGHUP stop the bench; a signal that is ignored stays ignored."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        bench.shell.stop()

    handle_end_signals(stop)
