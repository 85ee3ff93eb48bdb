# SPDX-License-Identifier: Apache-2.0
"""Laws with limits and times: checked signals, proof tests, dew guard.

Each table has a value on both sides of a limit. All values are exact in 32 bits.
"""

from agent.control.law.dew_guard import DRY, NEAR, WET, DewGuard
from agent.control.law.proof_test import ProofTests
from agent.control.law.row.checked_signal import RANGE, RATE, RELATION, CheckedSignal
from tests.portable.support.check import eq


def signal(raw=32.0):
    made = CheckedSignal(5.0, 75.0, 1.0, 0.125)
    made.read(raw, 2.0, 1.0, 0.5, 1.0)
    made.settle(raw, None, 0.5, 1.0)
    eq((made.value, made.uncertainty, made.suspect), (raw, 0.0, ""))
    return made


def test_range_and_rate_of_a_signal():
    for raw, suspect in ((5.0, ""), (4.875, RANGE), (75.0, ""), (75.125, RANGE)):
        made = CheckedSignal(5.0, 75.0, 1.0, 0.125)
        got = made.read(raw, 2.0, 1.0, 0.5, 1.0)
        eq((raw, made.suspect, got), (raw, suspect, None if suspect else raw))
    for change, suspect in ((2.5, ""), (2.625, RATE), (-1.5, ""), (-1.625, RATE), (0.75, "")):
        made = signal()
        got = made.read(32.0 + change, 2.0, 1.0, 0.5, 1.0)
        eq((change, made.suspect, got), (change, suspect, None if suspect else 32.0 + change))
    made = signal()
    eq(made.read(None, 2.0, 1.0, 0.5, 1.0), None)
    eq(made.read(36.5, 2.0, 1.0, 0.5, 1.0), 36.5)  # two seconds have passed
    eq(made.read(39.25, 2.0, 1.0, 0.5, 1.0), None)
    made.mark_suspect(RELATION)
    eq(made.suspect, RATE)  # the first reason stays


def test_a_still_reading_is_suspect_after_the_transit():
    def still(seconds, moved, estimate=32.0, dt=0.5):
        made, at = signal(), 0.0
        made.check_stuck(32.0, estimate, dt)
        while at < seconds:
            made.check_stuck(32.0, estimate + moved, dt)
            at += dt
        return made.suspect

    for seconds, moved, suspect in (
        (59.0, 1.0, ""),
        (59.5, 1.0, RELATION),
        (59.5, -1.0, RELATION),
        (90.0, 0.875, ""),
        (90.0, -0.875, ""),
    ):
        eq((seconds, moved, still(seconds, moved)), (seconds, moved, suspect))
    made = signal()
    for raw, estimate in (
        (32.0, 32.0),
        (32.0, 34.0),
        (32.125, 34.0),
        (32.125, None),
        (32.125, 36.0),
    ):
        for _ in range(59):
            made.check_stuck(raw, estimate, 1.0)
    eq(made.suspect, "")
    made = signal()
    made.check_stuck(32.0, 32.0, 1.0)
    for i in range(200):
        made.check_stuck(32.0, 34.0 if i % 40 else 32.0, 1.0)  # the estimate returns
    eq(made.suspect, "")


def restored_after(reason, raw, estimate, calm_s=7200.0):
    """Return the seconds after which a suspect signal is valid again, at most 4000."""
    made = signal()
    made.read(raw, 99.0, 99.0, 0.0, calm_s)
    made.mark_suspect(reason)
    made.settle(99.0, 32.0, 0.5, 1.0)
    for second in range(1, 4001):
        made.settle(raw, estimate, 0.5, 1.0)
        if not made.suspect:
            return second
        eq((made.value, made.uncertainty), (estimate, 0.5))
    return 0


def test_a_signal_is_valid_again_by_a_minute_of_agreement():
    for reason, difference, seconds in (
        (RANGE, 0.0, 60),
        (RANGE, 0.875, 60),
        (RANGE, 1.0, 0),
        (RANGE, -1.0, 0),
        (RELATION, 0.125, 0),
        (RELATION, -0.25, 0),
    ):
        got = restored_after(reason, 32.0 + difference, 32.0)
        eq((reason, difference, got), (reason, difference, seconds))
    eq(60 < restored_after(RELATION, 32.0625, 32.0) < 200, True)
    eq(restored_after(RANGE, 32.0, None), 0)
    made = signal()
    made.mark_suspect(RANGE)
    for second in range(1, 3700):
        made.settle(32.0, 32.0, 0.5, 1.0)
        if second == 60:
            eq(made.suspect, "")
            made.mark_suspect(RATE)  # a second fault in an hour
    eq(made.suspect, "")
    made.mark_suspect(RATE)
    for _ in range(59):
        made.settle(32.0, 32.0, 0.5, 1.0)
    made.settle(None, 32.0, 0.5, 1.0)
    made.settle(32.0, 32.0, 0.5, 1.0)
    eq(made.suspect, RATE)


def test_a_second_fault_in_an_hour_needs_an_hour():
    made = signal()
    made.mark_suspect(RANGE)
    for _ in range(60):
        made.settle(32.0, 32.0, 0.5, 1.0)
    eq(made.suspect, "")
    made.mark_suspect(RATE)
    for _ in range(3599):
        made.settle(32.0, 32.0, 0.5, 1.0)
    eq(made.suspect, RATE)
    made.settle(32.0, 32.0, 0.5, 1.0)
    eq(made.suspect, "")
    for second in range(3600):
        eq(made._since_fault_s, float(second))
        made.read(32.0, 1.0, 1.0, 0.0, 1.0)
    made.mark_suspect(RATE)
    for _ in range(60):
        made.settle(32.0, 32.0, 0.5, 1.0)
    eq(made.suspect, "")


def test_partial_stroke():
    for start, away, back in ((50.0, 55.0, 53.0), (89.875, 94.875, 92.875), (90.0, 85.0, 87.0)):
        tests = ProofTests()
        eq((tests.running, tests.step_valve(50.0, 0, 1.0)), ("", None))
        tests.begin_valve(start)
        sign = 1.0 if away > start else -1.0
        eq((tests.running, tests.step_valve(start, 1, 1.0)), ("valve", away))
        eq(tests.step_valve(start + sign * 2.875, 2, 1.0), away)
        eq(tests.step_valve(back, 3, 1.0), away)  # it has followed: 3 %
        eq(tests.step_valve(start + sign * 2.0, 4, 1.0), start)
        eq(tests.step_valve(start + sign * 1.875, 5, 1.0), None)
        eq((tests.running, tests.records), ("", [(5, "valve", "passed", 2)]))


def test_a_valve_that_does_not_follow_fails():
    tests = ProofTests()
    tests.begin_valve(50.0)
    eq([tests.step_valve(50.0, 9, 29.5), tests.step_valve(50.0, 9, 0.5)], [55.0, None])
    tests.begin_valve(50.0)
    eq(tests.step_valve(None, 10, 1.0), None)
    tests.begin_valve(50.0)
    tests.abort(11)
    tests.abort(12)
    records = [(9, "valve", "failed", 30), (10, "valve", "failed", 1)]
    eq(tests.records, records + [(11, "valve", "broken off", 0)])
    tests.begin_pumps()
    eq((tests.step_valve(50.0, 13, 1.0), tests.running), (None, "pumps"))
    for _ in range(9):
        tests.begin_pumps()
        tests.abort(14)
    eq((len(tests.records), tests.records[0]), (8, (14, "pumps", "broken off", 0)))


def test_the_other_pump_must_turn_and_reach_the_pressure():
    for speed, fraction, at, running in (
        (20.5, 0.90625, 30.5, ""),
        (20.0, 1.0, 30.5, "pumps"),
        (None, 1.0, 30.5, "pumps"),
        (50.0, 0.875, 30.5, "pumps"),
        (50.0, None, 30.5, "pumps"),
        (50.0, 1.0, 30.0, "pumps"),
        (0.0, 0.0, 239.5, "pumps"),
        (0.0, 0.0, 240.0, ""),
    ):
        tests = ProofTests()
        tests.step_pumps(speed, fraction, 5, at)
        eq(tests.records, [])
        tests.begin_pumps()
        tests.step_pumps(speed, fraction, 5, at)
        eq((speed, fraction, at, tests.running), (speed, fraction, at, running))
    eq(tests.records, [(5, "pumps", "failed", 240)])
    tests.begin_pumps()
    tests.step_pumps(30.0, 1.0, 6, 31.0)
    eq(tests.records[1], (6, "pumps", "passed", 31))


def calm(supply_c):
    """Return steps that end 1 K or less below `supply_c` and up to 15 °C, in no time."""
    low_c = min(15.0, supply_c - 1.0)
    count = int((15.0 - low_c) / 0.4) + 1
    return [(supply_c, low_c + 0.4 * i, False, 0.0) for i in range(count)]


def guard_after(*steps):
    """Run (supply, dew point, measured, seconds); return the guard."""
    guard = DewGuard()
    for supply_c, dew_c, measured, seconds in steps:
        guard.step(supply_c, dew_c, measured, seconds)
    return guard


def test_the_valve_closes_near_the_dew_point():
    for supply_c, closing in ((17.0, False), (16.875, True)):  # the first step
        eq((supply_c, guard_after((supply_c, 15.0, True, 1.0)).closing), (supply_c, closing))
    for supply_c, dew_c, closing in (
        (16.0, 15.0, False),
        (15.875, 15.0, True),
        (17.25, 15.5, False),
        (17.5, 15.625, True),
        (17.625, 15.625, False),
    ):
        guard = guard_after((20.0, 15.0, True, 1.0), (supply_c, dew_c, True, 1.0))
        eq((supply_c, dew_c, guard.closing), (supply_c, dew_c, closing))
    for supply_c, closing, below in (
        (17.0, True, False),
        (17.125, False, False),
        (14.875, True, True),
    ):
        guard = guard_after((10.0, 15.0, True, 1.0), (supply_c, 15.0, True, 1.0))
        eq((supply_c, guard.closing, guard.below), (supply_c, closing, below))
    eq(guard_after((15.0, 15.0, True, 1.0)).below, False)


def test_a_supply_that_falls_approaches_the_dew_point():
    for last_c, supply_c, approaching in (
        (17.0, 17.0, False),
        (16.875, 16.875, True),
        (18.0, 17.75, False),
        (18.0, 17.5, True),  # 0.6 K less in six seconds
        (18.5, 17.875, False),
        (16.0, 17.125, False),
    ):
        guard = guard_after((last_c, 15.0, True, 1.0), (supply_c, 15.0, True, 1.0))
        eq((last_c, supply_c, guard.approaching), (last_c, supply_c, approaching))


def test_levels_of_a_wet_supply():
    for supply_c, measured, seconds, level in (
        (15.875, True, 5.5, NEAR),
        (15.875, True, 5.0, DRY),
        (16.0, True, 99.0, DRY),
        (15.0, True, 5.5, NEAR),
        (14.875, True, 5.5, WET),
        (14.875, True, 5.0, DRY),
        (14.875, False, 99.0, NEAR),
    ):
        guard = guard_after(*calm(supply_c), (supply_c, 15.0, measured, seconds))
        eq((supply_c, measured, seconds, guard.level), (supply_c, measured, seconds, level))
    for supply_c, seconds, level in (
        (17.0, 199.0, WET),
        (17.125, 59.0, WET),
        (17.125, 59.5, DRY),
    ):
        guard = guard_after((14.0, 15.0, True, 6.0), (supply_c, 15.0, True, seconds))
        eq((supply_c, seconds, guard.level), (supply_c, seconds, level))
    near_again = guard_after((14.0, 15.0, True, 6.0), (15.5, 15.0, True, 9.0))
    eq(near_again.level, WET)  # it ends with a dry minute only
    broken = guard_after(*calm(15.0), *((15.0, 15.0, True, 3.0), (16.0, 15.0, True, 1.0)) * 9)
    eq(broken.level, DRY)


def test_step_of_the_dew_point_is_near_immediately():
    dry = (17.5, 13.0, True, 1.0)
    for dew_c, level in ((16.625, NEAR), (16.5, DRY)):
        eq((dew_c, guard_after(dry, (17.5, dew_c, True, 1.0)).level), (dew_c, level))
    slow = guard_after(dry, *[(17.5, 13.0 + i / 4, True, 1.0) for i in range(16)])  # no step
    eq(slow.level, DRY)
    eq(guard_after((14.0, 15.0, True, 1.0)).level, NEAR)  # a start


def test_supply_that_falls_is_near_as_it_will_be():
    """-0.14 K/s: 0.84 K in 6 s. A rise, and a slower fall, do not count."""
    for rate, end_k, level in (
        (-14 / 100, 1.05, NEAR),
        (-14 / 100, 1.5, DRY),
        (-4 / 100, 1.05, DRY),
        (14 / 100, 6.0, DRY),
    ):
        steps = [(15.0 + end_k - rate * (35 - i), 15.0, True, 1.0) for i in range(36)]
        eq((rate, end_k, guard_after(*steps).level), (rate, end_k, level))


def test_alarm_ends_by_the_same_measure_as_it_begins():
    """A supply that falls at -0.1 K/s to 2.5 K above the dew point counts as 0.6 K lower."""
    for rate, level in ((-1 / 10, NEAR), (-4 / 100, DRY)):
        steps = [(17.5 - rate * (30 - i), 15.0, True, 1.0) for i in range(31)]
        calm = (17.5 - rate * 31, 15.0, True, 29.0)
        guard = guard_after((15.5, 15.0, True, 6.0), calm, *steps)
        eq((rate, guard.level), (rate, level))
