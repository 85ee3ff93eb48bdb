"""The exchanger's table: as the textbook says, and the same read forwards and backwards."""

import math

from agent.control.law.deterministic_math import exp, log, power
from agent.control.law.exchanger import Exchanger
from tests.portable.support.check import eq, near, raises
from tests.portable.support.cooling_settings import EXCHANGER


def test_exp_log_and_power_are_those_of_the_library():
    for x in (-30.5, -1.25, -0.01, 0.0, 0.3, 2.0, 20.0):
        near(exp(x) / math.exp(x), 1.0, 1e-13)
    for x in (0.001, 0.5, 0.74, 1.0, 1.49, 3.0, 1000.0):
        near(log(x), math.log(x), 1e-13)
    near(power(2.0, 0.5), 1.4142135623730951, 1e-13)
    eq(power(0.0, 0.7), 0.0)
    raises(ValueError, log, 0.0)


def test_equal_capacities_have_the_textbook_s_effectiveness():
    """NTU / (1 + NTU) at equal rates: at the design flows, 33.3 kW/K over 10.02 kW/K."""
    model = dict(EXCHANGER)
    model["fws_j_lk"] = model["tcs_j_lk"] * 150.0 / 144.0
    ntu = 33_300.0 / (150.0 / 60.0 * 4008.0)
    near(Exchanger(model).share_at(150.0, 144.0), ntu / (1.0 + ntu), 1e-4)


def test_a_great_flow_of_water_has_the_limit_of_a_condenser():
    """1 - exp(-NTU) when the other side's rate is infinite; the film there vanishes."""
    hx = Exchanger(EXCHANGER)
    ntu = 2.0 * 33_300.0 / (150.0 / 60.0 * 4008.0)
    near(hx.share_at(150.0, 1e7), 1.0 - math.exp(-ntu), 1e-3)


def test_the_table_is_read_both_ways_and_rises():
    hx = Exchanger(EXCHANGER)
    for lpm in (40.0, 150.0, 210.0):
        hx.at(lpm)
        assert hx.shares == sorted(hx.shares)
        for opening in (1.0, 12.0, 41.5, 54.0, 88.0, 99.0):
            near(hx.opening(hx.share(opening)), opening, 1e-6)
    eq((hx.opening(-1.0), hx.opening(2.0)), (0.0, 100.0))


def test_table_and_formula_agree():
    hx = Exchanger(EXCHANGER)
    hx.scale = 0.8
    hx.fouling = 0.7
    hx.at(120.0)
    near(hx.share(48.0), hx.share_at(120.0, hx.flow_at(48.0)), 1e-9)


def test_less_secondary_flow_needs_less_opening():
    hx = Exchanger(EXCHANGER)
    openings = []
    for lpm in (200.0, 150.0, 100.0):
        hx.at(lpm)
        openings.append(hx.opening(0.7))
    assert openings[0] > openings[1] > openings[2], openings


def test_no_flow_at_all_is_no_error():
    hx = Exchanger(EXCHANGER)
    hx.at(0.0)
    assert 0.0 <= hx.opening(0.5) <= 100.0
