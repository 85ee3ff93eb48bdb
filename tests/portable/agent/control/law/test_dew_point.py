"""The dew point's floor: right by psychrolib, the worst sensor counts, none is the fallback."""

from agent.control.law.dew_point import Dew, dew_point
from protocols.time_units import SECOND
from tests.portable.support.check import EPSILON, eq, near

SETTINGS = {"sensors": 2, "margin_k": 2.0, "allowance_k": 1.0, "fallback_c": 32.0}


def test_dew_points_of_the_psychrometric_tables():
    """ASHRAE Fundamentals, as psychrolib 2.5 gives them to a hundredth."""
    for air, rh, wanted in ((20.0, 50.0, 9.27), (32.0, 70.0, 25.84), (45.0, 40.0, 28.25)):
        near(dew_point(air, rh), wanted, 0.05)
    near(dew_point(25.0, 100.0), 25.0, 1e-9)


def test_the_worst_of_two_counts():
    dew = Dew(SETTINGS)
    dew.read(0, 25.0, 50.0, 0)
    dew.read(1, 25.0, 60.0, 0)
    near(dew.floor(0, 1.0), dew_point(25.0, 60.0) + 3.0, 1e-9)
    eq(dew.believed, 2)


def test_one_dead_sensor_costs_a_kelvin_more_and_two_the_fallback():
    dew = Dew(SETTINGS)
    dew.read(0, 25.0, 50.0, 0)
    dew.read(1, 25.0, 50.0, 0)
    dew.floor(0, 1.0)
    dew.read(0, 25.0, 50.0, 170 * SECOND)
    near(dew.floor(200 * SECOND, 1.0), dew_point(25.0, 50.0) + 4.0, 1e-9)
    eq(dew.believed, 1)
    eq(dew.floor(400 * SECOND, 1.0), 32.0)
    eq((dew.believed, dew.dew), (0, None))


def test_nothing_read_yet_is_the_fallback():
    eq(Dew(SETTINGS).floor(0, 1.0), 32.0)


def test_a_value_out_of_range_is_no_reading():
    for air, rh in ((25.0, 0.0), (25.0, 130.0), (-40.0, 50.0), (99.0, 50.0), (None, 50.0)):
        dew = Dew(SETTINGS)
        dew.read(0, air, rh, 0)
        eq((dew.floor(0, 1.0), dew.believed), (32.0, 0))


def test_a_sensor_that_falls_suddenly_is_not_believed_until_it_is_calm():
    dew = Dew(SETTINGS)
    for s in range(0, 60, 10):
        dew.read(0, 25.0, 50.0, s * SECOND)
        dew.read(1, 25.0, 90.0, s * SECOND)
    dew.read(1, 25.0, 50.0, 60 * SECOND)
    dew.read(0, 25.0, 50.0, 60 * SECOND)
    dew.floor(60 * SECOND, 1.0)
    eq(dew.believed, 1)
    for s in range(70, 700, 10):
        dew.read(0, 25.0, 50.0, s * SECOND)
        dew.read(1, 25.0, 50.0, s * SECOND)
    dew.floor(700 * SECOND, 1.0)
    eq(dew.believed, 2)


def stepped(falls):
    """Two sensors at 30 °C and 60 %; then each of `falls` is (sensor, humidity, at seconds)."""
    dew = Dew(SETTINGS)
    dew.read(0, 30.0, 60.0, 0)
    dew.read(1, 30.0, 60.0, 0)
    dew.floor(0, 1.0)
    for i, rh, at in falls:
        dew.read(i, 30.0, rh, at * SECOND)
    return dew


def test_sensors_that_fall_together_and_agree_are_believed():
    """A door was opened: the floor falls as slowly as it always does."""
    for later in (0, 1, 100):
        dew = stepped([(0, 35.0, 60), (1, 37.0, 60 + later)])
        high = dew_point(30.0, 60.0) + 3.0
        near(dew.floor((61 + later) * SECOND, 1.0), high - 1 / 1000, 1e-9 + 32 * EPSILON)
        eq(dew.believed, 2)


def test_one_that_falls_just_less_confirms_the_other():
    dew = stepped([(0, 46.0, 60), (1, 48.0, 60)])  # 4.4 and 3.7 K
    dew.floor(61 * SECOND, 1.0)
    eq(dew.believed, 2)


def test_sensors_that_do_not_fall_as_one_stay_doubted():
    for falls, believed in (
        ([(0, 35.0, 60), (1, 22.0, 60)], 0),  # 8 and 15 K: one of them lies at least
        ([(0, 35.0, 60), (1, 35.0, 200)], 0),  # the second more than two minutes later
        ([(0, 35.0, 60)], 1),  # alone
        ([(0, 35.0, 60), (1, 58.0, 60)], 1),  # the other did not fall
    ):
        dew = stepped(falls)
        floor = dew.floor(210 * SECOND if len(falls) > 1 and falls[1][2] > 60 else 61 * SECOND, 1.0)
        eq(dew.believed, believed)
        assert floor >= dew_point(30.0, 60.0) + 2.9, floor
        dew.read(0, 30.0, 35.0, 215 * SECOND)  # and the next reading does not make up for it
        dew.floor(216 * SECOND, 1.0)
        assert dew.believed <= believed, believed


def test_sensors_apart_are_told_and_the_floor_falls_slowly():
    dew = Dew(SETTINGS)
    dew.read(0, 30.0, 70.0, 0)
    dew.read(1, 30.0, 50.0, 0)
    high = dew.floor(0, 1.0)
    assert dew.apart
    dew.read(0, 30.0, 60.0, 10 * SECOND)
    near(high - dew.floor(10 * SECOND, 10.0), 0.01, 1e-9 + 32 * EPSILON)
