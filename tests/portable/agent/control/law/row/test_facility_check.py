# SPDX-License-Identifier: Apache-2.0
"""Facility water: a false flow meter, a false return or supply temperature, and real changes."""

from agent.control.law.exchanger import Exchanger
from agent.control.law.row.facility_check import FacilityCheck
from tests.portable.agent.control.law.row.row_rig import run, steady_row, step, suspects
from tests.portable.support.check import eq, near
from tests.portable.support.cooling_settings import EXCHANGER

PCT = 50.0


class FacilityRig:
    """A check, its exchanger, and readings that agree at `PCT` of the valve."""

    def __init__(self, lpm=None):
        self.exchanger = Exchanger(EXCHANGER)
        self.check = FacilityCheck()
        self.lpm = self.exchanger.flow_at(PCT) if lpm is None else lpm
        _, self.r = steady_row(fws_lpm=self.lpm)
        self.rise_k = self.r.return_c - self.r.supply_c
        self.good = self.r.fws_flow_lpm, self.r.fws_supply_c, self.r.fws_return_c

    def step(self, seconds, lpm=None, supply_c=None, return_c=None, position=PCT):
        """Step with these readings in place of the good ones."""
        good = self.good
        for _ in range(seconds):
            self.r.fws_flow_lpm = good[0] if lpm is None else lpm
            self.r.fws_supply_c = good[1] if supply_c is None else supply_c
            self.r.fws_return_c = good[2] if return_c is None else return_c
            self.check.step(self.r, self.rise_k, 1.0, position, self.exchanger, 1.0)

    def accused(self):
        """Return whether the flow meter and the return are suspect."""
        return self.check.flow.is_suspect, self.check.fws_return.is_suspect


def test_true_readings_accuse_nothing():
    facility = FacilityRig()
    facility.step(600)
    assert facility.accused() == (False, False)
    assert not facility.check.is_unproven


def test_a_false_flow_meter_is_unproven_immediately_and_suspect_after_15_s():
    for factor in (0.0, 0.1, 0.5, 2.0, 10.0):
        facility = FacilityRig()
        facility.step(60)
        facility.step(1, lpm=factor * facility.lpm)
        assert facility.check.is_unproven
        facility.step(13, lpm=factor * facility.lpm)
        assert facility.accused() == (False, False)
        facility.step(1, lpm=factor * facility.lpm)
        assert facility.accused() == (True, False)
        near(facility.r.fws_flow_lpm, facility.lpm, 0.1)  # that of the position
        facility.step(59)
        assert facility.accused() == (True, False)
        facility.step(1)
        assert facility.accused() == (False, False)
        assert not facility.check.is_unproven


def test_a_real_change_of_the_flow_accuses_no_meter():
    facility = FacilityRig()
    facility.step(60)
    least_k = facility.good[2] - facility.good[1]
    facility.step(5, lpm=0.9 * facility.lpm)
    facility.step(600, lpm=0.9 * facility.lpm, return_c=facility.good[1] + least_k / 0.9)
    assert facility.accused() == (False, False)
    assert not facility.check.is_unproven


def test_a_flow_that_jumps_while_the_valve_stands_is_unproven_until_the_heat_agrees():
    facility = FacilityRig()
    facility.step(60)
    facility.step(1, lpm=1.2 * facility.lpm)
    assert not facility.check.is_unproven
    facility.step(1)
    facility.step(1, lpm=1.6 * facility.lpm, position=PCT + 5.0)  # the valve has moved
    assert not facility.check.is_unproven


def test_a_flow_that_moves_more_than_the_valve_explains_is_unproven():
    """A valve in reverse moves the flow against its position, and a scaled meter much more."""
    for at, to in ((20.0, 15.0), (20.0, 4.0), (60.0, 75.0)):
        for is_reverse in (False, True):
            for factor in (1.0, 10.0):
                flow_at = Exchanger(EXCHANGER).flow_at
                opened = (100.0 - at, 100.0 - to) if is_reverse else (at, to)
                facility = FacilityRig(flow_at(opened[0]))
                facility.step(60, position=at)  # the heat proves the flow
                facility.rise_k = None  # the row says nothing
                lpm = factor * flow_at(opened[1])
                facility.step(1, position=to, lpm=lpm)
                proof_lpm = lpm if factor == 1.0 else None
                eq((at, is_reverse, facility.check.proof_lpm), (at, is_reverse, proof_lpm))


def test_a_flow_against_the_heat_is_unproven_without_a_jump():
    facility = FacilityRig()
    facility.step(9, lpm=facility.lpm, return_c=facility.good[2] + 30.0)
    assert not facility.check.is_unproven
    facility.step(1, lpm=facility.lpm, return_c=facility.good[2] + 30.0)
    assert facility.check.is_unproven
    facility = FacilityRig()
    facility.step(
        1, lpm=0.4 * facility.lpm
    )  # far from the curve: immediately, also after a restart
    assert facility.check.is_unproven


def test_without_a_facility_return_a_flow_far_from_the_curve_is_learned():
    facility = FacilityRig()
    facility.good = facility.good[0], facility.good[1], None
    facility.step(60, lpm=3.0 * facility.lpm)
    assert not facility.check.is_unproven


def test_a_false_return_is_suspect_after_20_s_and_has_no_substitute():
    for error_k in (-30.0, -8.0, 12.0, 50.0):
        facility = FacilityRig()
        facility.step(60)
        facility.step(19, return_c=facility.good[2] + error_k)
        assert facility.accused() == (False, False)
        facility.step(1, return_c=facility.good[2] + error_k)
        assert facility.accused() == (False, True)
        assert facility.r.fws_return_c is None
        facility.step(600, return_c=facility.good[2] + error_k)
        assert not facility.check.is_unproven
        facility.step(61)
        assert facility.accused() == (False, False)


def test_a_false_supply_accuses_neither_flow_nor_return():
    for error_k in (-8.0, 6.0):
        facility = FacilityRig()
        facility.step(600, supply_c=facility.good[1] + error_k)
        assert facility.accused() == (False, False)


def test_without_heat_or_a_valid_row_nothing_is_accused():
    facility = FacilityRig()
    facility.rise_k = None
    facility.step(600, lpm=0.1 * facility.lpm)
    assert facility.accused() == (False, False)
    facility = FacilityRig()
    facility.rise_k = 0.5
    facility.step(600, return_c=facility.good[1] + 0.5, lpm=0.3 * facility.lpm)
    assert facility.accused() == (False, False)
    facility = FacilityRig()
    facility.r.flow_lpm = 20.0  # coolant that nearly stands
    facility.step(600, lpm=0.1 * facility.lpm)
    assert facility.accused() == (False, False)


def test_a_flow_that_jumps_is_no_basis_of_an_estimate_while_the_row_is_unknown():
    """The reading stays: a flow that falls can be true. The valve can be larger than configured."""
    for factor, used in ((10.0, 1.0), (5.1, 1.0), (4.9, None), (1.7, None), (0.6, 1.0), (0.1, 1.0)):
        facility = FacilityRig()
        facility.step(60)
        rise_k, facility.rise_k = facility.rise_k, None
        facility.step(30, lpm=factor * facility.lpm)
        near(facility.r.fws_flow_lpm / facility.lpm, factor, 0.01)
        if used is None:
            assert facility.check.estimate_lpm is None
        else:
            near(facility.check.estimate_lpm / facility.lpm, used, 0.01)
        assert facility.accused() == (False, False)
        facility.rise_k = rise_k
        facility.step(1, lpm=1.2 * facility.lpm)
        assert facility.check.estimate_lpm is None
    facility = FacilityRig()
    facility.step(60)
    facility.rise_k = None
    facility.step(5, lpm=10.0 * facility.lpm)
    facility.r.fws_flow_lpm = None
    facility.check.step(facility.r, None, 1.0, PCT, facility.exchanger, 1.0)
    assert facility.check.estimate_lpm is None
    fws_c = facility.good[1]
    for return_c, is_used in ((fws_c + 2.9, False), (fws_c + 3.1, True)):  # no heat: no flow
        facility = FacilityRig()
        facility.step(60)
        facility.rise_k = None
        facility.step(10, lpm=0.0, return_c=return_c)
        assert (facility.check.estimate_lpm is not None) == is_used


def test_water_above_the_return_that_takes_heat_is_false():
    row, r = steady_row()
    run(row, r, 120)
    true_c = r.fws_supply_c
    for _ in range(14):
        r.fws_supply_c = r.return_c + 20.0
        step(row, r)
        assert row.fws_supply.is_unproven
        assert row.fws_supply.signal.suspect == ""
    for _ in range(300):
        r.fws_supply_c = r.return_c + 20.0
        step(row, r)
    assert (row.fws_supply.signal.suspect, suspects(row)) == ("relation", ("", "", "", ""))
    near(r.fws_supply_c, true_c, 0.5)  # its estimate
    for _ in range(100):
        r.fws_supply_c = true_c
        step(row, r)
    assert row.fws_supply.signal.suspect == ""


def test_a_supply_of_the_facility_that_jumps_is_accused_before_the_return():
    row, r = steady_row()
    run(row, r, 120)
    true_c = r.fws_supply_c
    for _ in range(120):
        r.fws_supply_c = true_c - 8.0
        step(row, r)
    assert (row.fws_supply.signal.suspect, suspects(row)) == ("relation", ("", "", "", ""))


def test_while_the_supply_is_suspect_the_colder_of_two_facility_temperatures_counts():
    row, r = steady_row()
    run(row, r, 120)
    true_c, supply_c = r.fws_supply_c, r.supply_c
    r.supply_c = 99.0  # out of range
    for _ in range(300):
        r.fws_supply_c = true_c + 5.0
        step(row, r)
    near(row.supply.value, supply_c, 0.3)
    r.supply_c = supply_c
    for _ in range(300):
        r.fws_supply_c = true_c - 5.0
        step(row, r)
    assert row.supply.value < supply_c - 1.0


def test_a_facility_return_that_jumps_up_is_not_used_until_it_may_be_true():
    facility = FacilityRig()
    facility.step(60)
    facility.rise_k = None
    facility.step(300, return_c=90.0)
    assert facility.r.fws_return_c is None
    assert facility.accused() == (False, False)
    facility.step(1, return_c=facility.good[2] - 8.0)  # down: an estimate of the supply falls
    near(facility.r.fws_return_c, facility.good[2] - 8.0, 0.1)
    facility.step(9)
    assert facility.r.fws_return_c is None
    facility.step(1)
    near(facility.r.fws_return_c, facility.good[2], 0.1)


def test_a_meter_that_is_off_by_a_quarter_is_accused_by_the_learned_curve():
    for factor in (0.77, 1.3):
        facility = FacilityRig()
        facility.step(60)
        facility.step(15, lpm=factor * facility.lpm)
        assert facility.accused() == (True, False)
        facility.step(60)
        assert facility.accused() == (False, False)


def test_readings_that_accuse_each_other_prove_each_other():
    facility = FacilityRig()
    check, r, good = facility.check, facility.r, facility.good

    def agrees(seconds, supply_c=None):
        for _ in range(seconds):
            r.fws_flow_lpm, r.fws_supply_c, r.fws_return_c = good
            if supply_c is not None:
                r.fws_supply_c = supply_c
            found = check.compare_all(r, 1.0, facility.exchanger, 1.0)
        return found

    assert not agrees(59)
    assert agrees(1)
    assert not agrees(1, supply_c=good[1] + 3.0)
    assert not agrees(59)
    assert agrees(1)


def test_all_temperatures_are_accepted_only_without_an_estimate():
    row, r = steady_row()
    run(row, r, 120)
    row.supply.mark_suspect("rate")
    row.return_signal.mark_suspect("rate")
    step(row, r)
    assert not row.accept_all()  # the facility side gives both
    row.fws_supply.signal.mark_suspect("relation")
    for _ in range(2):
        r.fws_supply_c = None
        step(row, r)
    assert suspects(row)[:2] == ("rate", "rate")
    assert row.accept_all()
    assert suspects(row)[:2] == ("", "")
    assert row.fws_supply.signal.suspect == ""


def test_only_a_jump_of_the_flow_shows_no_reversed_valve():
    facility = FacilityRig()
    facility.step(1, lpm=10.0 * facility.lpm)
    assert facility.check.is_jump_unproven  # since the start
    facility.step(1)
    assert not facility.check.is_jump_unproven
    facility.rise_k *= 3.0  # a false supply: the heat contradicts a true flow
    for position in (52.0, 54.0, 56.0):
        facility.step(5, lpm=facility.exchanger.flow_at(100.0 - position), position=position)
    assert facility.check.is_unproven
    assert not facility.check.is_jump_unproven
    facility.step(1, lpm=5.0 * facility.lpm, position=56.0)
    assert facility.check.is_jump_unproven


def test_a_suspect_meter_shows_the_direction_only_while_the_heat_agrees():
    """Its substitute follows the position: it would never show a reversed valve."""
    facility = FacilityRig()
    facility.step(60)
    near(facility.check.proof_lpm, facility.lpm, 0.1)
    for i in range(40):
        facility.step(1, lpm=10.0 * facility.lpm)
        eq((i, facility.check.proof_lpm), (i, None))
    facility.step(1)
    assert facility.accused() == (True, False)
    near(facility.check.proof_lpm, facility.lpm, 0.1)
    opposite = facility.exchanger.flow_at(100.0 - 60.0)
    facility.rise_k *= opposite / facility.lpm
    facility.step(1, lpm=opposite, position=60.0)  # a true flow that contradicts the position
    near(facility.check.proof_lpm, opposite, 0.1)
    facility.rise_k *= 3.0
    facility.step(1, lpm=opposite, position=60.0)
    eq((facility.check.proof_lpm, facility.check.is_jump_unproven), (None, False))


def test_an_accepted_return_is_no_jump():
    facility = FacilityRig()
    facility.step(60)
    warm_c = facility.good[2] + 6.0
    facility.step(1, return_c=warm_c)
    eq(facility.r.fws_return_c, None)
    facility.check.accept_return()
    facility.step(1, return_c=warm_c)
    eq(facility.r.fws_return_c, warm_c)
