# SPDX-License-Identifier: Apache-2.0
"""Dew-point limit: agrees with psychrolib, uses the highest sensor or the fallback."""

from agent.control.law.dew_point import DewPointLimit, dew_point
from protocols.time_units import SECOND
from tests.portable.support.check import EPSILON, eq, near

SETTINGS = {"sensors": 2, "margin_k": 2.0, "allowance_k": 1.0, "fallback_c": 32.0}


def test_dew_point_matches_psychrometric_tables():
    """ASHRAE Fundamentals, as psychrolib 2.5 gives them to 0.01 K."""
    for air, rh, expected in ((20.0, 50.0, 9.27), (32.0, 70.0, 25.84), (45.0, 40.0, 28.25)):
        near(dew_point(air, rh), expected, 0.05)
    near(dew_point(25.0, 100.0), 25.0, 1e-9)


def test_highest_dew_point_counts():
    dew = DewPointLimit(SETTINGS)
    dew.add_reading(0, 25.0, 50.0, 0)
    dew.add_reading(1, 25.0, 60.0, 0)
    near(dew.min_setpoint_c(0, 1.0), dew_point(25.0, 60.0) + 3.0, 1e-9)
    eq(dew.valid_count, 2)


def test_one_lost_sensor_adds_margin_and_two_give_the_fallback():
    dew = DewPointLimit(SETTINGS)
    dew.add_reading(0, 25.0, 50.0, 0)
    dew.add_reading(1, 25.0, 50.0, 0)
    dew.min_setpoint_c(0, 1.0)
    dew.add_reading(0, 25.0, 50.0, 170 * SECOND)
    near(dew.min_setpoint_c(200 * SECOND, 1.0), dew_point(25.0, 50.0) + 4.0, 1e-9)
    eq(dew.valid_count, 1)
    eq(dew.min_setpoint_c(400 * SECOND, 1.0), 32.0)
    eq((dew.valid_count, dew.dew_c), (0, None))


def test_no_limit_at_the_start_and_then_the_fallback():
    dew = DewPointLimit(SETTINGS)
    eq((dew.min_setpoint_c(0, 15.0), dew.guard_c), (None, None))
    eq((dew.min_setpoint_c(0, 1.0), dew.guard_c), (32.0, 29.0))
    dew = DewPointLimit(SETTINGS)
    dew.min_setpoint_c(0, 1.0)
    dew.add_reading(0, 25.0, 50.0, 0)  # the first reading counts, not the fallback
    near(dew.min_setpoint_c(0, 1.0), dew_point(25.0, 50.0) + 4.0, 1e-9)


def feed(dew, begin_s, end_s, noise=0.0):
    """Feed both sensors 50 % once a second; return the number of valid sensors at the end."""
    for s in range(begin_s, end_s):
        for i in (0, 1):
            dew.add_reading(i, 25.0, 50.0 + (s + i) % 3 * noise, s * SECOND)
        dew.min_setpoint_c(s * SECOND, 1.0)
    return dew.valid_count


def test_frozen_humidity_is_found_and_two_changes_end_it():
    dew = DewPointLimit(SETTINGS)
    eq(feed(dew, 0, 60, 0.01), 2)  # noise of its resolution
    eq(feed(dew, 60, 170), 2)
    eq(feed(dew, 170, 180), 0)  # 120 s
    eq(dew.min_setpoint_c(180 * SECOND, 1.0), 32.0)
    eq(feed(dew, 180, 184, 0.01), 2)
    dew = DewPointLimit(SETTINGS)
    eq(feed(dew, 0, 890), 2)  # a coarse sensor
    eq(feed(dew, 890, 905), 0)


def test_out_of_range_value_is_ignored():
    for air, rh in ((25.0, 0.0), (25.0, 130.0), (-40.0, 50.0), (99.0, 50.0), (None, 50.0)):
        dew = DewPointLimit(SETTINGS)
        dew.add_reading(0, air, rh, 0)
        dew.min_setpoint_c(0, 15.0)
        eq((dew.min_setpoint_c(0, 1.0), dew.valid_count), (32.0, 0))


def test_sudden_fall_makes_a_sensor_suspect_until_steady():
    dew = DewPointLimit(SETTINGS)
    for s in range(0, 60, 10):
        dew.add_reading(0, 25.0, 50.0, s * SECOND)
        dew.add_reading(1, 25.0, 90.0, s * SECOND)
    dew.add_reading(1, 25.0, 50.0, 60 * SECOND)
    dew.add_reading(0, 25.0, 50.0, 60 * SECOND)
    dew.min_setpoint_c(60 * SECOND, 1.0)
    eq(dew.valid_count, 1)
    for s in range(70, 700, 10):
        dew.add_reading(0, 25.0, 50.0, s * SECOND)
        dew.add_reading(1, 25.0, 50.0, s * SECOND)
    dew.min_setpoint_c(700 * SECOND, 1.0)
    eq(dew.valid_count, 2)


def test_fallen_sensor_is_valid_after_it_agrees_for_a_minute():
    """An error of one sensor has ended: it agrees with the other one again."""
    dew = DewPointLimit(SETTINGS)
    counts = []
    for s in range(0, 200, 10):
        humidity = 60.0 + s / 1000  # not frozen
        dew.add_reading(0, 25.0, humidity, s * SECOND)
        dew.add_reading(1, 25.0, humidity + (30.0 if s < 60 else 0.0), s * SECOND)
        dew.min_setpoint_c(s * SECOND, 10.0)
        counts.append(dew.valid_count)
    eq(counts, [2] * 6 + [1] * 6 + [2] * 8)


def make_stepped_limit(falls):
    """Make two sensors at 30 °C and 60 %; each of `falls` is (sensor, humidity, at seconds)."""
    dew = DewPointLimit(SETTINGS)
    dew.add_reading(0, 30.0, 60.0, 0)
    dew.add_reading(1, 30.0, 60.0, 0)
    dew.min_setpoint_c(0, 1.0)
    for i, rh, at in falls:
        dew.add_reading(i, 30.0, rh, at * SECOND)
    return dew


def test_sensors_that_fall_together_and_agree_are_valid():
    """A door was opened: the limit falls as slowly as in all other cases."""
    for later in (0, 1, 100):
        dew = make_stepped_limit([(0, 35.0, 60), (1, 37.0, 60 + later)])
        high = dew_point(30.0, 60.0) + 3.0
        near(dew.min_setpoint_c((61 + later) * SECOND, 1.0), high - 1 / 1000, 1e-9 + 32 * EPSILON)
        eq(dew.valid_count, 2)


def test_smaller_fall_confirms_the_other_sensor():
    dew = make_stepped_limit([(0, 46.0, 60), (1, 48.0, 60)])  # 4.4 and 3.7 K
    dew.min_setpoint_c(61 * SECOND, 1.0)
    eq(dew.valid_count, 2)


def test_sensors_that_fall_apart_stay_suspect():
    for falls, valid in (
        ([(0, 35.0, 60), (1, 22.0, 60)], 0),  # 8 and 15 K: at least one of them is wrong
        ([(0, 35.0, 60), (1, 35.0, 200)], 0),  # the second falls more than two minutes later
        ([(0, 35.0, 60)], 1),  # alone
        ([(0, 35.0, 60), (1, 58.0, 60)], 1),  # the other did not fall
    ):
        dew = make_stepped_limit(falls)
        floor = dew.min_setpoint_c(
            210 * SECOND if len(falls) > 1 and falls[1][2] > 60 else 61 * SECOND, 1.0
        )
        eq(dew.valid_count, valid)
        assert floor >= dew_point(30.0, 60.0) + 2.9, floor
        dew.add_reading(0, 30.0, 35.0, 215 * SECOND)  # the next reading does not compensate
        dew.min_setpoint_c(216 * SECOND, 1.0)
        assert dew.valid_count <= valid, valid


def test_disagreement_is_flagged_and_min_setpoint_falls_slowly():
    dew = DewPointLimit(SETTINGS)
    dew.add_reading(0, 30.0, 70.0, 0)
    dew.add_reading(1, 30.0, 50.0, 0)
    high = dew.min_setpoint_c(0, 1.0)
    assert dew.sensors_disagree
    dew.add_reading(0, 30.0, 60.0, 10 * SECOND)
    near(high - dew.min_setpoint_c(10 * SECOND, 10.0), 0.01, 1e-9 + 32 * EPSILON)


def test_sensors_that_disagree_do_so_until_both_are_read():
    dew = DewPointLimit(SETTINGS)
    dew.add_reading(0, 25.0, 50.0, 0)
    dew.add_reading(1, 25.0, 60.0, 0)
    dew.min_setpoint_c(0, 1.0)
    eq(dew.sensors_disagree, True)
    dew.add_reading(0, 25.0, 50.0, 170 * SECOND)
    dew.min_setpoint_c(200 * SECOND, 1.0)
    eq((dew.valid_count, dew.sensors_disagree), (1, True))
    dew.min_setpoint_c(400 * SECOND, 1.0)
    eq((dew.valid_count, dew.sensors_disagree), (0, True))
    for sensor in (0, 1):
        dew.add_reading(sensor, 25.0, 50.0, 401 * SECOND)
    dew.min_setpoint_c(402 * SECOND, 1.0)
    eq((dew.valid_count, dew.sensors_disagree), (2, False))
