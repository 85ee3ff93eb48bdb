# SPDX-License-Identifier: Apache-2.0
"""A controller that hangs at any moment of its cycle: the drives go to their safe speed.

A drive holds its safe speed if no request comes within its timeout (ABB parameters 58.14 to 58.16).
The time to the safe speed is this timeout plus a ramp. The drives are emulated.
"""

import pytest

from hil.bench.testbed_settings import TestbedSettings
from hil.kernel.dut import InProcessDut, StepResult
from hil.run.virtual import VirtualRun
from hil.scenario.model import Scenario
from protocols.time_units import NEVER, SECOND

HANG_S = 60
RAMP_US = 5 * SECOND


class HangingDut(InProcessDut):
    """An agent that does nothing from `hang_at_us` on."""

    hang_at_us = NEVER

    def receive(self, port: int, data: bytes, now: int) -> StepResult:
        return (NEVER, []) if now >= self.hang_at_us else super().receive(port, data, now)

    def event(self, port: int, kind: str, now: int) -> StepResult:
        return (NEVER, []) if now >= self.hang_at_us else super().event(port, kind, now)

    def wake(self, now: int) -> StepResult:
        return (NEVER, []) if now >= self.hang_at_us else super().wake(now)


@pytest.mark.parametrize("phase_ms", [0, 3, 50, 130, 310, 555, 790, 990])
def test_drives_reach_fail_safe_speed_in_time(phase_ms: int) -> None:
    run = VirtualRun(Scenario("hang", "hang", 200, TestbedSettings(it_kw=70.0)), 1, HangingDut)
    assert isinstance(run.dut, HangingDut)
    run.dut.hang_at_us = HANG_S * SECOND + phase_ms * 1000
    run.shell.start()
    run.shell.run(run.dut.hang_at_us)
    pump, drive = run.testbed.plant.pumps[0], run.testbed.drives[0]
    for other_drive in run.testbed.drives:
        # a parameter of the drive, far from the speed that the loop sets
        other_drive.safe_pct = 85.0
    assert pump.speed_pct < 75
    safe_at = run.dut.hang_at_us + drive.comm_timeout_us + RAMP_US
    run.shell.run(safe_at)
    run.testbed.plant.advance(safe_at)
    assert drive.comm_lost
    assert pump.speed_pct == pytest.approx(drive.safe_pct, abs=0.5)
    hottest = 0.0
    for now in range(safe_at, safe_at + 120 * SECOND, SECOND):
        run.shell.run(now)
        run.testbed.plant.advance(now)
        hottest = max(hottest, run.testbed.plant.supply_true_c)
    assert pump.speed_pct == pytest.approx(drive.safe_pct, abs=0.5)
    assert hottest < 45, "the valve keeps its position, so that the water stays cool"


def test_running_controller_prevents_drive_fallback() -> None:
    run = VirtualRun(Scenario("hang", "hang", 100, TestbedSettings(it_kw=70.0)), 1, HangingDut)
    run.shell.start()
    for second in range(1, 100):
        run.shell.run(second * SECOND)
        assert not any(drive.comm_lost for drive in run.testbed.drives)
