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
