# SPDX-License-Identifier: Apache-2.0
"""Laws with limits and times: calibration, functions, fans, pumps, sensors of both sides.

Each table has a value on both sides of a limit.
"""

from agent.control.law.deterministic_math import exp, log, pow_det, sqrt_det
from agent.control.law.fan import FanControl
from agent.control.law.offset_calibration import OffsetCalibration
from agent.control.law.pump_speed import DELTA_T, DP, FLOW, PumpSpeedControl
from agent.control.law.sensor_check import HeatBalanceCheck, SensorValidator
from tests.portable.support.check import eq, near, raises


def calibrate(supply_c=30.0, return_c=31.0, valve=6.0, running=True, seconds=59.5):
    made = OffsetCalibration()
    made.add_reading(supply_c, return_c, valve, running, 99.0)
    eq(made.state, "idle")
    made.begin()
    made.add_reading(supply_c, return_c, valve, running, seconds)
    return made


def test_offsets_of_a_minute_without_load():
    made = calibrate()
    eq((made.state, made.supply_offset_k, made.return_offset_k), ("done", 0.5, -0.5))
    for changed in (
        {"seconds": 59.0},
        {"valve": 6.125},
        {"valve": None},
        {"running": False},
        {"supply_c": None},
        {"return_c": None},
    ):
        eq((changed, calibrate(**changed).state), (changed, "running"))
    eq(calibrate(seconds=599.0, running=False).state, "running")
    failure = "no steady minute with pumps running, valve shut and no load"
    eq(calibrate(seconds=599.5, running=False).state, failure)
    made = calibrate(seconds=30.0)
    made.add_reading(30.125, 31.125, 0.0, True, 29.5)
    eq((made.state, made.supply_offset_k), ("done", 0.5))


def test_an_unsteady_minute_begins_again():
    for supply_c, return_c, state in (
        (30.125, 31.0, "done"),
        (30.25, 31.0, "running"),
        (29.75, 31.0, "running"),
        (30.0, 31.25, "running"),
        (30.0, 30.875, "done"),
    ):
        made = calibrate(seconds=30.0)
        made.add_reading(supply_c, return_c, 6.0, True, 30.0)
        eq((supply_c, return_c, made.state), (supply_c, return_c, state))
    for return_c, state in (
        (34.875, "done"),
        (25.125, "done"),
        (35.0, "running"),
        (25.0, "running"),
    ):
        made = calibrate(return_c=return_c, seconds=30.0)
        made.add_reading(30.0, return_c, 6.0, True, 30.0)
        eq((return_c, made.state), (return_c, state))
    made = calibrate(seconds=30.0)
    made.add_reading(30.0, 31.0, 6.0, False, 1.0)
    made.add_reading(30.0, 33.0, 6.0, True, 59.0)
    eq(made.state, "running")
    made.add_reading(30.0, 33.0, 6.0, True, 0.5)
    eq((made.state, made.supply_offset_k), ("done", 1.5))


def test_exponential_logarithm_and_powers():
    for x, value in (
        (0.0, 1.0),
        (1.0, 2.718281828),
        (-1.0, 0.3678794412),
        (10.0, 22026.46579),
        (-30.0, 9.357622969e-14),
    ):
        near(exp(x) / value, 1.0, 1e-6)
    for x, value in (
        (1.0, 0.0),
        (0.75, -0.2876820724),
        (0.7, -0.3566749439),
        (1.5, 0.4054651081),
        (1000.0, 6.907755279),
    ):
        near(log(x), value, 1e-6)
    for bad in (0.0, -1.0):
        eq(str(raises(ValueError, log, bad)), "a logarithm needs a number above 0")
    near(pow_det(2.0, 0.5), 1.4142135624, 1e-6)
    eq(
        (pow_det(0.0, 2.0), pow_det(-1.0, 2.0), sqrt_det(4.0), sqrt_det(0.0), sqrt_det(-1.0)),
        (0.0, 0.0, 2.0, 0.0, 0.0),
    )


def test_fans_follow_the_changes_of_the_estimate():
    fan = FanControl(20.0, 100.0, 1000.0)
    fan.track(50.0)
    fan.set_feedforward(40.0)  # the first estimate is no change
    near(fan.step(0.0, 1.0), 50.0, 1e-4)
    fan.set_feedforward(46.0)
    near(fan.step(0.0, 1.0), 56.0, 1e-4)
    near(fan.step(1.0, 1.0), 56.0 + 8.0 + 8.0 / 400.0, 1e-3)
    fan.track(60.0)
    near(fan.step(1.0, 1.0), 60.02, 1e-3)  # bumpless
    for estimate, speed in ((1046.0, 100.0), (-900.0, 20.0)):
        fan.step(0.0, 1.0)
        fan.set_feedforward(estimate)
        near(fan.step(0.0, 1.0), speed, 1e-3)


def test_fans_that_continue_need_no_earlier_error():
    """After a restart the water is colder than wanted: the fans follow when it becomes warmer."""
    for last in (None, -8.0, 5.0):
        fan = FanControl(10.0, 100.0, 1.0)
        if last is not None:
            fan.step(last, 10.0)
        fan.track(10.0)
        near(fan.step(-8.0, 10.0), 10.0, 1e-4)
        near(fan.step(-7.0, 10.0), 16.6, 1e-3)
        near(fan.step(-7.0, 10.0), 15.2, 1e-3)
    fan = FanControl(10.0, 100.0, 1.0)
    fan.track(40.0)
    near(fan.step(0.5, 10.0), 44.1, 1e-3)  # warmer water needs no second step


def test_pump_laws_convert_the_error_by_the_affinity_laws():
    for mode, share, gain, integral_s in (
        (DP, 0.5, 0.45, 4.0),
        (FLOW, 1.0, 0.45, 4.0),
        (DELTA_T, -1.0, 0.15, 20.0),
    ):
        pump = PumpSpeedControl(0.0, 100.0, 1000.0)
        pump.set_mode(mode)
        pump.track(50.0)
        near(pump.step(100.0, 100.0, 1.0), 50.0, 1e-4)
        error = 50.0 * 0.1 * share
        near(pump.step(100.0, 90.0, 1.0), 50.0 + gain * error * (1.0 + 1.0 / integral_s), 1e-3)
        pump.track(50.0)
        near(pump.step(100.0, 90.0, 1.0), 50.0 + gain * error / integral_s, 1e-3)
        pump.track(50.0)
        near(pump.step(0.0, 90.0, 1.0), 50.0, 1e-4)
        near(pump.output, 50.0, 1e-4)


def test_pump_laws_change_mode_and_limits_bumpless():
    pump = PumpSpeedControl(20.0, 80.0, 1000.0)
    eq((pump.output, pump.mode), (20.0, DP))
    pump.track(50.0)
    pump.step(100.0, 100.0, 1.0)
    pump.set_mode(FLOW)
    near(pump.step(100.0, 90.0, 1.0), 50.0 + 0.45 * 5.0 / 4.0, 1e-3)
    pump.set_mode(FLOW)  # no change: no bumpless transfer
    assert pump.step(100.0, 80.0, 1.0) > 53.0
    pump.set_limits(30.0, 40.0, 1000.0)
    eq(pump.step(100.0, 50.0, 1.0), 40.0)
    eq((pump._pi.gain, pump._pi.integral_s), (0.45, 4.0))
    for _ in range(50):
        pump.step(100.0, 150.0, 1.0)
    eq(pump.output, 30.0)
    pump.set_limits(30.0, 90.0, 2.0)
    near(pump.step(100.0, 0.0, 1.0), 32.0, 1e-3)


def test_heat_of_both_sides():
    for heat_in, heat_out, seconds, unbalanced in (
        (10_000.0, 8_000.0, 300.0, True),
        (8_000.0, 10_000.0, 300.0, True),
        (10_000.0, 8_000.0, 299.0, False),
        (10_000.0, 8_125.0, 300.0, False),
        (8_125.0, 10_000.0, 300.0, False),
    ):
        check = HeatBalanceCheck(20.0)
        check._heat_in_w, check._heat_out_w = heat_in, heat_out
        for _ in range(2):
            check.check(heat_in, heat_out, seconds / 2)
        eq((heat_in, seconds, check.unbalanced), (heat_in, seconds, unbalanced))
    check.check(0.0, 0.0, 1e6)
    eq(check.unbalanced, False)
    check = HeatBalanceCheck(20.0)
    for heat, imbalance in ((1_999.0, None), (2_000.0, 0.5)):
        check._heat_in_w, check._heat_out_w = heat, 1_000.0
        check.check(heat, 1_000.0, 1.0)
        eq(check.imbalance, imbalance)
    check = HeatBalanceCheck(20.0)
    check.check(61_000.0, 30_500.0, 1.0)  # a filter of 60 s
    near(check._heat_in_w, 1_000.0, 0.01)
    near(check._heat_out_w, 500.0, 0.01)


def validated(value, redundant, estimate=None, seconds=29.5):
    check = SensorValidator(1.0)
    return check.validate(value, redundant, None, estimate, seconds), check.sensors_disagree


def test_two_sensors_that_differ():
    for value, redundant, estimate, expected in (
        (30.0, 30.875, None, (30.0, False)),
        (30.0, 31.0, None, (31.0, True)),
        (31.0, 30.0, None, (31.0, True)),
        (30.0, 31.0, 30.625, (31.0, True)),
        (30.0, 31.0, 30.375, (30.0, True)),
        (31.0, 30.0, 30.625, (31.0, True)),
        (31.0, 30.0, 30.375, (30.0, True)),
        (None, 31.0, None, (31.0, False)),
        (30.0, None, None, (30.0, False)),
    ):
        eq((value, redundant, validated(value, redundant, estimate)), (value, redundant, expected))
    eq(validated(30.0, 31.0, None, 29.0), (30.0, False))
    check = SensorValidator(1.0)
    for redundant, seconds in ((31.0, 29.0), (None, 1.0), (31.0, 29.0), (30.0, 1.0), (31.0, 29.0)):
        eq(check.validate(30.0, redundant, None, None, seconds), 30.0)


def test_a_stuck_sensor_is_replaced():
    for seconds, related, expected in (
        (899.5, 41.5, 20.0),
        (899.5, 38.5, 20.0),
        (899.5, 41.375, 30.0),
        (899.0, 41.5, 30.0),
        (9999.0, None, 30.0),
    ):
        check = SensorValidator(99.0)
        check.validate(30.0, 20.0, 40.0, None, 1.0)
        check.validate(30.0, 20.0, 40.0, None, 0.0)
        got = check.validate(30.0, 20.0, related, None, seconds)
        eq((seconds, related, got, check.stuck), (seconds, related, expected, expected == 20.0))
    check = SensorValidator(99.0)
    for value, related in ((30.0, 40.0), (30.0, 40.0), (30.0, 45.0)):
        check.validate(value, 20.0, related, None, 900.0)
    eq(check.stuck, True)
    eq((check.validate(30.125, 20.0, 45.0, None, 1.0), check.stuck), (30.125, False))
    eq(check.validate(30.125, 20.0, 46.0, None, 900.0), 30.125)
