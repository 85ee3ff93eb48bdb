# SPDX-License-Identifier: Apache-2.0
"""Trend of the facility water: prediction of the supply, and the alarm `inlet_rises`."""

from agent.power.detector.inlet_trend import InletTrend
from protocols.time_units import SECOND
from tests.portable.support.check import eq, near

SPAN = 9
"""Readings over the span of the trend, one each 5 s."""


def feed(trend, inlets, at_s):
    """Give readings each 5 s from `at_s`; return the time of the next one."""
    for inlet_c in inlets:
        trend.add(inlet_c, 30.0, at_s * SECOND)
        at_s += 5
    return at_s


def rising():
    """Return a trend that rises by 2.4 K/min, and the time of the next reading."""
    trend = InletTrend()
    return trend, feed(trend, [20.0 + 0.2 * i for i in range(SPAN)], 100)


def test_a_fast_rise_predicts_the_supply():
    trend, _ = rising()
    eq(trend.is_rising, True)
    near(trend.predicted_c, 21.6 + 2.4 * 9.0 + (30.0 - 21.6), 1e-3)
    slow = InletTrend()
    feed(slow, [20.0 + 0.08 * i for i in range(SPAN)], 100)  # 0.96 K/min
    eq((slow.is_rising, slow.predicted_c), (False, None))


def test_the_alarm_ends_when_the_water_has_not_risen_over_the_span():
    trend, at_s = rising()
    at_s = feed(trend, [21.6] * (SPAN - 2), at_s)
    eq(trend.is_rising, False)
    eq(trend.predicted_c, None)


def test_missing_evidence_ends_the_prediction_and_not_the_alarm():
    for gap in ([None] * 20, [60.0] * (SPAN - 1), [None, 60.0, 21.0, None]):
        trend, at_s = rising()
        at_s = feed(trend, gap, at_s)
        eq((gap[0], trend.is_rising, trend.predicted_c), (gap[0], True, None))
    at_s = feed(trend, [23.0] * (SPAN - 1), at_s)
    eq(trend.is_rising, True)
    feed(trend, [23.0], at_s)
    eq(trend.is_rising, False)


def test_a_cooler_whose_fans_have_a_reserve_has_not_failed():
    trend, at_s = rising()
    trend.add(21.8, 30.0, at_s * SECOND, True)
    eq((trend.is_rising, trend.predicted_c), (False, None))
    trend.add(22.0, 30.0, (at_s + 5) * SECOND)
    eq(trend.is_rising, True)
    near(trend.predicted_c, 22.0 + 2.4 * 9.0 + (30.0 - 22.0), 1e-3)
