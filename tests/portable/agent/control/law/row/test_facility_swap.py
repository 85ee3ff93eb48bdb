# SPDX-License-Identifier: Apache-2.0
"""Facility temperatures that are exchanged, beside a row whose sensors are suspect."""

from agent.control.law.exchanger import Exchanger
from agent.control.law.row.facility_swap import FacilitySwap
from tests.portable.agent.control.law.row.row_rig import steady_row
from tests.portable.support.check import eq
from tests.portable.support.cooling_settings import EXCHANGER

PROOF_S = 5


class SwapRig:
    """A check and the readings of a steady row."""

    def __init__(self):
        self.swap = FacilitySwap()
        self.exchanger = Exchanger(EXCHANGER)
        _, r = steady_row(fws_lpm=self.exchanger.flow_at(50.0))
        self.r = r
        self.good = r.supply_c, r.return_c, r.fws_supply_c, r.fws_return_c

    def step(self, seconds, row_swapped=True, swapped=True):
        """Step, and return both temperatures of the facility as the unit uses them."""
        r = self.r
        for _ in range(seconds):
            r.supply_c, r.return_c, r.fws_supply_c, r.fws_return_c = self.good
            if row_swapped:
                r.supply_c, r.return_c = r.return_c, r.supply_c
            if swapped:
                r.fws_supply_c, r.fws_return_c = r.fws_return_c, r.fws_supply_c
            self.swap.step(r, self.exchanger, 1.0)
        return r.fws_supply_c, r.fws_return_c


def test_swapped_temperatures_are_found_and_exchanged():
    for row_swapped in (False, True):
        rig = SwapRig()
        eq(rig.step(PROOF_S - 1, row_swapped), (rig.good[3], rig.good[2]))
        assert not rig.swap.is_swapped
        eq(rig.step(1, row_swapped), rig.good[2:])
        assert rig.swap.is_swapped


def test_it_tells_when_it_begins_and_ends():
    rig = SwapRig()
    rig.step(PROOF_S - 1)
    r = rig.r
    eq(rig.swap.step(r, rig.exchanger, 1.0), True)
    r.fws_supply_c, r.fws_return_c = rig.good[3], rig.good[2]
    eq(rig.swap.step(r, rig.exchanger, 1.0), False)
    r.fws_supply_c, r.fws_return_c = rig.good[2], rig.good[3]
    eq(rig.swap.step(r, rig.exchanger, 1.0), True)
    eq(rig.swap.step(r, rig.exchanger, 1.0), False)


def test_readings_in_order_end_it_immediately():
    rig = SwapRig()
    rig.step(PROOF_S)
    eq(rig.step(1, swapped=False), rig.good[2:])
    assert not rig.swap.is_swapped
    rig.step(PROOF_S - 1)
    assert not rig.swap.is_swapped


def test_it_stays_at_a_shut_valve():
    rig = SwapRig()
    rig.step(PROOF_S)
    rig.r.fws_flow_lpm = 0.0
    eq(rig.step(600), rig.good[2:])


def test_another_heat_or_a_warmer_return_is_no_swap():
    """Water that warms a cold row is warm when it leaves; a false return has another heat."""
    rig = SwapRig()
    rig.good = (20.0, 22.0, 35.0, 25.0)
    rig.step(60, row_swapped=True, swapped=False)
    assert not rig.swap.is_swapped
    rig = SwapRig()
    for false_c in (-50.0, rig.good[2] - 2.5, 90.0):
        rig.good = rig.good[:3] + (false_c,)
        rig.step(60, swapped=False)
        assert not rig.swap.is_swapped


def test_unknown_readings_count_nothing():
    for name in ("supply_c", "return_c", "fws_supply_c", "fws_return_c"):
        rig = SwapRig()
        names = ("supply_c", "return_c", "fws_supply_c", "fws_return_c")
        rig.good = tuple([None if n == name else g for n, g in zip(names, rig.good)])
        rig.step(60)
        assert not rig.swap.is_swapped
    for name in ("flow_lpm", "fws_flow_lpm"):
        for value in (None, 0.0):
            rig = SwapRig()
            setattr(rig.r, name, value)
            rig.step(60)
            assert not rig.swap.is_swapped


def found(rig, seconds=PROOF_S):
    """Return whether the readings of the rig, all swapped, are found."""
    rig.step(seconds)
    return rig.swap.is_swapped


def test_the_return_is_colder_by_two_kelvin():
    for above_k, is_swapped in ((1.9, False), (2.1, True)):
        rig = SwapRig()
        _, r = steady_row(rig.r.fws_flow_lpm, 24.0, 24.0 + above_k)
        rig.r, rig.good = r, (r.supply_c, r.return_c, r.fws_supply_c, r.fws_return_c)
        eq((above_k, found(rig)), (above_k, is_swapped))


def test_both_heats_agree_within_a_third():
    """`share`: heat of the facility side, of that of the row."""
    rise_k = SwapRig().good[1] - SwapRig().good[0]
    half = 0.5 / rise_k
    for share, is_swapped in (
        (2.0 / 3.0 - half - 0.02, False),
        (2.0 / 3.0 - half + 0.02, True),
        (1.5 * (1.0 + half) - 0.02, True),
        (1.5 * (1.0 + half) + 0.02, False),
    ):
        rig = SwapRig()
        supply_c, return_c, cold_c, warm_c = rig.good
        rig.good = (supply_c, return_c, cold_c, cold_c + share * (warm_c - cold_c))
        eq((share, found(rig)), (share, is_swapped))


def test_the_effectiveness_agrees_too():
    """The facility supply is wrong by 20 K, its rise is right."""
    rig = SwapRig()
    supply_c, return_c, cold_c, warm_c = rig.good
    rig.good = (supply_c, return_c, cold_c - 20.0, warm_c - 20.0)
    assert not found(rig, 60)


def test_a_small_heat_shows_nothing():
    """Less than 1.5 K of the row."""
    seen = []
    for lpm in range(4, 60):
        rig = SwapRig()
        _, r = steady_row(float(lpm))
        rig.r = r
        rig.good = (r.supply_c, r.return_c, r.fws_supply_c, r.fws_return_c)
        rise_k = r.return_c - r.supply_c
        if 1.3 < rise_k < 1.7:
            seen.append(rise_k >= 1.5)
            eq((lpm, found(rig)), (lpm, rise_k >= 1.5))
    assert True in seen
    assert False in seen


def test_a_second_that_does_not_agree_begins_the_count_again():
    rig = SwapRig()
    rig.step(PROOF_S - 1)
    rig.r.flow_lpm, flow = None, rig.r.flow_lpm
    rig.step(1)
    rig.r.flow_lpm = flow
    rig.step(PROOF_S - 1)
    assert not rig.swap.is_swapped
    rig.step(1)
    assert rig.swap.is_swapped


def test_an_unknown_reading_changes_nothing():
    rig = SwapRig()
    rig.step(PROOF_S)
    rig.r.fws_supply_c = None
    eq(rig.swap.step(rig.r, rig.exchanger, 1.0), False)
    assert rig.swap.is_swapped


def test_an_equal_return_ends_it():
    rig = SwapRig()
    rig.step(PROOF_S)
    rig.r.fws_supply_c = rig.r.fws_return_c = 20.0
    eq(rig.swap.step(rig.r, rig.exchanger, 1.0), True)
