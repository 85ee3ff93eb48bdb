# SPDX-License-Identifier: Apache-2.0
"""Facility water at each limit of its check, with an exchanger whose numbers are easy to divide."""

from agent.control.law.exchanger import Exchanger
from agent.control.law.row.facility_check import FacilityCheck
from agent.control.law.row.readings import RowReadings
from tests.portable.support.check import eq


class LinearExchanger:
    """1 L/min for each percent (or `flow_at`), 100 W/K for each L/min, effectiveness 0.5."""

    design_lpm = fws_design_lpm = 100.0
    most_size = Exchanger.most_size

    def __init__(self, flow_at=None):
        self._flow_at = flow_at

    def flow_at(self, position_pct):
        return position_pct if self._flow_at is None else self._flow_at(position_pct)

    def tcs_capacity(self, lpm):
        return 100.0 * lpm

    fws_capacity = tcs_capacity

    def effectiveness_of(self, lpm):
        return 0.5


def square_curve(position_pct):
    return position_pct * position_pct / 100.0


class LimitRig:
    """A check, and readings that agree: 50 L/min and 10 K on both sides."""

    def __init__(self, flow_at=None):
        self.exchanger = LinearExchanger(flow_at)
        self.check = FacilityCheck()
        self.set()

    def set(self, row_lpm=50.0, rise_k=10.0, lpm=50.0, fws=(20.0, 30.0), row=(30.0, 40.0)):
        """Set what the sensors show from now on; temperatures are supply and return."""
        self.row_lpm, self.rise_k, self.lpm, self.fws, self.row = row_lpm, rise_k, lpm, fws, row

    def step(self, times=1, position=50.0, dt=1.0, heat_factor=1.0):
        for _ in range(times):
            self.r = self._readings()
            self.check.step(self.r, self.rise_k, heat_factor, position, self.exchanger, dt)

    def agrees(self, times=1, dt=1.0, heat_factor=1.0):
        for _ in range(times):
            found = self.check.compare_all(self._readings(), heat_factor, self.exchanger, dt)
        return found

    def accused(self):
        return self.check.flow.is_suspect, self.check.fws_return.is_suspect

    def _readings(self):
        r = RowReadings()
        r.flow_lpm, r.fws_flow_lpm = self.row_lpm, self.lpm
        r.fws_supply_c, r.fws_return_c = self.fws
        r.supply_c, r.return_c = self.row
        return r


def is_proven(position=50.0, heat_factor=1.0, **readings):
    """Return whether the heat proves the flow in the first step."""
    rig = LimitRig()
    rig.set(**readings)
    rig.step(position=position, heat_factor=heat_factor)
    return rig.check.proof_lpm is not None


def test_before_the_first_step_nothing_is_known():
    check = FacilityCheck()
    eq((check.is_unproven, check.is_jump_unproven), (False, True))
    eq((check.proof_lpm, check.estimate_lpm), (None, None))


def test_the_curve_agrees_up_to_3_halves_and_3_percent():
    for lpm, position, fits in (
        (78.0, 50.0, True),
        (78.1, 50.0, False),
        (30.0, 48.0, True),
        (29.9, 48.0, False),
        (3.9, 3.9, False),  # a valve that is nearly shut has no curve
        (4.0, 4.0, True),
    ):
        rig = LimitRig()
        rig.set(rise_k=None, lpm=lpm)
        rig.step(position=position)
        eq((lpm, rig.check.is_unproven, rig.check.is_jump_unproven), (lpm, not fits, not fits))


def test_a_third_of_the_heat_is_the_limit_of_the_proof():
    far = {"lpm": 100.0, "fws": (20.0, 32.0)}
    assert is_proven(row_lpm=75.0, **far)  # expected: 7.5 K, off by 4 K of 12 K
    assert not is_proven(row_lpm=74.0, **far)
    assert is_proven(row_lpm=75.0, rise_k=20.0, heat_factor=2.0, **far)


def test_less_than_3_k_prove_nothing():
    for span_k, proven in ((3.0, True), (2.9, False)):
        fws = 20.0, 20.0 + span_k
        eq((span_k, is_proven(row_lpm=30.0 * span_k / 3.0, lpm=100.0, fws=fws)), (span_k, proven))


def test_coolant_that_nearly_stands_proves_nothing():
    warm = {"lpm": 30.0, "position": 90.0}
    assert is_proven(row_lpm=30.0, **warm)
    assert not is_proven(row_lpm=29.9, **warm)
    assert not is_proven(row_lpm=None, **warm)


def test_a_facility_return_outside_of_the_other_temperatures_proves_nothing():
    down = {"rise_k": -10.0, "position": 95.0}  # 50 L/min are far from the curve
    up = {"rise_k": 10.0, "position": 95.0}
    for fws, row, direction, proven in (
        ((20.0, 30.0), (35.0, 45.0), up, True),
        ((40.0, 30.0), (30.0, 45.0), down, True),
        ((40.0, 30.0), (45.0, 30.0), down, True),
        ((40.0, 30.0), (32.0, 45.0), down, True),
        ((40.0, 30.0), (32.1, 45.0), down, False),
        ((40.0, 30.0), (25.0, 25.0), down, True),
        ((20.0, 30.0), (30.0, 20.0), up, True),
        ((20.0, 30.0), (20.0, 30.0), up, True),
        ((20.0, 30.0), (28.0, 25.0), up, True),
        ((20.0, 30.0), (27.9, 25.0), up, False),
        ((20.0, 30.0), (None, 45.0), up, False),
        ((20.0, 30.0), (35.0, None), up, False),
    ):
        eq((fws, row, is_proven(fws=fws, row=row, **direction)), (fws, row, proven))


def moved(first_lpm, first_pct, lpm, position):
    """Return whether a flow that the heat has proven may follow this move of the valve."""
    rig = LimitRig(square_curve)
    rig.set(row_lpm=first_lpm, lpm=first_lpm)
    rig.step(position=first_pct)
    rig.set(rise_k=None, lpm=lpm)
    rig.step(position=position)
    return not rig.check.is_jump_unproven


def test_a_move_of_the_valve_explains_a_flow_in_both_directions():
    """Square curve, 50 to 80 %: 39 L/min more, or 21 L/min less with a valve in reverse."""
    for first_lpm, first_pct, lpm, position, follows in (
        (54.0, 50.0, 20.0, 80.0, True),
        (54.0, 50.0, 19.9, 80.0, False),
        (54.0, 50.0, 142.5, 80.0, True),
        (54.0, 50.0, 142.6, 80.0, False),
        (51.0, 80.0, 6.0, 50.0, True),
        (51.0, 80.0, 5.9, 50.0, False),
        (51.0, 80.0, 111.0, 50.0, True),
        (51.0, 80.0, 111.1, 50.0, False),
        (54.0, 50.0, 84.0, 50.0, True),  # a valve that stands explains nothing
        (54.0, 50.0, 84.1, 50.0, False),
        (54.0, None, 180.0, 80.0, True),  # without a position: 0 %
        (54.0, None, 180.1, 80.0, False),
    ):
        got = moved(first_lpm, first_pct, lpm, position)
        eq((first_lpm, lpm, got), (first_lpm, lpm, follows))


def test_a_flow_is_accused_by_heat_and_curve():
    """`exp`: the rise that the heat gives with the reading, and with the flow of the curve."""
    for row_lpm, rise_k, lpm, span_k, position, is_accused in (
        (37.5, 10.0, 100.0, 12.0, 50.0, True),  # curve: off by 4 K of 12 K
        (37.4, 10.0, 100.0, 12.0, 50.0, False),
        (75.0, 10.0, 110.0, 12.0, 50.0, True),
        (75.0, 10.0, 100.0, 12.0, 50.0, False),  # reading: off by 4 K of 12 K
        (51.0, 10.0, 60.0, 10.0, 51.0, False),  # reading: off by 1 K of 10 K
        (51.0, 10.0, 60.5, 10.0, 51.0, True),
        (100.0, 12.0, 60.0, 25.0, 50.0, False),  # curve: off by 0.5 K of 25 K
        (100.0, 12.1, 60.0, 25.0, 50.0, True),
    ):
        rig = LimitRig()
        fws = 20.0, 20.0 + span_k
        rig.set(row_lpm=row_lpm, rise_k=rise_k, lpm=lpm, fws=fws, row=(30.0, 50.0))
        rig.step(14, position=position)
        eq((row_lpm, rise_k, lpm, rig.accused()), (row_lpm, rise_k, lpm, (False, False)))
        rig.step(position=position)
        eq((row_lpm, rise_k, lpm, rig.accused()), (row_lpm, rise_k, lpm, (is_accused, False)))


def test_each_time_is_in_whole_steps():
    rig = LimitRig()
    rig.set(row_lpm=75.0, lpm=110.0, fws=(20.0, 32.0))
    rig.step(dt=14.5)
    eq(rig.accused(), (True, False))
    rig = LimitRig()
    rig.step()
    rig.set(fws=(20.0, 36.0))  # the heat contradicts, the curve agrees
    rig.step(9)
    eq(rig.check.is_unproven, False)
    rig.step()
    eq(rig.check.is_unproven, True)
    rig = LimitRig()
    rig.set(fws=(20.0, 36.0))
    rig.step(dt=9.5)
    eq(rig.check.is_unproven, True)
    rig = LimitRig()
    assert rig.agrees(dt=59.5)


def test_a_jump_stays_unproven_while_the_heat_contradicts():
    rig = LimitRig()
    rig.step()
    rig.set(lpm=100.0)
    rig.step(dt=0.1)
    eq(rig.check.is_unproven, True)
    rig.set(rise_k=30.0)  # on the curve again, but the heat contradicts
    rig.step()
    eq(rig.check.is_unproven, True)
    rig.set()
    rig.step()
    eq(rig.check.is_unproven, False)


def test_silence_of_the_row_makes_no_meter_valid():
    rig = LimitRig()
    rig.set(lpm=100.0)
    rig.step(20)
    eq(rig.accused(), (True, False))
    rig.set(rise_k=None)
    rig.step(200)
    eq(rig.accused(), (True, False))


def test_a_return_that_jumps_by_5_k():
    for change_k, is_used in ((4.9, True), (5.0, False)):
        rig = LimitRig()
        rig.step()
        rig.set(rise_k=None, fws=(20.0, 30.0 + change_k))
        rig.step()
        eq((change_k, rig.r.fws_return_c is not None), (change_k, is_used))
    for change_k, is_used in ((-4.9, False), (-5.0, True)):
        rig = LimitRig()
        rig.step()
        rig.set(rise_k=None, fws=(20.0, 90.0))
        rig.step()
        rig.set(rise_k=None, fws=(20.0, 90.0 + change_k))
        rig.step()
        eq((change_k, rig.r.fws_return_c is not None), (change_k, is_used))


def test_a_return_that_comes_back_slowly_is_used_after_10_s():
    rig = LimitRig()
    rig.step()
    for return_c in (54.0, 50.0, 46.0, 42.5):
        rig.set(rise_k=None, fws=(20.0, return_c))
        rig.step()
    rig.set(rise_k=None, fws=(20.0, 41.0))
    rig.step(9)
    eq(rig.r.fws_return_c, None)
    rig.step()
    eq(rig.r.fws_return_c, 41.0)
    rig.set(rise_k=None, fws=(20.0, 49.0))
    rig.step()
    rig.set(rise_k=None, fws=(20.0, 46.0))
    rig.step()
    rig.set(rise_k=None, fws=(20.0, 42.0))
    rig.step(dt=9.5)
    eq(rig.r.fws_return_c, 42.0)
    rig.set(rise_k=None, fws=(20.0, 60.0))
    rig.step()
    rig.set(rise_k=None, fws=(20.0, 60.0), row=(None, 70.0))  # in a range that is not known
    rig.step(100)
    eq(rig.r.fws_return_c, None)


def test_a_false_return_without_a_return_of_the_row_is_not_accused():
    rig = LimitRig()
    rig.set(row=(30.0, None))
    rig.step(100)
    eq(rig.accused(), (False, False))


def test_an_accepted_return_is_accused_after_the_whole_time():
    for is_accepted in (False, True):
        rig = LimitRig()
        if is_accepted:
            rig.check.accept_return()
        rig.set(fws=(20.0, 60.0))
        rig.step(19)
        eq((is_accepted, rig.accused()), (is_accepted, (False, False)))
        rig.step()
        eq((is_accepted, rig.accused()), (is_accepted, (False, True)))


def test_a_flow_that_jumped_is_replaced_while_the_water_becomes_3_k_warmer():
    for return_c, expected_lpm in ((23.0, 50.0), (22.9, None), (None, None)):
        rig = LimitRig()
        rig.set(row_lpm=30.0 * 50.0 / 100.0, fws=(20.0, 23.0))
        rig.step()
        rig.set(rise_k=None, lpm=500.0, fws=(20.0, return_c))
        rig.step()
        eq((return_c, rig.check.estimate_lpm), (return_c, expected_lpm))


def test_all_readings_agree_within_a_tenth():
    for rise_k, agrees in ((8.5, False), (8.6, True)):
        rig = LimitRig()
        rig.set(rise_k=None, row=(30.0, 30.0 + rise_k))
        eq((rise_k, rig.agrees(60)), (rise_k, agrees))
    rig = LimitRig()
    rig.set(row=(30.0, 40.0), fws=(8.0, 18.0))  # the exchanger contradicts
    assert not rig.agrees(60)
    rig.set(row=(10.0, 20.0), fws=(20.0, 30.0))  # warmer than the coolant
    assert not rig.agrees(60)
    rig.set(row=(20.0, 21.0), fws=(20.0, 21.0))  # too little to say anything
    assert not rig.agrees(60)
    rig.set()
    assert not rig.agrees(59)
    assert rig.agrees(1)
    assert not rig.agrees(60, heat_factor=2.0)


def test_the_exchanger_agrees_within_half_a_kelvin_and_12_percent():
    for fws_supply_c, agrees in ((21.5, False), (21.4, True)):  # 2 K of 12.5 K
        rig = LimitRig()
        rig.set(fws=(fws_supply_c, fws_supply_c + 12.5), row=(30.0, 42.5))
        eq((fws_supply_c, rig.agrees(60)), (fws_supply_c, agrees))


def test_readings_that_are_missing_agree_with_nothing():
    missing = (
        {"row": (None, 40.0)},
        {"row": (30.0, None)},
        {"lpm": None},
        {"row_lpm": None},
        {"fws": (None, 30.0)},
        {"fws": (20.0, None)},
    )
    for readings in missing:
        rig = LimitRig()
        assert rig.agrees(60)
        rig.set(**readings)
        eq((readings, rig.agrees(60)), (readings, False))
