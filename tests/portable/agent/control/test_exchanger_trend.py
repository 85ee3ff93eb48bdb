# SPDX-License-Identifier: Apache-2.0
"""Both temperatures read too high: the exchanger seems to foul in minutes, and the limit rises."""

from agent.control.law.exchanger import Exchanger
from agent.control.law.row.exchanger_trend import ExchangerTrend
from agent.control.law.row.readings import RowReadings
from tests.portable.support.check import eq, near
from tests.portable.support.cooling_settings import EXCHANGER

LONG = (
    "test_an_equal_error_of_both_temperatures_is_read_from_the_exchanger",
    "test_restarts_keep_the_error_and_its_reference",
    "test_the_learned_exchanger_does_not_hide_it",
)

FLOW_LPM, FWS_LPM, FWS_C, SUPPLY_C = 150.0, 90.0, 10.0, 21.5


class SteadyRow:
    """A steady row; `offset_k`: equal error of both temperatures."""

    def __init__(self):
        self.exchanger, self.trend, self.readings = (
            Exchanger(EXCHANGER),
            ExchangerTrend(),
            RowReadings(),
        )
        e = self.exchanger.effectiveness_at(FLOW_LPM, FWS_LPM)
        self.return_c = (SUPPLY_C - e * FWS_C) / (1.0 - e)
        r = self.readings
        r.fws_supply_c, r.fws_flow_lpm = FWS_C, FWS_LPM
        self.set_offset(0.0)

    def set_offset(self, kelvin):
        self.readings.supply_c = SUPPLY_C + kelvin
        self.readings.return_c = self.return_c + kelvin

    def run(self, seconds, is_steady=True):
        for _ in range(seconds):
            self.trend.step(self.exchanger, self.readings, FLOW_LPM, 1.0, is_steady)
        return self.trend.error_k


def test_healthy_row_has_no_error():
    eq(SteadyRow().run(1200), 0.0)


def test_an_equal_error_of_both_temperatures_is_read_from_the_exchanger():
    for offset_k, error_k in ((0.9, 0.0), (3.0, 2.0), (5.0, 4.0), (9.0, 5.0), (-3.0, 0.0)):
        row = SteadyRow()
        row.run(900)
        row.set_offset(offset_k)
        near(row.run(600), error_k, 0.05)
        near(row.trend.total_k, offset_k if error_k else 0.0, 0.05)
        row.set_offset(0.0)
        near(row.run(600), 0.0, 0.05)


def test_the_learned_exchanger_does_not_hide_it():
    """The UA factor follows within minutes; only weeks would make it the usual one."""
    row = SteadyRow()
    row.run(900)
    row.set_offset(4.0)
    row.exchanger.set_ua_factor(0.7)
    near(row.run(600), 3.0, 0.05)
    row.run(3600)
    near(row.trend.error_k, 3.0, 0.2)


def test_the_first_minutes_follow_the_learned_exchanger():
    """An exchanger that was fouled before the start is no error."""
    row = SteadyRow()
    clean = row.exchanger.effectiveness_at(FLOW_LPM, FWS_LPM)
    row.exchanger.set_ua_factor(0.7)
    fouled = row.exchanger.effectiveness_at(FLOW_LPM, FWS_LPM)
    eq(row.exchanger.effectiveness_at(FLOW_LPM, FWS_LPM, 1.0), clean)
    rise_k = row.return_c - SUPPLY_C
    row.readings.return_c = FWS_C + rise_k / fouled
    row.readings.supply_c = row.readings.return_c - rise_k
    eq(row.run(1200), 0.0)


def test_without_a_reading_or_a_rise_nothing_changes():
    for name in ("supply_c", "return_c", "fws_supply_c", "fws_flow_lpm"):
        row = SteadyRow()
        row.run(900)
        row.set_offset(4.0)
        setattr(row.readings, name, None)
        eq((name, row.run(300)), (name, 0.0))
    row = SteadyRow()
    row.run(900)
    row.set_offset(4.0)
    row.readings.supply_c = row.readings.return_c - 1.9
    eq(row.run(300), 0.0)
    row.set_offset(4.0)
    for _ in range(300):
        row.trend.step(row.exchanger, row.readings, 0.0, 1.0)
        row.trend.step(row.exchanger, row.readings, None, 1.0)
    eq(row.trend.error_k, 0.0)


def restarted(row):
    """Return a row that continues after a restart, with the learned exchanger at 1 again."""
    lines = row.trend.retain()
    row.trend, row.exchanger = ExchangerTrend(), Exchanger(EXCHANGER)
    eq([row.trend.restore(*line.split(" ")[1:]) for line in lines], [True] * len(lines))
    return row


def test_restarts_keep_the_error_and_its_reference():
    """A drift of both sensors, with a restart each 150 s: the reference is not learned from it.
    The row is not steady so soon after a restart.
    """
    for is_steady in (True, False):
        row = SteadyRow()
        row.run(900)
        for i in range(40):
            row.set_offset(0.1 * (i + 1))
            row = restarted(row)
            near(row.trend.error_k, max(0.0, 0.1 * i - 1.0), 0.36)
            row.run(150, is_steady)
        near(row.trend.error_k, 3.0, 0.2)


def test_a_row_that_is_not_steady_counts_after_a_restart_only():
    row = SteadyRow()
    row.run(900)
    row.set_offset(4.0)
    eq(row.run(300, False), 0.0)
    row = restarted(row)
    near(row.run(300, False), 3.0, 0.1)
    row.run(700)
    row.set_offset(0.0)
    near(row.run(300, False), 3.0, 0.1)


def test_a_young_reference_is_not_kept_and_has_no_alarm():
    row = SteadyRow()
    row.set_offset(4.0)
    row.run(500)
    near(row.trend.error_k, 3.0, 0.05)
    eq((row.trend.retain(), row.trend.total_k), ([], 0.0))


def test_the_kept_line_changes_in_steps_only():
    """Each change is a write to the flash."""
    row = SteadyRow()
    row.run(900)
    line = row.trend.retain()
    for offset_k in (0.1, -0.1, 0.2):
        row.set_offset(offset_k)
        row.run(300)
        eq(row.trend.retain(), line)
    row.set_offset(0.6)
    row.run(300)
    eq(row.trend.retain() == line, False)


def test_a_line_that_is_no_exchanger_is_refused():
    for words in (
        ("", "0"),
        ("-900", "0"),
        ("900", "-1"),
        ("900", "1x"),
        ("0", "0"),
        ("1900", "0"),
        ("900", "9" * 400),
        ("0" * 400 + "9", "0"),
    ):
        trend = ExchangerTrend()
        eq((words, trend.restore(*words), trend.error_k), (words, False, 0.0))
