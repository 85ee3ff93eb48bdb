"""The valve is asked in its registers' terms, not for every hair, and believed while it answers."""

from agent.control.valve import Valve
from tests.portable.support.agent_rig import Bench
from tests.portable.support.check import eq

SET = "ValvePositionControlPercent"


def asked(*percents):
    bench = Bench()
    valve = Valve(bench.station("valve"))
    for percent in percents:
        valve.ask(percent)
    return bench.wanted("valve")[SET]


def test_percent_becomes_register_counts():
    for percent, raw in ((0, 0), (100, 10000), (33.333, 3333), (33.337, 3334)):
        eq(asked(percent), raw)


def test_small_changes_are_not_asked_for_except_at_the_ends():
    eq(asked(50, 50.4), 5000)
    eq(asked(50, 50.4, 50.4, 50.4), 5000)
    eq(asked(50, 50.6), 5060)
    eq(asked(50, 49.6), 5000)
    eq(asked(50, 49.4), 4940)
    eq(asked(99.8, 100), 10000)
    eq(asked(0.3, 0), 0)


def test_the_position_is_known_while_the_valve_answers():
    bench = Bench()
    valve = Valve(bench.station("valve"))
    eq(valve.position(), None)
    bench.read("valve", 4000, 3950)
    eq(valve.position(), 39.5)
    bench.read("valve", 4000, 10001)
    eq(valve.position(), None)
    bench.read("valve", 4000, 3950)
    for _ in range(5):
        bench.silence("valve")
    assert bench.station("valve").lost
    eq(valve.position(), None)
