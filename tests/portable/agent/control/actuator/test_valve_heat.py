# SPDX-License-Identifier: Apache-2.0
"""The heat of the row shows a valve that is mounted in reverse."""

from agent.control.actuator.valve_heat import ValveHeatSign
from agent.control.law.cooling import ControlReadings
from agent.control.law.exchanger import Exchanger
from tests.portable.support.check import eq
from tests.portable.support.cooling_settings import EXCHANGER


class ClosedRow:
    """A row whose valve is commanded to close, and whose heat belongs to `open_pct`."""

    def __init__(self, open_pct=100.0, fall_k_s=0.5):
        self.sign, self.exchanger = ValveHeatSign(), Exchanger(EXCHANGER)
        self.readings = ControlReadings()
        self.readings.is_fws_flow_unproven = True
        self.readings.fws_proof_lpm, self.readings.fws_supply_c = 50.0, 10.0
        self.position_pct = self.command_pct = 0.0
        self.open_pct, self.fall_k_s = open_pct, fall_k_s
        self.return_c = 46.0

    def run(self, seconds):
        """Return how often the row has shown a reversed valve."""
        count, readings = 0, self.readings
        for _ in range(seconds):
            self.return_c -= self.fall_k_s
            e = self.exchanger.effectiveness(self.open_pct)
            readings.return_c = self.return_c
            readings.supply_c = self.return_c - e * (self.return_c - 10.0)
            count += self.sign.step(
                self.position_pct, self.command_pct, readings, self.exchanger, 1.0
            )
        return count


def test_heat_of_the_opposite_position_shows_a_reversed_valve():
    row = ClosedRow()
    eq((row.run(38), row.run(1), row.run(12)), (0, 1, 0))
    row = ClosedRow(open_pct=75.0)
    row.position_pct = row.command_pct = 25.0
    eq((row.run(20), row.run(1)), (0, 1))


def test_other_causes_do_not_show_one():
    for change in (
        {"position_pct": 46.0},
        {"command_pct": 46.0},
        {"position_pct": None},
        {"command_pct": None},
        {"open_pct": 0.0},
        {"open_pct": 30.0},  # a leak through the seat
        {"fall_k_s": 0.0},
        {"fall_k_s": -0.1},  # a false supply: the return rises
    ):
        row = ClosedRow()
        for name, value in change.items():
            setattr(row, name, value)
        eq((change, row.run(60)), (change, 0))


def test_the_supply_and_one_of_the_returns_must_have_fallen():
    for falls, expected in (
        (("supply_c",), 0),
        (("return_c",), 0),
        (("fws_return_c",), 0),
        (("supply_c", "return_c"), 1),
        (("supply_c", "fws_return_c"), 1),
    ):
        row = ClosedRow(fall_k_s=0.0)
        row.readings.fws_return_c = 40.0
        row.run(1)
        readings, count = row.readings, 0
        for name in falls:
            setattr(readings, name, getattr(readings, name) - 1.6)
        for _ in range(12):
            count += row.sign.step(0.0, 0.0, readings, row.exchanger, 1.0)
        eq((falls, count), (falls, expected))


def test_the_fall_counts_from_the_highest_value_of_the_closed_valve():
    """The row warms behind the closed valve; then the valve is turned."""
    for rise_k, expected in ((0.0, 0), (1.4, 0), (1.6, 1)):
        row = ClosedRow(fall_k_s=0.0)
        row.run(1)
        cold = row.readings.supply_c, row.readings.return_c
        count = 0
        for warmer_k in (rise_k, 0.0):
            row.readings.supply_c, row.readings.return_c = [c + warmer_k for c in cold]
            for _ in range(6):
                count += row.sign.step(0.0, 0.0, row.readings, row.exchanger, 1.0)
        eq((rise_k, count), (rise_k, expected))


def test_a_lag_of_the_exchanger_is_allowed():
    for share, expected in ((0.55, 0), (0.65, 1), (1.2, 1)):
        row = ClosedRow()
        row.run(34)
        e = share * row.exchanger.effectiveness(100.0)
        row.readings.supply_c = row.return_c - e * (row.return_c - 10.0)
        row.sign._highest_supply_c = 99.0
        count = 0
        for _ in range(6):
            count += row.sign.step(0.0, 0.0, row.readings, row.exchanger, 1.0)
        eq((share, count), (share, expected))


def test_a_proven_flow_is_the_better_proof():
    row = ClosedRow()
    row.readings.is_fws_flow_unproven = False
    eq(row.run(60), 0)
    row = ClosedRow()
    row.readings.is_fws_flow_unproven, row.readings.fws_proof_lpm = False, None
    eq(row.run(39), 1)


def test_the_proof_begins_again_when_the_valve_has_opened():
    row = ClosedRow()
    row.run(36)
    row.command_pct = 50.0
    row.run(1)
    row.command_pct = 0.0
    eq(row.run(10), 0)


def test_unknown_temperatures_show_nothing():
    for name in ("supply_c", "return_c", "fws_supply_c"):
        row = ClosedRow()
        row.run(38)
        readings = row.readings
        setattr(readings, name, None)
        for _ in range(20):
            eq(row.sign.step(0.0, 0.0, readings, row.exchanger, 1.0), False)


def test_water_near_the_return_shows_nothing():
    """The effectiveness of a small difference is not exact."""
    for span_k, expected in ((2.4, 0), (2.6, 1)):
        row = ClosedRow(fall_k_s=0.0)
        row.run(1)
        row.return_c = 10.0 + span_k
        eq((span_k, row.run(6)), (span_k, expected))
