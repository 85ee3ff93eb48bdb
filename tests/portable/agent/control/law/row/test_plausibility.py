# SPDX-License-Identifier: Apache-2.0
"""Plausibility of the row's sensors: each false value is found, and valid again by agreement."""

from agent.control.law.exchanger import Exchanger
from agent.control.law.plausibility import RowPlausibility
from agent.control.law.row.checked_signal import RANGE, RATE, RELATION, CheckedSignal
from agent.control.law.row.readings import RowReadings
from tests.portable.support.check import eq, near
from tests.portable.support.cooling_settings import EXCHANGER

LONG = ("test_without_protection_another_row_is_learned_in_hours",)


def steady_row(fws_lpm=90.0, fws_supply_c=24.0, supply_c=32.0):
    """Return a row and readings that agree with its exchanger."""
    exchanger = Exchanger(EXCHANGER)
    row = RowPlausibility(exchanger, 150.0)
    exchanger.update_table(150.0)
    e = exchanger.effectiveness_of(fws_lpm)
    r = RowReadings()
    r.flow_lpm, r.dp_kpa, r.pump_pct = 150.0, 80.0, 70.0
    r.fws_flow_lpm, r.fws_supply_c, r.supply_c = fws_lpm, fws_supply_c, supply_c
    r.return_c = (supply_c - e * fws_supply_c) / (1.0 - e)
    heat_w = exchanger.tcs_capacity(150.0) * (r.return_c - supply_c)
    r.fws_return_c = fws_supply_c + heat_w / exchanger.fws_capacity(fws_lpm)
    return row, r


def run(row, r, seconds):
    for _ in range(seconds):
        row.step(r, 1.0)


def suspects(row):
    return row.supply.suspect, row.return_signal.suspect, row.flow.suspect, row.dp.suspect


def test_healthy_row_has_no_suspect():
    row, r = steady_row()
    run(row, r, 600)
    eq(suspects(row), ("", "", "", ""))
    eq((row.supply.value, row.supply.uncertainty), (32.0, 0.0))
    near(row.heat_factor, 1.0, 1e-6)


def test_lies_of_the_supply_are_replaced_immediately():
    for false_value, reason in (
        (0.0, RANGE),
        (99.0, RANGE),
        (3276.7, RANGE),
        (20.0, RATE),
        (37.0, RATE),
    ):
        row, r = steady_row()
        run(row, r, 120)
        r.supply_c = false_value
        run(row, r, 300)
        eq(suspects(row), (reason, "", "", ""))
        near(row.supply.value, 32.0, 0.05)
        assert 0.4 < row.supply.uncertainty < 0.8, row.supply.uncertainty
        r.supply_c = 32.0
        run(row, r, 59)
        eq(row.supply.suspect, reason)
        run(row, r, 2)
        eq(row.supply.suspect, "")


def gap_of_readings(valve_lpm, pump_pct):
    """Return a row whose device was silent for 15 s while the facility flow changed to `valve_lpm`,
    and its readings after it. `pump_pct`: None if the whole bus was silent.
    """
    row, r = steady_row()
    run(row, r, 120)
    r.supply_c = r.return_c = r.flow_lpm = r.dp_kpa = None
    r.pump_pct = pump_pct
    run(row, r, 15)
    return row, steady_row(fws_lpm=valve_lpm)[1]


def test_a_fault_that_began_in_a_gap_of_the_readings_is_found_in_20_s():
    """It shows no jump, and the facility flow moves: the means of before would hide it for 40 s."""
    for valve_lpm, pump_pct in ((60.0, 70.0), (105.0, 70.0), (60.0, None)):
        for supply_k, return_k, expected in (
            (0.0, 0.0, ("", "")),
            (5.0, 0.0, (RELATION, "")),
            (-5.0, 0.0, (RELATION, "")),
            (0.0, 5.0, ("", RELATION)),
        ):
            row, r = gap_of_readings(valve_lpm, pump_pct)
            r.supply_c += supply_k
            r.return_c += return_k
            run(row, r, 21)
            eq(suspects(row)[:2], expected)


def test_a_flow_that_is_another_one_after_a_gap_has_moved():
    row, r = gap_of_readings(90.0, None)
    r.flow_lpm, r.dp_kpa = 110.0, 80.0 * (110.0 / 150.0) ** 2
    r.pump_pct = 70.0 * 110.0 / 150.0
    run(row, r, 1)
    eq(row.hydraulics.moving_left_s, 60.0)


def test_not_a_number_is_out_of_range():
    signal = CheckedSignal(5.0, 75.0, 1.0, 0.1)
    eq(signal.read(float("nan"), 1.0, 1.0, 1.0, 1.0), None)
    eq(signal.suspect, RANGE)


def test_second_lie_in_an_hour_needs_an_hour_of_agreement():
    signal = CheckedSignal(5.0, 75.0, 1.0, 0.1)
    for lie_s, agree_s in ((1, 60), (1, 3000)):
        for value in [99.0] * lie_s + [32.0] * agree_s:
            signal.read(value, 1.0, 1.0, 2.0, 1.0)
            signal.settle(value, 32.0, 0.5, 1.0)
    eq(signal.suspect, RANGE)


def test_without_an_estimate_calm_alone_is_no_proof():
    signal = CheckedSignal(5.0, 75.0, 1.0, 0.1)
    for value in [99.0] + [32.0] * 5000:
        signal.read(value, 1.0, 1.0, 2.0, 1.0)
        signal.settle(value, None, 0.0, 1.0)
    eq((signal.suspect, signal.value), (RANGE, None))


def test_lies_of_the_return_are_replaced():
    for false_value in (0.0, 32.0, 80.0):
        row, r = steady_row()
        run(row, r, 120)
        true_c, r.return_c = r.return_c, false_value
        run(row, r, 100)
        eq((row.supply.suspect, row.return_signal.suspect != ""), ("", True))
        near(row.return_signal.value, true_c, 0.1)


def test_slow_drift_is_found_by_two_relations():
    for sign in (1.0, -1.0):
        row, r = steady_row()
        run(row, r, 120)
        for _ in range(300):
            r.supply_c += sign * 6.0 / 3600.0
            row.step(r, 1.0)
        eq(suspects(row), (RELATION, "", "", ""))
        near(row.supply.value, 32.0, 0.1)
        run(row, r, 300)
        eq(row.supply.suspect, RELATION)  # 0.5 K is within the band of a jump, not of a drift


def test_drifting_supply_is_found_while_the_return_is_suspect():
    row, r = steady_row()
    run(row, r, 120)
    row.return_signal.mark_suspect("rate")
    for _ in range(1200):
        r.supply_c += 1.2 / 60.0
        r.return_c += 1.2 / 60.0 if r.supply_c < 34.0 else -1.2 / 60.0
        row.return_signal.mark_suspect("rate")
        row.step(r, 1.0)
    eq(suspects(row)[:2], (RELATION, "rate"))
    near(row.supply.value, 32.0, 2.0)


def test_drift_of_the_return_is_not_taken_for_the_supply():
    row, r = steady_row()
    run(row, r, 120)
    for _ in range(600):
        r.return_c += 6.0 / 3600.0
        row.step(r, 1.0)
    eq((row.supply.suspect, row.return_signal.suspect), ("", RELATION))


def test_fouling_blames_no_sensor():
    row, r = steady_row()
    run(row, r, 120)
    for _ in range(600):  # the same heat, the facility water takes it at a warmer row
        r.return_c += 0.002
        r.supply_c += 0.002
        row.step(r, 1.0)
    eq(suspects(row), ("", "", "", ""))


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


def test_rates_of_both_temperatures():
    """In one second: supply + 2.5 and - 2.2 K, return +- 2.5 and - 2.0 K; noise is in them."""
    for name, index, change_k, reason in (
        ("supply_c", 0, 2.48, ""),
        ("supply_c", 0, 2.52, RATE),
        ("supply_c", 0, -2.18, ""),
        ("supply_c", 0, -2.22, RATE),
        ("return_c", 1, 2.48, ""),
        ("return_c", 1, 2.52, RATE),
        ("return_c", 1, -1.98, ""),
        ("return_c", 1, -2.02, RATE),
    ):
        row, r = steady_row()
        run(row, r, 120)
        setattr(r, name, getattr(r, name) + change_k)
        run(row, r, 1)
        eq((name, change_k, suspects(row)[index]), (name, change_k, reason))


def test_rates_are_larger_while_the_flow_moves():
    for change_k, reason in ((14.9, ""), (15.1, RATE)):
        row, r = steady_row()
        run(row, r, 120)
        r.flow_lpm, r.dp_kpa, r.pump_pct = 110.0, 43.0, 51.3
        run(row, r, 1)
        r.return_c += change_k
        run(row, r, 1)
        eq((change_k, suspects(row)[1]), (change_k, reason))


def test_the_row_is_steady_while_the_facility_flow_moves_a_little():
    """6 % of its mean, and 1 L/min."""
    for change_lpm, is_steady in ((5.0, True), (-5.0, True), (7.0, False), (-7.0, False)):
        row, r = steady_row()
        run(row, r, 120)
        eq(row.is_steady, True)
        r.fws_flow_lpm += change_lpm
        run(row, r, 2)
        eq((change_lpm, row.is_steady), (change_lpm, is_steady))


def test_swapped_temperatures_are_replaced_from_the_facility_side():
    row, r = steady_row()
    run(row, r, 120)
    true_c = r.return_c
    r.supply_c, r.return_c = true_c, 32.0
    run(row, r, 60)
    near(row.supply.value, 32.0, 0.2)
    near(row.return_signal.value, true_c, 0.2)


def test_without_a_model_the_last_rise_is_held_for_a_time():
    row = RowPlausibility(None, 1e5)
    r = RowReadings()
    r.flow_lpm, r.supply_c, r.return_c = 150.0, 32.0, 38.0
    run(row, r, 20)
    r.supply_c = 0.0
    run(row, r, 10)
    near(row.supply.value, 32.0, 1e-9)
    run(row, r, 300)
    eq(row.supply.value, None)


def test_a_step_of_the_facility_flow_does_not_move_the_estimate_of_the_return():
    """The flow follows the valve, the facility return is later; the estimate moves the valve."""
    row, r = steady_row()
    run(row, r, 120)
    return_c, rise_k, r.return_c = r.return_c, r.return_c - r.supply_c, 0.0
    run(row, r, 1)
    eq(suspects(row)[1], RANGE)
    near(row.return_signal.value, return_c, 0.05)
    r.fws_flow_lpm *= 1.2
    run(row, r, 1)
    near(row.return_signal.value, return_c + 0.2 * rise_k / 31.0, 0.05)
    run(row, r, 120)
    near(row.return_signal.value, return_c + 0.2 * rise_k, 0.1)


def warm_facility(row, r):
    """Raise the facility water and the return by 3 K."""
    for _ in range(3):
        r.fws_supply_c += 1.0
        r.return_c += 1.0
        run(row, r, 1)


def still_supply(flow_lpm=150.0):
    """Return a row whose supply stands still while its facility water has become warmer by 3 K.

    The facility return is not measured, so only the model knows that the supply must move.
    """
    row, r = steady_row()
    r.fws_return_c = None
    share = flow_lpm / 150.0
    r.flow_lpm, r.dp_kpa, r.pump_pct = flow_lpm, 80.0 * share * share, 70.0 * share
    run(row, r, 120)
    warm_facility(row, r)
    return row, r


def test_a_supply_that_stands_still_is_found_without_the_heat_of_the_facility_side():
    for flow_lpm, seconds in ((150.0, 25), (90.0, 50)):  # above two thirds, and below
        row, r = still_supply(flow_lpm)
        run(row, r, seconds)
        eq((flow_lpm, suspects(row)), (flow_lpm, ("", "", "", "")))
        run(row, r, seconds // 2 + 5)
        eq((flow_lpm, suspects(row)), (flow_lpm, (RELATION, "", "", "")))


def test_coolant_that_hardly_flows_may_stand_still():
    """Below a third of the design flow."""
    for flow_lpm, reason in ((48.0, ""), (54.0, RELATION)):
        row, r = still_supply(flow_lpm)
        run(row, r, 300)
        eq((flow_lpm, suspects(row)), (flow_lpm, (reason, "", "", "")))


def test_a_reading_may_stand_still_while_the_flow_moves():
    row, r = still_supply()
    for i in range(40):
        r.flow_lpm = 130.0 if i % 2 else 150.0
        run(row, r, 4)
    eq(suspects(row), ("", "", "", ""))
    r.flow_lpm = 150.0
    run(row, r, 90)
    eq(suspects(row)[0], "")  # it has not moved since then
    warm_facility(row, r)
    run(row, r, 90)
    eq(suspects(row)[0], RELATION)


def lost_row(heat_share=1.0):
    """Return a row after a restart, and its readings while the device of the row is silent."""
    row, r = steady_row(fws_lpm=35.0, fws_supply_c=10.0, supply_c=24.0)
    row.restore([150.0 / 80.0**0.5, 150.0 / 70.0, 1.0, 1.0], [])
    r.supply_c = r.return_c = r.flow_lpm = r.dp_kpa = None
    r.fws_return_c = 10.0 + heat_share * (r.fws_return_c - 10.0)
    return row, r


def test_after_a_restart_the_speed_alone_does_not_show_that_coolant_flows():
    """A filter may have clogged meanwhile: with 15 % of the flow the same heat needs a supply that
    is 8 K below the estimate, and never below the facility water.
    """
    row, r = lost_row()
    run(row, r, 10)
    near(row.supply.value, 24.0, 0.2)
    eq(row.supply.uncertainty, 2.0)
    clogged = Exchanger(EXCHANGER)
    rise_k = row.heat_rise_k / 0.15
    low_c = 10.0 + rise_k / clogged.effectiveness_at(22.5, 35.0) - rise_k
    near(row.low_flow_k, row.supply.value - low_c, 1e-6)
    assert 10.0 < low_c < 17.0, low_c
    for heat_share in (0.0, -0.5):
        row, r = lost_row(heat_share)
        run(row, r, 10)
        eq(row.low_flow_k, 0.0)


def test_a_reading_of_the_flow_shows_it_until_the_protection_says_otherwise():
    row, r = lost_row()
    r.dp_kpa = 80.0
    run(row, r, 10)
    eq(row.low_flow_k, 0.0)
    r.dp_kpa = None
    run(row, r, 10)
    eq(row.low_flow_k, 0.0)
    r.is_row_usual = False
    run(row, r, 1)
    assert row.low_flow_k > 5.0, row.low_flow_k
    r.is_row_usual, r.supply_c, r.return_c = True, 24.0, 30.0
    run(row, r, 1)
    eq(row.low_flow_k, 0.0)
