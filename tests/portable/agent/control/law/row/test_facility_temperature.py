# SPDX-License-Identifier: Apache-2.0
"""The supply temperature of the facility: what proves a jump, and what ends a suspicion."""

from agent.control.law.row.checked_signal import RATE, RELATION
from agent.control.law.row.facility_temperature import FacilityTemperature
from agent.control.law.row.readings import RowReadings
from tests.portable.agent.control.law.row.row_rig import run, steady_row
from tests.portable.support.check import eq, near


def used(water, shown_c, is_row_valid):
    """Return the temperature that the row uses for this reading."""
    r = RowReadings()
    r.fws_supply_c = shown_c
    water.read(r, is_row_valid, 1.0)
    return r.fws_supply_c


def test_after_a_jump_the_colder_temperature_counts_until_all_readings_agree():
    water = FacilityTemperature()
    used(water, 10.0, False)
    for _ in range(600):
        near(used(water, 28.0, False), 10.0, 0.01)
    water.accept_jump()
    near(used(water, 28.0, False), 28.0, 0.01)


def test_the_temperature_before_a_jump_survives_a_restart():
    first, second = FacilityTemperature(), FacilityTemperature()
    for shown_c in (24.0, 40.0):
        used(first, shown_c, True)
    second.restore(first.learned())
    near(used(second, 40.0, False), 24.0, 0.01)


def test_a_false_supply_becomes_valid_again_although_the_water_has_jumped_meanwhile():
    """The row of all readings agrees as soon as the sensor is right again."""
    for agrees in (False, True):
        row, r = steady_row()
        run(row, r, 120)
        row.supply.mark_suspect(RATE)
        first_c = r.fws_supply_c
        for name in ("fws_supply_c", "fws_return_c", "supply_c", "return_c"):
            setattr(r, name, getattr(r, name) + 15.0)
        warm = r.fws_supply_c
        row.read_facility(r, 1.0)
        near(r.fws_supply_c, first_c, 0.01)
        for _ in range(120):
            r.fws_supply_c = warm
            if agrees:
                row.accept_all()
            run(row, r, 1)
        eq((agrees, row.supply.suspect == ""), (agrees, agrees))


def test_facility_water_that_has_just_jumped_teaches_the_row_nothing():
    """The sensor is false in the first minute of the factors, which would take its error over."""
    row, r = steady_row()
    run(row, r, 60)
    true_c, heat, model = r.fws_supply_c, row.factors.heat, row.factors.model
    for _ in range(200):
        r.fws_supply_c = true_c + 3.0
        run(row, r, 1)
        eq((row.factors.heat, row.factors.model, row.may_learn_ua), (heat, model, False))
    r.fws_supply_c = true_c
    run(row, r, 900)
    eq((row.supply.suspect, row.fws_supply.signal.suspect), ("", ""))
    assert row.factors.are_learned


def test_a_jump_counts_for_five_minutes():
    water = FacilityTemperature()
    used(water, 10.0, True)
    for second in range(320):
        used(water, 16.0, True)
        eq((second, water.has_jumped), (second, second < 300))


def settle(water, seconds, raw, estimate, lpm):
    for _ in range(seconds):
        water.settle(raw, estimate, lpm, 1.0)
    return water.signal.suspect


def suspect_water():
    water = FacilityTemperature()
    water.signal.mark_suspect(RELATION)
    settle(water, 20, 60.0, 8.0, 20.0)
    return water


def test_a_valve_that_opens_for_some_seconds_only_proves_a_good_reading():
    """Shut, there is no estimate; in the first 15 s after it has opened, it is false."""
    water = suspect_water()
    for cycle in range(4):
        eq((cycle, settle(water, 20, 8.0, None, 0.2)), (cycle, RELATION))
        eq(water.signal.value, None)
        settle(water, 14, 8.0, 18.0, 20.0)
        settle(water, 21, 8.0, 8.5, 20.0)
    eq(water.signal.suspect, "")


def test_a_false_reading_that_agrees_only_while_the_valve_opens_stays_suspect():
    water = suspect_water()
    for cycle in range(50):
        settle(water, 20, 17.0, None, 0.2)
        settle(water, 14, 17.0, 17.0, 20.0)
        eq((cycle, settle(water, 20, 17.0, 8.0, 20.0)), (cycle, RELATION))
        near(water.signal.value, 8.0, 0.01)


def test_a_steady_flow_gives_evidence_after_15_s():
    for seconds, ends in ((14, True), (16, False)):
        water = suspect_water()
        settle(water, 50, 8.0, 8.0, 20.0)
        settle(water, seconds, 8.0, 18.0, 40.0)  # it disagrees: does this take the 50 s back?
        eq((seconds, settle(water, 40, 8.0, 8.0, 40.0) == ""), (seconds, ends))


def test_a_missing_reading_ends_no_suspicion():
    water = suspect_water()
    settle(water, 50, 8.0, 8.0, 20.0)
    settle(water, 1, None, 8.0, 20.0)
    eq(settle(water, 50, 8.0, 8.0, 20.0), RELATION)
