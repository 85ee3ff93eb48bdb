# SPDX-License-Identifier: Apache-2.0
"""Supply loop: follows the reading, uses the fail-safe position without it, never jumps."""

from agent.control.actuator.arbiter import Arbiter
from agent.control.actuator.valve import ValveActuator
from agent.control.loop.supply_loop import SupplyLoop
from agent.fieldbus.sensor import PointSensor
from protocols.time_units import SECOND
from tests.portable.support.agent_rig import FieldbusRig, config
from tests.portable.support.check import eq, near

STALE = 5 * SECOND
RATE = 5.0


class SupplyBench:
    def __init__(self):
        self.bench = bench = FieldbusRig()
        sensor = PointSensor(bench.session("cdu"), "SupplyTemperatureCelsius", STALE)
        self.arbiter = Arbiter()
        valve = ValveActuator(bench.session("valve"))
        self.loop = SupplyLoop(bench.config.supply, sensor, valve, self.arbiter)

    def temperature(self, tenths):
        self.bench.read("cdu", tenths, 400, 3000, 2000, 0)

    def valve(self, hundredths):
        self.bench.read("valve", hundredths, hundredths)

    def step(self, seconds=1):
        self.bench.now += seconds * SECOND
        self.loop.step(self.bench.now, 1.0)
        return self.bench.requested("valve")["ValvePositionControlPercent"] / 100


def test_warm_opens_and_cold_closes_within_limits():
    made = SupplyBench()
    made.valve(4000)
    made.temperature(340)
    warm = [made.step(1) for _ in range(3)]
    assert 40 < warm[0] < warm[1] < warm[2], warm
    made.temperature(300)
    cold = []
    for _ in range(60):
        made.temperature(300)
        cold.append(made.step())
    assert 5.0 <= cold[-1] < 5.5, cold[-1]  # within the deadband of its lowest position
    for _ in range(60):
        made.temperature(400)
        warm.append(made.step())
    eq(warm[-1], 100.0)  # the end of the stroke is always requested


def test_start_is_bumpless():
    for position in (1000, 4000, 9500):
        for tenths in (250, 310, 320, 330, 400):
            made = SupplyBench()
            made.valve(position)
            made.temperature(tenths)
            assert abs(made.step() - position / 100) <= RATE, (position, tenths)
        made = SupplyBench()
        made.valve(position)
        made.temperature(320)
        eq(made.step(), position / 100)


def test_bad_reading_gives_the_fail_safe_opening():
    def unread(made):
        made.loop.sensor = PointSensor(
            FieldbusRig().session("cdu"), "SupplyTemperatureCelsius", STALE
        )

    def bad(made):
        made.temperature(1001)

    def stale(made):
        made.bench.now += STALE

    for spoil in (unread, bad, stale):
        made = SupplyBench()
        made.valve(2000)
        made.temperature(320)
        eq((made.step(), made.loop.at_fail_safe), (20.0, False))
        spoil(made)
        eq((made.step(), made.loop.at_fail_safe), (60.0, True))


def test_return_of_readings_is_bumpless():
    made = SupplyBench()
    made.valve(2000)
    made.temperature(320)
    made.step()
    made.temperature(1001)
    eq(made.step(), 60.0)
    made.valve(4300)  # still moving
    made.temperature(330)
    assert abs(made.step() - 43.0) <= RATE
    assert not made.loop.at_fail_safe


def test_unknown_valve_position_is_assumed_fail_safe():
    made = SupplyBench()
    made.temperature(320)
    eq(made.step(), 60.0)
    assert not made.loop.at_fail_safe


def test_new_tuning_applies_without_a_step_of_the_output():
    made = SupplyBench()
    made.valve(4000)
    made.temperature(320)
    eq(made.step(), 40.0)
    raw = config()
    raw["control"]["supply"].update(
        {"setpoint_c": 22, "gain_pct_per_k": 2, "integral_s": 10, "rate_pct_per_s": 50}
    )
    raw["control"]["supply"].update({"min_pct": 10, "max_pct": 70, "safe_pct": 65})
    made.loop.set_tuning(FieldbusRig(raw).config.supply)
    eq(made.loop.setpoint, 22)
    near(made.step(), 42.0, 0.011)  # 10 K too warm: from 40, and 10 * 2 / 10 s of integral
    made.temperature(340)
    near(made.step(), 48.4, 0.011)  # 12 K: 4 more, and 2.4 of integral
    made.loop.set_care(True, 1.0, 0.0)  # gentle: half of the gain, twice the time
    near(made.step(), 49.0, 0.011)
    made.temperature(400)
    near(made.step(), 55.9, 0.011)
    made.loop.set_care(True, 1.0, 0.0)
    near(made.step(), 56.8, 0.011)
    made.loop.set_care(False, 1.0, 0.0)
    near(made.step(), 60.4, 0.011)
    made.temperature(900)
    eq(made.step(), 70.0)
    made.temperature(60)
    eq([made.step(), made.step()], [20.0, 10.0])
    made.temperature(1001)
    eq(made.step(), 65.0)
