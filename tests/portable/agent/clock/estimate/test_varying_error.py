# SPDX-License-Identifier: Apache-2.0
"""The interval beside that of a source: the common error of the samples may change in its range."""

from agent.clock.estimate.holdover import Holdover
from agent.clock.estimate.varying_error import VaryingInterval
from protocols.time_units import SECOND
from tests.portable.support.check import eq

ERROR_NS = 3_000_000


def make_interval(error_ns=ERROR_NS):
    varying = VaryingInterval(Holdover(20_000, 10), 128 * SECOND)
    varying.set_error(error_ns)
    return varying


def test_a_step_of_the_common_error_is_no_rate():
    varying = make_interval()
    for t, middle in ((0, -ERROR_NS), (3600 * SECOND, ERROR_NS)):
        varying.take(t, middle - 100_000, middle + 100_000, False)
    low, high = varying.rates(varying.present, 3600 * SECOND)
    assert low < 0 < high
    assert high < 6_000_000  # it is still learned: the data sheet allows 20 ppm
    # An hour later it still has an offset that is at most the error from the truth.
    lo, hi = varying.from_mark(varying.present, 7200 * SECOND)
    assert lo <= ERROR_NS
    assert hi >= -ERROR_NS


def test_the_end_of_a_line_is_wider():
    varying = make_interval()
    varying.take(0, -100, 100, True)
    eq(varying.widen(0, 0, 0), (-100 - 1_800_000, 100 + 1_800_000 + 1))
    varying.take(0, -100, 100, False)
    eq(varying.widen(0, 0, 0), (-100, 101))


def test_a_contradiction_begins_it_again():
    varying = make_interval()
    varying.take(0, -100, 100, False)
    varying.take(SECOND, 50_000_000, 50_000_200, False)
    eq(varying.widen(50_000_100, 50_000_100, SECOND), (50_000_000, 50_000_201))


def test_without_an_error_there_is_no_interval():
    varying = make_interval(0)
    varying.take(0, -100, 100, False)
    eq((varying.present, varying.widen(-1, 1, 0)), (None, (-1, 1)))
    varying.set_error(ERROR_NS)
    varying.take(0, -100, 100, False)
    varying.set_error(ERROR_NS)
    assert varying.present is not None
    varying.set_error(2 * ERROR_NS)
    eq(varying.present, None)
