# SPDX-License-Identifier: Apache-2.0
"""Flow over speed and pressure over its square: what is a weak pump, and what is not."""

from agent.safety.pump_curve import PumpCurve
from tests.portable.support.check import eq


class SpeedOfDrive:
    def __init__(self, speed_pct):
        self.speed_pct = speed_pct


def give(curve, count, flow=150.0, kpa=80.0, speeds=(70.0, 0.0)):
    """Give readings; return how many it takes until the alarm, or 0."""
    drives = [SpeedOfDrive(speed) for speed in speeds]
    for i in range(count):
        curve.add(flow, kpa, drives)
        if curve.is_weak:
            return i + 1
    return 0


def test_flow_and_pressure_below_the_speed_are_a_weak_pump():
    curve = PumpCurve()
    eq(give(curve, 100), 0)
    eq(give(curve, 100, speeds=(88.0, 0.0)), 40)
    eq(give(curve, 1), 0)


def test_speed_alone_one_sensor_and_another_number_of_pumps_are_no_weak_pump():
    for changed in (
        {"flow": 107.0, "kpa": 40.4, "speeds": (50.0, 0.0)},
        {"flow": 100.0},
        {"kpa": 40.0},
        {"flow": 100.0, "kpa": 100.0},
        {"speeds": (88.0, 88.0)},
        {"speeds": (88.0, 70.0)},
        {"speeds": (88.0, None)},
        {"flow": None},
    ):
        curve = PumpCurve()
        eq(give(curve, 100), 0)
        eq(give(curve, 200, **changed), 0)


def test_the_first_minute_is_learned():
    curve = PumpCurve()
    eq(give(curve, 10), 0)
    eq(give(curve, 300, speeds=(88.0, 0.0)), 0)


def test_pumps_that_run_apart_begin_the_count_again():
    curve = PumpCurve()
    eq(give(curve, 100), 0)
    eq(give(curve, 39, speeds=(88.0, 0.0)), 0)
    for speeds in ((88.0, 91.1), (10.0, 0.0)):  # 3 % apart is the same speed; 10 % is at rest
        give(curve, 1, speeds=speeds)
        eq((speeds, curve._count), (speeds, 0))
        eq(give(curve, 39, speeds=(88.0, 0.0)), 0)
    eq(give(curve, 1, speeds=(88.0, 0.0)), 1)


def test_a_reading_that_is_missing_or_small_keeps_the_count():
    curve = PumpCurve()
    eq(give(curve, 100), 0)
    eq(give(curve, 39, speeds=(88.0, 0.0)), 0)
    for missing in ({"flow": None}, {"kpa": None}, {"flow": 0.9}, {"kpa": 0.9}):
        eq(give(curve, 1, **missing), 0)
    eq(give(curve, 1, speeds=(88.0, 0.0)), 1)


def test_the_exact_limits_of_a_weak_pump():
    """At a speed of 64 %, flow 128 L/min and pressure 4096 kPa: ratios of 2 and 1."""
    for flow, kpa, is_weak in (
        (111.3, 3276.0, True),
        (111.4, 3276.0, False),
        (111.3, 3277.0, False),
    ):
        curve = PumpCurve()
        give(curve, 100, 128.0, 4096.0, (64.0, 0.0))
        eq((flow, kpa, give(curve, 60, flow, kpa, (64.0, 0.0))), (flow, kpa, 40 * is_weak))
    curve = PumpCurve()
    give(curve, 100, 128.0, 4096.0, (64.0, 0.0))
    give(curve, 60, 100.0, 2000.0, (64.0, 0.0))
    eq(give(curve, 1, 117.7, 4096.0, (64.0, 0.0)), 1)  # it ends at 92 %, not at 87 %
    eq(give(curve, 1, 117.8, 4096.0, (64.0, 0.0)), 0)
    eq(curve._count, 0)


def test_the_usual_values_are_means_of_an_hour_for_each_number_of_pumps():
    curve = PumpCurve()
    give(curve, 1, 128.0, 4096.0, (64.0, 0.0))
    give(curve, 1, 128.0, 4096.0, (64.0, 66.0))
    give(curve, 1, 192.0, 8192.0, (64.0, 0.0))
    eq(curve._usual[1], [2.5, 1.5, 2.0])
    eq(curve._usual[2][2], 1.0)
    give(curve, 3597, 160.0, 6144.0, (64.0, 0.0))
    eq(curve._usual[1][2], 3599.0)
    give(curve, 9, 160.0, 6144.0, (64.0, 0.0))
    eq(curve._usual[1], [2.5, 1.5, 3600.0])


def test_the_first_minute_ends_after_sixty_readings():
    for learned, found in ((58, 0), (59, 40)):
        curve = PumpCurve()
        give(curve, learned + 1)
        eq((learned, give(curve, 60, speeds=(88.0, 0.0))), (learned, found))


def test_less_flow_with_more_pressure_is_a_throttled_row():
    """1 L/min and 1 kPa per percent are usual: 100 L/min and 100 kPa at 100 %."""
    for flow, kpa, throttled in (
        (91.0, 110.0, True),
        (93.0, 110.0, False),
        (91.0, 107.0, False),
        (91.0, 109.0, True),
        (91.0, 159.0, True),
        (91.0, 161.0, False),  # no pump gives this: the pressure is false
        (80.0, 100.0, False),  # the flow meter is false, or a pump is weak
        (100.0, 120.0, False),
        (None, 110.0, False),
        (91.0, None, False),
    ):
        curve = PumpCurve()
        give(curve, 60, 100.0, 100.0, (100.0, 0.0))
        drives = [SpeedOfDrive(100.0), SpeedOfDrive(0.0)]
        eq((flow, kpa, curve.is_throttled(flow, kpa, drives)), (flow, kpa, throttled))


def test_a_throttled_row_needs_a_usual_one():
    for count, speeds, throttled in (
        (30, (50.0, 0.0), True),
        (29, (50.0, 0.0), False),
        (30, (50.0, 50.0), False),  # not learned with two pumps
        (30, (50.0, 40.0), False),
        (30, (0.0, 0.0), False),
        (30, (50.0, None), False),
    ):
        curve = PumpCurve()
        give(curve, count, 100.0, 100.0, (100.0, 0.0))
        drives = [SpeedOfDrive(speed) for speed in speeds]
        eq((count, speeds, curve.is_throttled(45.0, 28.0, drives)), (count, speeds, throttled))


def test_a_pressure_that_no_pump_gives_is_false():
    for count, kpa, speeds, is_false in (
        (30, 39.0, (50.0, 0.0), False),
        (30, 41.0, (50.0, 0.0), True),
        (30, None, (50.0, 0.0), False),
        (29, 41.0, (50.0, 0.0), False),
        (30, 41.0, (50.0, None), False),
    ):
        curve = PumpCurve()
        give(curve, count, 100.0, 100.0, (100.0, 0.0))
        drives = [SpeedOfDrive(speed) for speed in speeds]
        eq((count, kpa, curve.is_false_pressure(kpa, drives)), (count, kpa, is_false))


def test_a_restart_keeps_the_usual_values():
    curve = PumpCurve()
    give(curve, 59)
    eq(curve.words(), [])
    give(curve, 1)
    give(curve, 61, flow=200.0, speeds=(70.0, 70.0))
    words = curve.words()
    eq(words, ["1 2142857 16326", "2 2857142 16326"])
    again = PumpCurve()
    eq([again.restore(line.split(" ")) for line in words], [True, True])
    eq(again.words(), words)
    drives = [SpeedOfDrive(70.0), SpeedOfDrive(0.0)]
    eq(again.is_throttled(120.0, 100.0, drives), True)
    give(again, 60, flow=153.0)
    eq(again.words(), words)
    give(again, 2000, flow=160.0)
    assert again.words()[0] != words[0]


def test_words_that_are_no_usual_values_are_refused():
    for line in ("", "1", "1 2", "0 1 1", "1 0 1", "1 1 0", "1 -1 1", "a 1 1", "1 1 12345678901"):
        curve = PumpCurve()
        eq((line, curve.restore(line.split(" ")), curve.words()), (line, False, []))
