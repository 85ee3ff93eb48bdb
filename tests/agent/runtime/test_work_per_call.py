# SPDX-License-Identifier: Apache-2.0
"""Work of one call of the agent, in instructions: what delays a tick of a small board.

The emulated RP2040 shows late ticks, but it needs the boot ROM and 2.5 GB of packages
(tests/deploy/firmware/test_rp2.py). This test needs neither: a board executes the same code, so its
longest call grows with the instructions of CPython. It does not see a collection of garbage; see
tests/portable/agent/runtime/test_garbage_gap.py.
"""

import sys
from collections.abc import Callable
from typing import Any

import pytest

from hil.kernel.dut import InProcessDut, StepResult
from hil.run.virtual import VirtualRun
from hil.scenario.loader import find
from hil.shells.dut_rp2040 import CHUNK

VERSION = (3, 13)
"""Another CPython has other instructions."""
MOST_A_CALL = 6_600
"""20 ms of an RP2040: the longest call has 5,760; there the longest of two minutes took 17.4 ms."""
MOST_A_PERIOD = 60_000
"""The busiest tenth of a second has 52,081; the emulated RP2040 has no time to spare in it."""
_TOOL = 4
_monitoring: Any = getattr(sys, "monitoring", None)
_PERIOD_US = 100_000
_START_US = 2_000_000
"""Calls before are not counted: they do things once."""


class CountingDut(InProcessDut):
    """Counts the instructions of each call, by its kind, and those of each period of a tick.

    The status goes to a line, as on a board, in chunks.
    """

    max_rx_bytes = CHUNK

    def __init__(self, config: dict[str, Any], *others: Any) -> None:
        super().__init__({**config, "state": "uart:99"}, *others)
        self.longest: dict[str, int] = {}
        self.periods: dict[int, int] = {}
        self._count = 0
        _monitoring.use_tool_id(_TOOL, "coldloop")
        _monitoring.register_callback(_TOOL, _monitoring.events.INSTRUCTION, self._add)

    def _add(self, _code: object, _offset: int) -> None:
        self._count += 1

    def _counted(self, kind: str, now: int, call: Callable[[], StepResult]) -> StepResult:
        self._count = 0
        _monitoring.set_events(_TOOL, _monitoring.events.INSTRUCTION)
        try:
            return call()
        finally:
            _monitoring.set_events(_TOOL, 0)
            if now >= _START_US:
                self.longest[kind] = max(self.longest.get(kind, 0), self._count)
            period = now // _PERIOD_US
            self.periods[period] = self.periods.get(period, 0) + self._count

    def receive(self, port: int, data: bytes, now: int) -> StepResult:
        call = super().receive
        return self._counted(f"receive {port}", now, lambda: call(port, data, now))

    def wake(self, now: int) -> StepResult:
        call = super().wake
        return self._counted("wake", now, lambda: call(now))

    def close(self) -> None:
        _monitoring.free_tool_id(_TOOL)
        super().close()


@pytest.mark.skipif(sys.version_info[:2] != VERSION, reason="the limits are those of CPython 3.13")
def test_no_call_of_the_agent_delays_a_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VirtualRun, "_store_status", lambda _self, _chunk: None)
    run = VirtualRun(find("smoke"), 1, CountingDut)
    dut = run.dut
    assert isinstance(dut, CountingDut)
    try:
        run.shell.start()
        for second in range(1, 11):
            run.shell.run(second * 1_000_000)
            run.testbed.plant.advance(second * 1_000_000)
    finally:
        dut.close()
    assert max(dut.longest.values()) <= MOST_A_CALL, dut.longest
    assert max(dut.periods.values()) <= MOST_A_PERIOD
