# SPDX-License-Identifier: Apache-2.0
"""Plausibility of the temperatures: a false value is found, and valid again by agreement."""

from agent.control.law.plausibility import RowPlausibility
from agent.control.law.row.checked_signal import RANGE, RATE, RELATION, CheckedSignal
from agent.control.law.row.readings import RowReadings
from tests.portable.agent.control.law.row.row_rig import run, steady_row, step, suspects
from tests.portable.support.check import eq, near


def test_healthy_row_has_no_suspect():
    row, r = steady_row()
    run(row, r, 600)
    eq(suspects(row), ("", "", "", ""))
    eq((row.supply.value, row.supply.uncertainty), (32.0, 0.0))
    near(row.factors.heat, 1.0, 1e-6)


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
    for name, i, change_k, reason in (
        ("return_c", 1, 14.9, ""),
        ("return_c", 1, 15.1, RATE),
        ("supply_c", 0, 4.0, ""),
        ("supply_c", 0, 4.2, RATE),
        ("supply_c", 0, -3.1, ""),
        ("supply_c", 0, -3.3, RATE),
    ):
        row, r = steady_row()
        run(row, r, 120)
        r.flow_lpm, r.dp_kpa, r.pump_pct = 110.0, 43.0, 51.3
        run(row, r, 1)
        setattr(r, name, getattr(r, name) + change_k)
        run(row, r, 1)
        eq((name, change_k, suspects(row)[i]), (name, change_k, reason))


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


def row_with_a_negative_rise(return_k_s):
    """Return a row without a facility return. The valve is shut, and both temperatures were equal;
    then the supply rises by 3 K in 60 s, and the return by `return_k_s`, K/s.
    """
    row, r = steady_row()
    r.fws_return_c, r.fws_flow_lpm, r.return_c = None, 0.0, r.supply_c
    run(row, r, 150)
    for _ in range(60):
        r.supply_c += 5 / 100
        r.return_c += return_k_s
        step(row, r)
    return row


def test_a_return_below_each_supply_of_the_last_minute_is_false_without_a_heat_balance():
    row = row_with_a_negative_rise(-5 / 100)
    eq(suspects(row)[:2], (RELATION, RELATION))


def test_the_supply_can_then_be_as_cold_as_the_return_without_waiting_for_the_proof():
    row = row_with_a_negative_rise(-18 / 1000)
    near(row.too_high_k, 4.08, 0.01)
    eq(suspects(row)[:2], ("", ""))


def test_a_return_that_follows_a_supply_which_has_become_warmer_is_valid():
    row = row_with_a_negative_rise(1 / 100)
    eq((row.too_high_k, suspects(row)[:2]), (0.0, ("", "")))


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


def test_a_supply_that_stands_is_too_high_by_two_relations_in_seconds():
    """The valve opens: a proof needs half a minute, and the dew point may be 2 K away."""
    row, r = steady_row()
    run(row, r, 120)
    eq(row.too_high_k, 0.0)
    colder = steady_row(fws_lpm=120.0, supply_c=29.68)[1]
    near(colder.return_c, r.return_c, 0.05)
    r.fws_return_c, r.fws_flow_lpm = colder.fws_return_c, 120.0
    run(row, r, 14)
    eq((row.supply.suspect, row.return_signal.suspect), ("", ""))
    assert 1.7 < row.too_high_k < 2.33, row.too_high_k


def test_a_return_that_reads_too_low_does_not_make_the_supply_too_high():
    row, r = steady_row()
    run(row, r, 120)
    for _ in range(10):
        r.return_c -= 0.6
        run(row, r, 1)
        eq((row.return_signal.suspect, row.too_high_k), ("", 0.0))


def row_after_a_leak(level_low_s):
    """Return the factor of R1, and whether the supply was suspect after a leak, which made the rise
    0.3 K smaller when the row was first read. `level_low_s`: duration of the alarm of the leak.
    """
    row, r = steady_row()
    r.supply_c += 0.3
    run(row, r, 30)
    r.is_level_low = level_low_s > 0
    run(row, r, level_low_s)
    r.is_level_low = False
    run(row, r, 70 - level_low_s)
    r.supply_c -= 0.3
    reasons = []
    for _ in range(300):
        row.step(r, 1.0)
        reasons.append(row.supply.suspect)
    return row.factors.heat, max(reasons)


def test_what_was_learned_during_a_loss_of_coolant_is_learned_again():
    factor, suspect = row_after_a_leak(60)
    near(factor, 1.0, 0.005)
    eq(suspect, "")
    eq(row_after_a_leak(0)[1], RELATION)
    eq(row_after_a_leak(8)[1], RELATION)  # too short to have shifted the mean


def row_with_a_drift(k_per_h, ends_s):
    """Return whether a supply that drifts from the first cycle until `ends_s` is accused then, in
    200 s.
    """
    row, r = steady_row()
    reasons = []
    for second in range(ends_s + 200):
        if second == ends_s:
            r.supply_c = 32.0
        if second < ends_s:
            r.supply_c -= k_per_h / 3600.0
        run(row, r, 1)
        reasons.append(row.supply.suspect)
    return RELATION in reasons


def test_a_first_minute_with_a_drift_is_repeated_once():
    eq(row_with_a_drift(20.0, 95), False)
    eq(row_with_a_drift(20.0, 600), True)
    eq(row_with_a_drift(40.0, 600), True)


def test_nothing_is_learned_from_a_substitute_of_the_facility_flow():
    """It is 8 % too small; when the meter is valid again, nothing accuses the supply."""
    row, r = steady_row()
    r.fws_flow_lpm, r.is_fws_flow_replaced = 83.0, True
    run(row, r, 100)
    eq((row.factors.heat, row.factors.model), (1.0, 1.0))
    r.fws_flow_lpm, r.is_fws_flow_replaced = 90.0, False
    run(row, r, 300)
    eq(suspects(row), ("", "", "", ""))
    near(row.factors.heat, 1.0, 0.005)


def test_a_loss_of_coolant_after_the_first_minute_changes_no_factor():
    row, r = steady_row()
    run(row, r, 200)
    r.is_level_low = True
    run(row, r, 60)
    r.is_level_low = False
    r.supply_c += 0.5
    run(row, r, 100)
    eq(row.supply.suspect, RELATION)


def row_with_both_too_fast(fws_lpm):
    """Return a row whose temperatures both jumped, without facility readings that give them."""
    row, r = steady_row()
    run(row, r, 120)
    warm_c = r.return_c
    r.supply_c, r.return_c = 60.0, 5.5
    r.fws_flow_lpm = fws_lpm
    run(row, r, 1)
    assert suspects(row)[:2] == ("rate", "rate")
    return row, r, warm_c


def test_at_a_shut_valve_both_temperatures_prove_each_other():
    row, r, warm_c = row_with_both_too_fast(0.0)
    r.supply_c = r.return_c = warm_c
    run(row, r, 50)
    assert suspects(row)[:2] == ("rate", "rate")
    assert row.supply.value is None  # a suspect reading is no substitute
    run(row, r, 12)
    assert suspects(row)[:2] == ("", "")
    near(row.supply.value, warm_c, 0.1)


def test_at_a_shut_valve_different_temperatures_prove_nothing():
    row, r, warm_c = row_with_both_too_fast(0.0)
    r.supply_c, r.return_c = warm_c - 1.5, warm_c
    run(row, r, 600)
    assert suspects(row)[:2] == ("rate", "rate")
    r.supply_c = warm_c
    r.flow_lpm, r.pump_pct, r.dp_kpa = 20.0, 10.0, 1.0  # coolant that stands keeps any temperature
    run(row, r, 600)
    assert suspects(row)[:2] == ("rate", "rate")


def test_a_temperature_that_a_relation_accused_proves_no_other():
    row, r, warm_c = row_with_both_too_fast(0.0)
    row.supply.suspect = "relation"
    r.supply_c = r.return_c = warm_c
    run(row, r, 600)
    assert suspects(row)[:2] == ("relation", "rate")


def row_behind_a_shut_valve(k_per_s, rise_k, seconds=60):
    """Return a row whose valve shuts in a gap of the readings, after `seconds` of a supply that
    rises at `k_per_s`.
    """
    row, r = steady_row()
    run(row, r, 120)
    supply_c, r.supply_c, r.fws_flow_lpm = r.return_c - rise_k, None, 0.24
    run(row, r, 8)
    r.supply_c = supply_c
    for _ in range(seconds):
        r.supply_c += k_per_s
        r.return_c = r.supply_c + rise_k
        r.fws_return_c = r.return_c
        step(row, r)
    return row


def test_a_row_that_warms_behind_a_shut_valve_has_no_false_sensor():
    # The supply is the return of some seconds ago.
    eq(suspects(row_behind_a_shut_valve(0.33, 8.0 * 0.33)), ("", "", "", ""))
    assert suspects(row_behind_a_shut_valve(0.0, 8.0 * 0.33, 21))[:2] != ("", "")
    assert suspects(row_behind_a_shut_valve(-0.33, 8.0 * 0.33, 21))[:2] != ("", "")
