# SPDX-License-Identifier: Apache-2.0
"""Hydraulic resistance of the row: what is reported, and what is a transient."""

from agent.safety.row_resistance import RowResistance
from tests.portable.support.check import eq, near


def make():
    row = RowResistance()
    for _ in range(60):
        row.add(150.0, 80.0)
    return row


def test_shut_branch_is_reported_after_three_readings():
    row = make()
    seen = []
    for flow, kpa in ((139.7, 94.8), (131.8, 90.5), (126.7, 88.3), (124.7, 88.6)):
        row.add(flow, kpa)
        seen.append(row.is_changed)
    eq(seen, [False, False, True, True])
    for _ in range(5):
        row.add(150.0, 80.0)
    eq(row.is_changed, False)


def test_speed_does_not_matter():
    row = make()
    for percent in (90, 70, 50, 30, 60, 100, 20):
        for _ in range(3):
            row.add(1.5 * percent, 80.0 * percent * percent / 10_000)
            eq(row.is_changed, False)


def test_lag_of_the_flow_meter_is_a_transient():
    row = make()
    for flow in (60.0, 95.0, 118.0, 131.0, 139.0, 144.0, 147.0, 149.0):
        row.add(flow, 80.0)
        eq(row.is_changed, False)
    for flow in (120.0, 90.0, 70.0, 57.0, 49.0, 44.0, 42.0):
        row.add(flow, 5.0)
        eq(row.is_changed, False)


def test_false_sensor_is_reported_in_both_directions():
    for kpa in (140.0, 40.0):
        row = make()
        for _ in range(3):
            row.add(150.0, kpa)
        eq(row.is_changed, True)


def test_missing_or_small_readings_are_not_used():
    row = make()
    for flow, kpa in ((None, 80.0), (150.0, None), (5.0, 80.0), (150.0, 0.0), (0.0, 80.0)) * 3:
        row.add(flow, kpa)
        eq(row.is_changed, False)


def test_state_that_lasts_longer_after_a_start_is_the_usual_one():
    row = RowResistance()
    for _ in range(50):
        row.add(150.0, 230.0)  # the sensor is false at the start
    found = []
    for _ in range(60):
        row.add(150.0, 80.0)
        found.append(row.is_changed)
    eq((found[10], found[-1]), (True, False))


def changes(*states):
    """Return whether the resistance is changed, after each reading of states (flow, readings)."""
    row, found = RowResistance(), []
    for flow, readings in states:
        for _ in range(readings):
            row.add(flow, 80.0)
            found.append(row.is_changed)
    return found


def test_the_state_of_before_a_longer_false_one_is_usual_again():
    """The flow meter is false for 12 minutes, 200 s after the start."""
    found = changes((150.0, 200), (200.0, 700), (150.0, 400))
    eq((found[199], found[203], found[899]), (False, True, False))
    eq((found[905], found[958], found[970], found[-1]), (True, True, False, False))


def test_the_state_of_before_is_forgotten_after_an_hour():
    eq(changes((150.0, 200), (200.0, 4000), (150.0, 400))[-1], True)


def usual_row(readings=320):
    """Return a row whose resistance is 100 / 100² = 0.01."""
    row = RowResistance()
    for _ in range(readings):
        row.add(100.0, 100.0)
    return row


def test_a_change_of_a_quarter_is_reported():
    for kpa, is_changed in ((124.9, False), (125.1, True), (75.1, False), (74.9, True)):
        row, seen = usual_row(), []
        for _ in range(3):
            row.add(100.0, kpa)
            seen.append(row.is_changed)
        eq((kpa, seen), (kpa, [False, False, is_changed]))
    row = usual_row()
    for _ in range(3):
        row.add(100.0, 150.0)
    for kpa, is_changed in ((116.0, True), (114.0, False)):
        row.add(100.0, kpa)
        eq((kpa, row.is_changed), (kpa, is_changed))


def test_small_readings_break_the_count():
    for flow, kpa in ((None, 150.0), (100.0, None), (100.0, 2.9), (14.9, 150.0)):
        row = usual_row()
        for reading in ((100.0, 150.0), (100.0, 150.0), (flow, kpa), (100.0, 150.0)):
            row.add(*reading)
        eq((flow, kpa, row.is_changed), (flow, kpa, False))
    row = RowResistance()
    for reading in ((0.9, 150.0), (1.0, 3.0), (1.0, 3.0)):
        row.add(*reading)
    eq((row._mean, row._mean_count), (3.0, 2))


def test_a_flow_that_moves_towards_the_usual_resistance_is_no_change():
    for first, second, kpa, is_changed in (
        (100.0, 102.0, 150.0, False),
        (100.0, 100.9, 150.0, True),
        (100.0, 98.0, 60.0, False),
        (100.0, 99.1, 60.0, True),
    ):
        row = usual_row()
        row.add(first, kpa), row.add(first, kpa)
        row.add(second, kpa)
        eq((second, kpa, row.is_changed), (second, kpa, is_changed))


def test_the_usual_resistance_is_a_slow_mean():
    row = RowResistance()
    row.add(100.0, 100.0)
    row.add(100.0, 109.0)
    near(row._mean * 10_000, 104.5, 0.01)
    eq(row._mean_count, 2)
    row = usual_row()
    eq(row._mean_count, 300)
    row.add(100.0, 111.0)  # outside of the band of the mean
    near(row._mean * 10_000, 100.0, 1e-3)
    row.add(100.0, 103.0)
    near(row._mean * 10_000, 100.01, 1e-3)
    for _ in range(303):
        row.add(100.0, 200.0)  # 301 of them as changed
    near(row._mean * 10_000, 100.01 + 301 * 100 / 30_000, 0.02)
    eq((row.is_changed, row._changed_readings), (True, 301))


def drift(kpa_per_h, hours):
    """Return the time in hours after which a drift of the pressure is reported, and the flow then.

    The loop holds the pressure that it reads, so the flow becomes smaller.
    """
    row = RowResistance()
    for second in range(int(hours * 3600)):
        false_kpa = max(0, second - 600) / 3600.0 * kpa_per_h
        flow = 150.0 * ((80.0 - false_kpa) / 80.0) ** 0.5
        row.add(flow, 80.0)
        if row.is_changed:
            return second / 3600.0, flow
    return None


def test_a_drift_that_the_mean_of_minutes_follows_is_reported():
    hours, flow = drift(40.0, 2.0)
    eq((0.5 < hours < 0.8, flow > 130.0), (True, True))
    hours, flow = drift(6.0, 8.0)
    eq((3.0 < hours < 6.0, flow > 120.0), (True, True))


def test_a_row_that_changes_within_a_day_stays_usual():
    eq(drift(0.8, 24.0), None)


def test_state_that_lasts_longer_after_a_start_is_adopted_once():
    row = make()
    adopted = [row.add(150.0, 20.0) for _ in range(80)]
    eq((adopted.count(True), adopted.index(True) > 55, row.is_changed), (1, True, False))
    eq([row.add(150.0, 20.0) for _ in range(80)].count(True), 0)


def shut_row(readings=100):
    """Return a row with a shut branch, after `readings` of the usual state."""
    row = usual_row(readings)
    for _ in range(3):
        row.confirm(True)  # no effect without a change
        eq(row.is_shut, False)
        row.add(85.0, 120.0)
    eq((row.is_changed, row.is_higher), (True, True))
    row.confirm(False)
    eq((row.is_shut, row.words()[:4]), (False, "" if readings < 60 else "usua"))
    row.confirm(True)
    eq((row.is_shut, row.words()[:5]), (True, "shut "))
    near(int(row.words()[5:]), 10_000_000, 500)
    return row


def test_a_shut_branch_never_becomes_the_usual_row():
    """Without the proof, the state that lasts longer is the usual one, or the mean follows it."""
    for usual in (100, 320):
        row = shut_row(usual)
        for flow, kpa in ((85.0, 120.0), (30.0, 15.0), (10.0, 2.0), (140.0, 330.0)):
            eq([row.add(flow, kpa) for _ in range(2000)].count(True), 0)
            eq((row.is_changed, row.is_shut), (True, True))
        near(row._mean * 10_000, 100.0, 0.01)
        row.add(100.0, 116.0)
        eq((row.is_changed, row.is_shut), (True, True))
        row.add(100.0, 114.0)
        eq((row.is_changed, row.is_shut), (False, False))


def test_a_lower_resistance_is_no_shut_branch():
    row = usual_row()
    for _ in range(3):
        row.add(100.0, 60.0)
    row.confirm(True)
    eq((row.is_changed, row.is_shut), (True, False))


def test_a_false_pressure_proves_no_shut_branch_later():
    """Three readings in a row count, until the resistance is the usual one again."""
    for readings, is_shut in (([True] * 3, False), ([True, True, False, True, True], True)):
        row = usual_row()
        for _ in range(3):
            row.add(85.0, 220.0)
        for is_false in readings:
            row.use_false_pressure(is_false)
        row.use_false_pressure(False)
        row.add(85.0, 120.0)
        row.confirm(True)
        eq((readings, row.is_shut), (readings, is_shut))
    row = usual_row()
    for _ in range(3):
        row.add(85.0, 220.0)
        row.use_false_pressure(True)
    row.add(100.0, 100.0)
    for _ in range(3):
        row.add(85.0, 120.0)
    row.confirm(True)
    eq(row.is_shut, True)


def test_a_person_accepts_the_row_as_it_is():
    row = shut_row()
    eq((row.accept(), row.is_changed, row.is_higher, row.is_shut), (True, False, False, False))
    for _ in range(5):
        row.add(85.0, 120.0)
        eq((row.is_changed, row.is_higher), (False, False))
    eq(row.accept(), False)
    for _ in range(3):
        row.add(100.0, 100.0)  # opened again: this is the change now
    eq((row.is_changed, row.is_higher), (True, False))


def test_a_restart_keeps_the_shut_branch():
    row = RowResistance()
    eq(row.restore(["shut", "10000000"]), True)
    eq((row.is_changed, row.is_higher, row.is_shut), (True, True, True))
    for _ in range(700):
        row.add(85.0, 120.0)
    eq((row.is_shut, row.words()), (True, "shut 10000000"))
    row.add(100.0, 101.0)
    eq((row.is_changed, row.is_shut), (False, False))
    for words in ("", "x", "-1", "0", "000", "1234567890123"):
        for name in ("shut", "usual", "x"):
            row = RowResistance()
            eq((words, row.restore([name, words]), row.is_shut), (words, False, False))
    for lines in ([], ["shut"], ["shut", "1", "1"], ["usual", "1", "1"], ["x", "1"]):
        eq((lines, RowResistance().restore(lines)), (lines, False))
    eq(RowResistance().restore(["shut", "123456789012"]), True)


def test_the_row_is_usual_while_the_mean_follows_it():
    """Within 10 % of the usual resistance; models of the regulation learn only then."""
    row = make()
    eq(row.is_usual, True)
    for kpa, is_usual in ((87.9, True), (88.6, False), (72.3, True), (71.5, False), (80.0, True)):
        row.add(150.0, kpa)
        eq((kpa, row.is_usual), (kpa, is_usual))
    row.add(150.0, 71.0)
    row.add(150.0, 1.0)  # not used
    eq(row.is_usual, False)


def test_a_row_that_is_accepted_or_adopted_is_usual_and_a_kept_one_is_not():
    row = RowResistance()
    eq((row.restore(["shut", "3555555"]), row.is_usual), (True, False))
    eq((row.accept(), row.is_usual), (True, True))
    row = make()
    while not row.add(150.0, 20.0):
        eq(row.is_usual, False)
    eq(row.is_usual, True)


def test_a_restart_keeps_the_usual_row():
    """A branch that is shut in the first readings after it shows immediately."""
    row = usual_row(59)
    eq(row.words(), "")
    row = usual_row(61)
    words = row.words()
    near(int(words[6:]), 10_000_000, 500)
    again = RowResistance()
    eq((again.restore(words.split(" ")), again.words()), (True, words))
    for _ in range(4):  # the first one shows no direction
        again.add(85.0, 120.0)
    eq((again.is_changed, again.is_higher), (True, True))
    again.confirm(True)
    eq(again.is_shut, True)


def test_after_a_restart_another_row_is_the_usual_one_sooner():
    """Work on the row while the unit was off."""
    row = RowResistance()
    row.restore(["usual", "10000000"])
    adopted = [row.add(110.0, 80.0) for _ in range(400)]
    eq((adopted.count(True), row.is_changed), (1, False))
    assert 150 <= adopted.index(True) < 160, adopted.index(True)


def test_a_small_change_of_the_usual_row_is_not_kept_again():
    row = usual_row(301)
    words = row.words()
    for _ in range(2000):
        row.add(100.0, 104.0)
    eq(row.words(), words)
    for _ in range(2000):
        row.add(100.0, 108.0)
    assert row.words() != words
