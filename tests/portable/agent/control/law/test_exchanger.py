# SPDX-License-Identifier: Apache-2.0
"""Table of the exchanger: equal to the textbook, and equal in both directions."""

import math

from agent.control.law.deterministic_math import exp, log, pow_det
from agent.control.law.exchanger import Exchanger
from tests.portable.support.check import eq, near, raises
from tests.portable.support.cooling_settings import EXCHANGER


def test_exp_log_and_power_are_those_of_the_library():
    for x in (-30.5, -1.25, -0.01, 0.0, 0.3, 2.0, 20.0):
        near(exp(x) / math.exp(x), 1.0, 1e-13)
    for x in (0.001, 0.5, 0.74, 1.0, 1.49, 3.0, 1000.0):
        near(log(x), math.log(x), 1e-13)
    near(pow_det(2.0, 0.5), 1.4142135623730951, 1e-13)
    eq(pow_det(0.0, 0.7), 0.0)
    raises(ValueError, log, 0.0)


def test_effectiveness_for_equal_capacity_rates():
    """NTU / (1 + NTU) at equal rates: at the design flows, 33.3 kW/K over 10.02 kW/K."""
    model = dict(EXCHANGER)
    model["fws_j_lk"] = model["tcs_j_lk"] * 150.0 / 144.0
    ntu = 33_300.0 / (150.0 / 60.0 * 4008.0)
    near(Exchanger(model).effectiveness_at(150.0, 144.0), ntu / (1.0 + ntu), 1e-4)


def test_effectiveness_at_very_high_fws_flow():
    """1 - exp(-NTU) when the other side has an infinite rate and no film resistance."""
    hx = Exchanger(EXCHANGER)
    ntu = 2.0 * 33_300.0 / (150.0 / 60.0 * 4008.0)
    near(hx.effectiveness_at(150.0, 1e7), 1.0 - math.exp(-ntu), 1e-3)


def test_table_is_monotonic_and_invertible():
    hx = Exchanger(EXCHANGER)
    for lpm in (40.0, 150.0, 210.0):
        hx.update_table(lpm)
        assert hx.effectiveness_table == sorted(hx.effectiveness_table)
        for opening in (1.0, 12.0, 41.5, 54.0, 88.0, 99.0):
            near(hx.valve_for_effect(hx.effectiveness(opening)), opening, 1e-6)
    eq((hx.valve_for_effect(-1.0), hx.valve_for_effect(2.0)), (0.0, 100.0))


def test_table_and_formula_agree():
    hx = Exchanger(EXCHANGER)
    hx.valve_flow_factor = 0.8
    hx.ua_factor = 0.7
    hx.update_table(120.0)
    near(hx.effectiveness(48.0), hx.effectiveness_at(120.0, hx.flow_at(48.0)), 1e-9)


def test_lower_secondary_flow_needs_less_valve_opening():
    hx = Exchanger(EXCHANGER)
    openings = []
    for lpm in (200.0, 150.0, 100.0):
        hx.update_table(lpm)
        openings.append(hx.valve_for_effect(0.7))
    assert openings[0] > openings[1] > openings[2], openings


def test_zero_flow_raises_no_error():
    hx = Exchanger(EXCHANGER)
    hx.update_table(0.0)
    assert 0.0 <= hx.valve_for_effect(0.5) <= 100.0


def test_learned_curve_that_falls_still_gives_rising_flows():
    exchanger = Exchanger(EXCHANGER)
    exchanger.set_shape(5, 0.5)  # less flow at 100 % than at 80 %
    exchanger.update_table(150.0)
    flows = exchanger.real_flows
    assert True not in [b <= a for a, b in zip(flows, flows[1:])], flows
    for lpm in (-5.0, 0.0, 50.0, 200.0, 1e4):
        assert 0.0 <= exchanger.effectiveness_of(lpm) <= 1.0, lpm
