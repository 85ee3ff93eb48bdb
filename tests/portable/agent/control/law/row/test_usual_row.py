# SPDX-License-Identifier: Apache-2.0
"""The usual row: flow, pressure and pump speed belong together, and a shut branch fits them."""

from agent.control.law.row.checked_signal import RELATION
from tests.portable.agent.control.law.row.row_rig import run, steady_row, suspects
from tests.portable.support.check import eq, near

LONG = ("test_without_protection_another_row_is_learned_in_hours",)


def test_the_third_of_flow_dp_and_pump_speed_is_suspect():
    for name, value, index in (("flow_lpm", 0.0, 2), ("flow_lpm", 1500.0, 2), ("dp_kpa", 0.0, 3)):
        row, r = steady_row()
        run(row, r, 120)
        setattr(r, name, value)
        run(row, r, 3)
        eq([i for i, reason in enumerate(suspects(row)) if reason], [index])
        near(row.flow.value, 150.0, 0.5)
        near(row.dp.value, 80.0, 0.5)
    row, r = steady_row()
    run(row, r, 120)
    r.flow_lpm, r.dp_kpa = 10.0, 0.4  # the pump turns and moves nothing: both are right
    run(row, r, 10)
    eq(suspects(row)[2:], ("", ""))


def test_pumps_that_start_teach_nothing_and_accuse_no_sensor():
    """A restart without stored factors, while the flow meter lags behind the pumps."""
    for is_row_usual in (None, True, False):
        row, r = steady_row()
        r.is_row_usual = is_row_usual
        r.flow_lpm = 0.0
        for speed in range(0, 71, 10):
            r.pump_pct = float(speed)
            r.dp_kpa = 80.0 * (speed / 70.0) ** 2
            r.flow_lpm += 0.4 * (150.0 * speed / 70.0 - r.flow_lpm)
            run(row, r, 1)
        for _ in range(60):
            r.flow_lpm += 0.4 * (150.0 - r.flow_lpm)
            run(row, r, 1)
            eq((is_row_usual, suspects(row)[2:]), (is_row_usual, ("", "")))


def test_factors_accuse_a_sensor_after_ten_seconds_and_after_a_restart():
    for learned_s, is_restored, reason in (
        (8, False, ""),
        (12, False, RELATION),
        (0, True, RELATION),
    ):
        row, r = steady_row()
        if is_restored:
            row.hydraulics.restore(150.0 / 80.0**0.5, 150.0 / 70.0, True)
        run(row, r, learned_s)
        r.flow_lpm = 20.0
        run(row, r, 4)
        eq((learned_s, row.flow.suspect), (learned_s, reason))


def test_a_shut_branch_is_no_false_sensor():
    """At full speed: the pumps give less flow than their speed and more than the pressure."""
    for flow, kpa, index in ((193.0, 224.0, None), (208.0, 155.0, None), (208.0, 224.0, 3)):
        row, r = steady_row()
        run(row, r, 120)
        r.pump_pct, r.dp_kpa = 97.0, kpa
        for _ in range(30):
            r.flow_lpm += 0.4 * (flow - r.flow_lpm)
            run(row, r, 1)
        found = [i for i, reason in enumerate(suspects(row)) if reason]
        eq((flow, kpa, found), (flow, kpa, [] if index is None else [index]))


def move_row(row, r, flow, kpa, seconds):
    """Give the pressure immediately, and the flow with the lag of its meter."""
    r.dp_kpa = kpa
    for _ in range(seconds):
        r.flow_lpm += 0.4 * (flow - r.flow_lpm)
        run(row, r, 1)


def test_a_shut_branch_is_not_learned_as_the_usual_row():
    """Two of four branches are shut for 20 min. When they open, no sensor becomes suspect."""
    for protection_says, most in ((False, 0.0), (None, 0.04)):
        row, r = steady_row()
        run(row, r, 400)
        usual = row.learned()[0]
        r.is_row_usual = protection_says
        move_row(row, r, 105.0, 115.0, 1200)
        eq((suspects(row)[2:], row.hydraulics.is_usual, row.may_learn_ua), (("", ""), False, False))
        for factor, old in zip(row.learned()[0][:2], usual):
            near(factor, old, most * old)
        r.is_row_usual = None if protection_says is None else True
        move_row(row, r, 150.0, 80.0, 20)
        eq((suspects(row)[2:], row.hydraulics.is_usual), (("", ""), True))


def test_the_pumps_may_change_while_a_branch_is_shut():
    """Two pumps at full speed for the hot load: they give more than the usual one would."""
    row, r = steady_row()
    run(row, r, 400)
    r.is_row_usual, r.pump_pct = False, 100.0
    move_row(row, r, 195.0, 230.0, 700)
    r.is_row_usual = True
    move_row(row, r, 233.0, 193.0, 20)
    eq((suspects(row)[2:], row.hydraulics.is_usual), (("", ""), True))


def test_a_row_that_the_protection_does_not_call_usual_is_not_adopted_for_its_duration():
    """A young unit: a branch was shut for as long as it was open."""
    row, r = steady_row()
    run(row, r, 100)
    r.is_row_usual, r.pump_pct = False, 100.0
    move_row(row, r, 195.0, 224.0, 200)
    r.is_row_usual = True
    move_row(row, r, 233.0, 193.0, 9)
    r.pump_pct = 70.0
    move_row(row, r, 150.0, 80.0, 80)
    eq(suspects(row)[2:], ("", ""))


def test_factors_of_before_a_restart_are_not_replaced_by_those_of_its_first_seconds():
    """The pumps run up after a power cut: flow and pressure have not settled."""
    for restored_at in (0, 1):
        old, r = steady_row()
        run(old, r, 120)
        row, r = steady_row()
        r.is_row_usual = False
        for second, (flow, kpa, pump) in enumerate(
            ((0.0, 0.3, 0.0), (6.0, 1.8, 15.0), (34.0, 15.0, 35.0), (72.0, 44.0, 55.0))
        ):
            if second == restored_at:
                row.hydraulics.restore(*old.learned()[0][:2], False)
            r.flow_lpm, r.dp_kpa, r.pump_pct = flow, kpa, pump
            run(row, r, 1)
        r.is_row_usual, r.pump_pct = True, 70.0
        move_row(row, r, 150.0, 80.0, 30)
        eq((restored_at, suspects(row)[2:]), (restored_at, ("", "")))


def test_a_sensor_that_fits_the_usual_row_again_becomes_valid():
    """It was judged by the factors of a row that is gone."""
    for says, reason in ((True, ""), (None, RELATION)):
        row, r = steady_row()
        run(row, r, 400)
        r.is_row_usual = False
        move_row(row, r, 105.0, 115.0, 600)
        row.flow.mark_suspect(RELATION)
        r.is_row_usual, r.flow_lpm, r.dp_kpa = says, 150.0, 80.0
        run(row, r, 120)
        eq((says, row.flow.suspect), (says, reason))


def test_a_false_sensor_is_found_while_a_branch_is_shut():
    for name, value, index in (("dp_kpa", 0.0, 3), ("flow_lpm", 0.0, 2), ("dp_kpa", 300.0, 3)):
        row, r = steady_row()
        run(row, r, 400)
        move_row(row, r, 105.0, 115.0, 600)
        setattr(r, name, value)
        run(row, r, 5)
        eq([i for i, reason in enumerate(suspects(row)) if reason > "" and i > 1], [index])
        near(row.flow.value, 105.0, 2.0)


def test_behind_a_clogged_filter_the_speed_of_the_pumps_shows_no_flow():
    """The meter stands still at the flow of before, which fits the speed. So the pressure is
    accused, until the pressure drop of the filter is known to be high.
    """
    for kpa, before, after in ((12.4, [3], [2]), (320.0, [3], [3])):
        row, r = steady_row()
        run(row, r, 120)
        r.dp_kpa = kpa
        run(row, r, 5)
        eq((kpa, [i for i, reason in enumerate(suspects(row)) if reason]), (kpa, before))
        r.is_filter_clogged = True
        run(row, r, 5)
        eq((kpa, [i for i, reason in enumerate(suspects(row)) if reason]), (kpa, after))
    for flow, found in ((150.0, [2]), (59.0, [])):  # the filter was known to be clogged before
        row, r = steady_row()
        run(row, r, 120)
        r.is_filter_clogged = True
        move_row(row, r, flow, 12.4, 10)
        eq((flow, [i for i, reason in enumerate(suspects(row)) if reason]), (flow, found))


def test_a_pressure_that_has_drifted_away_is_found_by_the_usual_row():
    """The loop holds the pressure that it reads, so flow and speed fall in proportion."""
    for says, limit_lpm in ((False, 100.0), (True, 0.0)):
        row, r = steady_row()
        run(row, r, 400)
        while not row.dp.suspect and r.flow_lpm > 75.0:
            r.is_row_usual = says if r.flow_lpm < 140.0 else True
            r.flow_lpm -= 0.02
            r.pump_pct = 70.0 * r.flow_lpm / 150.0
            run(row, r, 1)
        eq((says, row.dp.suspect, row.flow.suspect), (says, "" if says else RELATION, ""))
        eq((says, r.flow_lpm > limit_lpm), (says, True))


def test_the_word_of_the_protection_stops_the_learning():
    """A small pump speed: the own evidence is too coarse. Its word ends this too."""
    row, r = steady_row()
    run(row, r, 400)
    usual = row.learned()[0]
    r.is_row_usual = False
    move_row(row, r, 140.0, 84.0, 600)
    eq((row.learned()[0][:2], row.is_usual), (usual[:2], False))
    r.is_row_usual = True
    run(row, r, 50)
    eq(row.learned()[0][:2], usual[:2])
    run(row, r, 30)
    near(row.learned()[0][0], 140.0 / 84.0**0.5, 0.01)
    eq(row.hydraulics.is_usual, True)


def test_without_protection_another_row_is_learned_in_hours():
    row, r = steady_row()
    run(row, r, 400)
    usual = row.learned()[0][0]
    move_row(row, r, 105.0, 115.0, 3600)
    now = row.learned()[0][0]
    assert 0.93 * usual < now < 0.97 * usual, (usual, now)
    move_row(row, r, 105.0, 115.0, 20 * 3600)
    near(row.learned()[0][0], 105.0 / 115.0**0.5, 0.5)


def test_of_two_rows_after_the_start_the_longer_one_is_the_usual_one():
    """The first reading of the pressure is too low: it is no usual row."""
    row, r = steady_row()
    r.dp_kpa = 60.0
    run(row, r, 3)
    move_row(row, r, 140.0, 80.0, 5)
    eq(row.is_usual, False)
    move_row(row, r, 140.0, 80.0, 300)
    near(row.learned()[0][0], 140.0 / 80.0**0.5, 0.05)
    eq((row.hydraulics.is_usual, suspects(row)[2:]), (True, ("", "")))


def test_nothing_is_learned_from_an_estimate():
    row, r = steady_row()
    run(row, r, 400)
    row.flow.mark_suspect(RELATION)
    factors = row.learned()[0]
    r.flow_lpm = 100.0
    run(row, r, 300)
    eq((row.flow.suspect, row.learned()[0], row.may_learn_ua), (RELATION, factors, False))


def test_less_flow_is_a_shut_branch_only_if_the_pressure_rises():
    for kpa, index in ((80.0, 2), (94.0, None)):
        row, r = steady_row()
        run(row, r, 120)
        r.dp_kpa = kpa
        for _ in range(30):
            r.flow_lpm += 0.4 * (110.0 - r.flow_lpm)
            run(row, r, 1)
        found = [i for i, reason in enumerate(suspects(row)) if reason]
        eq((kpa, found), (kpa, [] if index is None else [index]))


def test_a_pressure_above_the_shut_off_pressure_is_false():
    """Some flow less than the pumps give: 1.5 times the pressure is possible, 1.8 times is not."""
    for kpa, index in ((120.0, None), (144.0, 3)):
        row, r = steady_row()
        run(row, r, 120)
        r.flow_lpm, r.dp_kpa = 140.0, kpa
        run(row, r, 10)
        found = [i for i, reason in enumerate(suspects(row)) if reason]
        eq((kpa, found), (kpa, [] if index is None else [index]))


def test_pressure_that_is_right_again_is_not_judged_by_old_values():
    row, r = steady_row()
    run(row, r, 120)
    r.dp_kpa = 150.0
    run(row, r, 10)
    eq(suspects(row)[3], RELATION)
    r.dp_kpa = 80.0
    run(row, r, 70)
    eq(suspects(row)[3], "")


def test_without_a_flow_a_pressure_that_no_pump_gives_is_false():
    """80 kPa at 70 % and at 25 %. Between them a valve of the row may have moved."""
    for kpa, pump_pct, reason in (
        (250.0, 70.0, ""),
        (250.0, 50.0, "relation"),
        (80.0, 30.0, "relation"),
        (80.0, 40.0, ""),
    ):
        row, r = steady_row()
        run(row, r, 120)
        r.flow_lpm, r.dp_kpa, r.pump_pct = 1500.0, kpa, pump_pct
        run(row, r, 12)
        eq((kpa, pump_pct, suspects(row)), (kpa, pump_pct, ("", "", "range", reason)))
        if reason:
            near(row.flow.value, 150.0 * pump_pct / 70.0, 1.0)
            near(row.dp.value, 80.0 * (pump_pct / 70.0) ** 2, 1.0)
    row, r = steady_row()
    run(row, r, 5)  # not enough to judge a sensor
    r.flow_lpm, r.pump_pct = 1500.0, 30.0
    run(row, r, 12)
    eq(suspects(row), ("", "", "range", ""))


def test_pumps_that_slow_down_to_rest_make_no_pressure_false():
    row, r = steady_row()
    run(row, r, 120)
    r.flow_lpm, r.pump_pct = None, 0.0
    for kpa in (40.0, 10.0, 2.0, 0.0):
        r.dp_kpa = kpa
        run(row, r, 1)
    run(row, r, 12)
    eq(row.dp.suspect, "")
