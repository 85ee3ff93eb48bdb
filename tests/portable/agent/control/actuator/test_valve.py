# SPDX-License-Identifier: Apache-2.0
"""Valve actuator: requests in register counts, deadband, position unknown without a reply."""

from agent.control.actuator.valve import ValveActuator, ValveSign, ValveStill
from agent.control.law.exchanger import Exchanger
from tests.portable.support.agent_rig import FieldbusRig
from tests.portable.support.check import eq
from tests.portable.support.cooling_settings import EXCHANGER

SET = "ValvePositionControlPercent"


def requested_raw(*percents):
    bench = FieldbusRig()
    valve = ValveActuator(bench.session("valve"))
    for percent in percents:
        valve.request(percent)
    return bench.requested("valve")[SET]


def test_percent_becomes_register_counts():
    for percent, raw in ((0, 0), (100, 10000), (33.333, 3333), (33.337, 3334)):
        eq(requested_raw(percent), raw)


def test_changes_within_deadband_are_sent_only_at_the_ends():
    eq(requested_raw(50, 50.4), 5000)
    eq(requested_raw(50, 50.4, 50.4, 50.4), 5000)
    eq(requested_raw(50, 50.6), 5060)
    eq(requested_raw(50, 49.6), 5000)
    eq(requested_raw(50, 49.4), 4940)
    eq(requested_raw(99.8, 100), 10000)
    eq(requested_raw(0.3, 0), 0)


def test_the_position_is_known_while_the_valve_answers():
    bench = FieldbusRig()
    valve = ValveActuator(bench.session("valve"))
    eq(valve.position(), None)
    bench.read("valve", 4000, 3950)
    eq(valve.position(), 39.5)
    bench.read("valve", 4000, 10001)
    eq(valve.position(), None)
    bench.read("valve", 4000, 3950)
    for _ in range(5):
        bench.no_reply("valve")
    assert bench.session("valve").lost
    eq(valve.position(), None)


def test_reversed_valve_gets_and_shows_the_opposite_position():
    bench = FieldbusRig()
    valve = ValveActuator(bench.session("valve"))
    valve.request(30)
    valve.reverse()
    valve.request(30)
    eq((bench.requested("valve")[SET], valve.command_pct), (7000, 30.0))
    bench.read("valve", 7000, 7000)
    eq(valve.position(), 30.0)
    valve.reverse()
    eq(valve.position(), 70.0)


def make_sign(lpm_share, position_pct, seconds):
    """Count how often the direction is wrong. `lpm_share`: of the flow at the opposite position."""
    sign, exchanger = ValveSign(), Exchanger(EXCHANGER)
    lpm = lpm_share * exchanger.flow_at(100.0 - position_pct)
    return sum([sign.step(position_pct, lpm, exchanger, 1.0) for _ in range(seconds)])


def test_flow_of_the_opposite_position_shows_a_reversed_valve():
    # at 25 % a valve of four times the size gives nearly as much; there the movement shows it
    eq([make_sign(1.0, x, 4) for x in (0.0, 20.0, 25.0)], [1, 1, 0])
    eq(make_sign(1.0, 20.0, 3), 0)
    eq(make_sign(0.7, 10.0, 4), 1)  # at a lower pressure too


def test_a_valve_that_is_larger_than_configured_can_be_reversed_too():
    for factor, found in ((1.0, 0), (2.0, 1)):
        sign, exchanger = ValveSign(), Exchanger(EXCHANGER)
        lpm = 2.0 * exchanger.flow_at(80.0)
        exchanger.set_flow_factor(factor)
        eq((factor, sum([sign.step(20.0, lpm, exchanger, 1.0) for _ in range(6)])), (factor, found))


def test_a_valve_of_four_times_the_size_is_not_a_reversed_one():
    """After a restart nothing is known of its size."""
    for position_pct in (2.0, 8.0, 15.0, 20.0, 25.0, 30.0):
        sign, exchanger = ValveSign(), Exchanger(EXCHANGER)
        lpm = 4.0 * exchanger.flow_at(position_pct)
        found = sum([sign.step(position_pct, lpm, exchanger, 1.0) for _ in range(20)])
        eq((position_pct, found), (position_pct, 0))


def turn(seconds_before):
    """Return the sign after a turn, and `seconds_before` with the flow of the position."""
    sign, exchanger = ValveSign(), Exchanger(EXCHANGER)
    eq(sum([sign.step(5.0, exchanger.flow_at(95.0), exchanger, 1.0) for _ in range(4)]), 1)
    for _ in range(seconds_before):
        eq(sign.step(60.0, exchanger.flow_at(60.0), exchanger, 1.0), False)
    return sign, exchanger


def test_an_open_valve_without_flow_shows_a_wrong_turn():
    for position_pct, share, seconds, expected in (
        (51.0, 0.0, 4, 1),
        (51.0, 0.0, 3, 0),
        (49.0, 0.0, 9, 0),
        (90.0, 0.09, 9, 1),
        (90.0, 0.11, 9, 0),
    ):
        sign, exchanger = turn(0)
        lpm = share * exchanger.flow_at(position_pct)
        found = sum([sign.step(position_pct, lpm, exchanger, 1.0) for _ in range(seconds)])
        eq((position_pct, share, seconds, found), (position_pct, share, seconds, expected))


def test_without_a_turn_and_long_after_it_the_pump_of_the_facility_may_stand():
    sign, exchanger = ValveSign(), Exchanger(EXCHANGER)
    eq(sum([sign.step(90.0, 0.0, exchanger, 1.0) for _ in range(20)]), 0)
    for seconds, expected in ((290, 1), (300, 0)):
        sign, exchanger = turn(seconds)
        found = sum([sign.step(90.0, 0.0, exchanger, 1.0) for _ in range(9)])
        eq((seconds, found), (seconds, expected))


def move_valve(start_pct, end_pct, flow_of):
    """Move by 2 % a second from a steady position. Count how often the direction is wrong."""
    sign, exchanger = ValveSign(), Exchanger(EXCHANGER)
    step_pct = 2.0 if end_pct > start_pct else -2.0
    found, position = 0, start_pct
    for _ in range(12):
        sign.step(position, flow_of(exchanger, position), exchanger, 1.0)
    while position != end_pct:
        position += step_pct
        found += sign.step(position, flow_of(exchanger, position), exchanger, 1.0)
    return found


def reversed_flow(exchanger, position_pct):
    return exchanger.flow_at(100.0 - position_pct)


def test_a_reversed_valve_of_another_size_is_found_while_it_is_far_open():
    """Nothing is known of its size. Below half the stroke it could be a larger one."""
    for size, expected in ((0.35, 0), (0.7, 1), (2.0, 1), (3.0, 1)):
        found = move_valve(100.0, 80.0, lambda hx, p, size=size: size * reversed_flow(hx, p))
        eq((size, found), (size, expected))
    for size, expected in ((0.7, 0), (2.0, 0)):
        found = move_valve(46.0, 26.0, lambda hx, p, size=size: size * reversed_flow(hx, p))
        eq((size, found), (size, expected))


def test_flow_against_the_movement_shows_a_reversed_valve():
    for start, end in ((54.0, 34.0), (100.0, 80.0), (46.0, 70.0), (30.0, 46.0)):
        eq((start, move_valve(start, end, reversed_flow)), (start, 1))
    eq(move_valve(54.0, 44.0, reversed_flow), 0)


def test_changed_pressure_of_the_facility_shows_no_reversed_valve():
    for start, end in ((50, 0), (60, 0), (80, 0), (100, 0), (50, 100), (40, 100), (0, 100)):
        for before, after in ((1.0, 1.22), (1.0, 1.41), (0.0, 1.0), (1.0, 0.0), (1.41, 0.45)):

            def flow_of(exchanger, position_pct, args=(start, before, after)):
                has_changed = not -6.0 < position_pct - args[0] < 6.0
                return (args[2] if has_changed else args[1]) * exchanger.flow_at(position_pct)

            eq((start, after, move_valve(float(start), float(end), flow_of)), (start, after, 0))


def test_no_other_cause_shows_a_reversed_valve():
    eq(make_sign(0.1, 5.0, 60), 0)  # a leak through the seat
    eq(make_sign(1.0, 50.0, 60), 0)
    eq(make_sign(1.0, 80.0, 60), 0)  # no flow at an open valve: the pump of the facility stands
    sign, exchanger = ValveSign(), Exchanger(EXCHANGER)
    flows = [sign.step(x, 2.0 * exchanger.flow_at(x), exchanger, 1.0) for x in range(31)]
    eq(sum(flows), 0)  # twice the usual pressure
    eq(sign.step(None, 100.0, exchanger, 9.0), False)


def test_stuck_flow_meter_shows_no_reversed_valve():
    sign, exchanger = ValveSign(), Exchanger(EXCHANGER)
    stuck = exchanger.flow_at(80.0)
    found = [sign.step(float(x), stuck, exchanger, 1.0) for x in range(80, -1, -1)]
    eq(sum(found), 0)
    rises = [(20.0, exchanger.flow_at(20.0))] * 5 + [(20.0, exchanger.flow_at(80.0))] * 5
    sign = ValveSign()
    eq(sum([sign.step(x, lpm, exchanger, 1.0) for x, lpm in rises]), 1)


def stands(positions, command_pct, band=10.0):
    """Return the cycle after which the valve is found to stand, or 0."""
    still = ValveStill()
    for i, position in enumerate(positions):
        if still.step(position, command_pct, band, 1.0):
            return i
    return 0


def test_valve_that_does_not_follow_its_command_stands():
    eq(stands([40.0] * 30, 60.0), 8)
    eq(stands([40.0 + i % 2 * 0.3 for i in range(30)], 60.0), 8)
    eq(stands([54.5] * 30, 60.0), 8)
    eq(stands([56.5] * 30, 60.0, 3.0), 8)  # the configured band, if it is smaller


def test_slow_near_or_silent_valve_does_not_stand():
    eq(stands([40.0 + i / 6 for i in range(60)], 60.0), 0)
    eq(stands([55.5] * 60, 60.0), 0)
    eq(stands([40.0] * 60, None), 0)
    eq(stands(([40.0] * 7 + [None]) * 6, 60.0), 0)


def test_a_valve_that_stood_and_is_not_read_still_stands():
    still = ValveStill()
    for _ in range(10):
        still.step(40.0, 60.0, 10.0, 1.0)
    found = [still.step(position, 60.0, 10.0, 1.0) for position in (None, None, 40.0, 40.0, 45.0)]
    eq(found, [True, True, True, True, False])
    eq(still.step(None, 60.0, 10.0, 1.0), False)
