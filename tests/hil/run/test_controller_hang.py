"""A controller that hangs or dies, at any moment of its cycle: what the drives do by themselves.

The bench's drives hold their safe speed when no request has come for their loss time (ABB's
parameters 58.14 to 58.16); the time to safety is that, a ramp, and not the agent's affair. Emulated
drives, no real ones.
"""

import pytest

from hil.bench.testbed_settings import Setting
from hil.kernel.dut import InProcess, Turn
from hil.run.virtual import VirtualRun
from hil.scenario.model import Scenario
from protocols.time_units import NEVER, SECOND

HANGS_S = 60
RAMP_US = 5 * SECOND


class Hanging(InProcess):
    """The agent, which from `hangs_at` on does nothing any more."""

    hangs_at = NEVER

    def receive(self, port: int, data: bytes, now: int) -> Turn:
        return (NEVER, []) if now >= self.hangs_at else super().receive(port, data, now)

    def event(self, port: int, kind: str, now: int) -> Turn:
        return (NEVER, []) if now >= self.hangs_at else super().event(port, kind, now)

    def wake(self, now: int) -> Turn:
        return (NEVER, []) if now >= self.hangs_at else super().wake(now)


@pytest.mark.parametrize("phase_ms", [0, 3, 50, 130, 310, 555, 790, 990])
def test_the_drives_hold_their_safe_speed_in_their_time(phase_ms: int) -> None:
    run = VirtualRun(Scenario("hang", "hang", 200, Setting(it_kw=70.0)), 1, Hanging)
    assert isinstance(run.dut, Hanging)
    run.dut.hangs_at = HANGS_S * SECOND + phase_ms * 1000
    run.shell.start()
    run.shell.run(run.dut.hangs_at)
    pump, drive = run.row.plant.pumps[0], run.row.drives[0]
    for each in run.row.drives:
        each.safe_pct = 85.0  # of its own parameters; the loop is far from it
    assert pump.speed_pct < 75
    safe_at = run.dut.hangs_at + drive.loss_us + RAMP_US
    run.shell.run(safe_at)
    run.row.plant.advance(safe_at)
    assert drive.lost
    assert pump.speed_pct == pytest.approx(drive.safe_pct, abs=0.5)
    hottest = 0.0
    for now in range(safe_at, safe_at + 120 * SECOND, SECOND):
        run.shell.run(now)
        run.row.plant.advance(now)
        hottest = max(hottest, run.row.plant.supply_true_c)
    assert pump.speed_pct == pytest.approx(drive.safe_pct, abs=0.5)
    assert hottest < 45, "the valve stays where it was, and so the water stays cool"


def test_a_controller_that_lives_keeps_the_drives_from_it() -> None:
    run = VirtualRun(Scenario("hang", "hang", 100, Setting(it_kw=70.0)), 1, Hanging)
    run.shell.start()
    for second in range(1, 100):
        run.shell.run(second * SECOND)
        assert not any(drive.lost for drive in run.row.drives)
