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
