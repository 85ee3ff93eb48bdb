"""The supply loop: follows the reading, goes to its safe opening without one, and never jumps."""

from agent.control.supply_loop import SupplyLoop
from agent.control.valve import Valve
from agent.fieldbus.sensor import Sensor
from protocols.time_units import SECOND
from tests.portable.support.agent_rig import Bench
from tests.portable.support.check import eq

STALE = 5 * SECOND
RATE = 5.0


class Loop:
    def __init__(self):
        self.bench = bench = Bench()
        sensor = Sensor(bench.station("cdu"), "SupplyTemperatureCelsius", STALE)
        self.loop = SupplyLoop(bench.config.supply, sensor, Valve(bench.station("valve")))

    def temperature(self, tenths):
        self.bench.read("cdu", tenths, 400, 3000, 2000, 0)

    def valve(self, hundredths):
        self.bench.read("valve", hundredths, hundredths)

    def step(self, seconds=1):
        self.bench.now += seconds * SECOND
        self.loop.step(self.bench.now, 1.0)
        return self.bench.wanted("valve")["ValvePositionControlPercent"] / 100


def test_warm_opens_and_cold_closes_within_limits():
    made = Loop()
    made.valve(4000)
    made.temperature(340)
    warm = [made.step(1) for _ in range(3)]
    assert 40 < warm[0] < warm[1] < warm[2], warm
    made.temperature(300)
    cold = []
    for _ in range(60):
        made.temperature(300)
        cold.append(made.step())
    assert 5.0 <= cold[-1] < 5.5, cold[-1]  # within the dead band of its lowest
    for _ in range(60):
        made.temperature(400)
        warm.append(made.step())
    eq(warm[-1], 100.0)  # the end of the stroke is always asked for


def test_it_takes_over_where_the_valve_stands():
    for position in (1000, 4000, 9500):
        for tenths in (250, 310, 320, 330, 400):
            made = Loop()
            made.valve(position)
            made.temperature(tenths)
            assert abs(made.step() - position / 100) <= RATE, (position, tenths)
        made = Loop()
        made.valve(position)
        made.temperature(320)
        eq(made.step(), position / 100)


def test_without_a_good_reading_the_opening_is_the_safe_one():
    def unread(made):
        made.loop.sensor = Sensor(Bench().station("cdu"), "SupplyTemperatureCelsius", STALE)

    def bad(made):
        made.temperature(1001)

    def stale(made):
        made.bench.now += STALE

    for spoil in (unread, bad, stale):
        made = Loop()
        made.valve(2000)
        made.temperature(320)
        eq((made.step(), made.loop.safe), (20.0, False))
        spoil(made)
        eq((made.step(), made.loop.safe), (60.0, True))


def test_no_jump_when_readings_return():
    made = Loop()
    made.valve(2000)
    made.temperature(320)
    made.step()
    made.temperature(1001)
    eq(made.step(), 60.0)
    made.valve(4300)  # still on its way
    made.temperature(330)
    assert abs(made.step() - 43.0) <= RATE
    assert not made.loop.safe


def test_a_valve_whose_place_is_not_known_is_taken_to_be_at_the_safe_opening():
    made = Loop()
    made.temperature(320)
    eq(made.step(), 60.0)
    assert not made.loop.safe
