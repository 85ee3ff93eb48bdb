# SPDX-License-Identifier: Apache-2.0
"""Recorded outputs of the checks of a row in which sensors stand still, are swapped or are lost.

A characterisation test; see `tests.portable.agent.control.law.test_traces`, which also writes its
record. The readings are in tenths, so they stand still at times as those of a plant do. The pumps
change their speed, a branch is shut and opened, and the agent starts again with what was learned.
"""

from agent.control.law.exchanger import Exchanger
from agent.control.law.plausibility import RowPlausibility
from agent.control.law.row.readings import RowReadings
from tests.portable.agent.control.law.trace_records import RECORDS
from tests.portable.agent.control.law.trace_tools import Noise, Record, near_record
from tests.portable.support.cooling_settings import EXCHANGER

FLOATS = 64  # the sums of many steps differ with 32 bits
PART_S = 600
PUMPS_PCT = (70.0, 70.0, 45.0, 70.0, 20.0, 70.0, 70.0, 60.0, 70.0, 70.0)
IS_USUAL = (None, True, None, None, True, False, False, True, None, None)
SHUT = (0, 0, 0, 0, 0, 1, 1, 0, 0, 1)
"""For each part: speed of the pumps, what the protection reports of the row, a branch is shut."""


def tenth(x):
    return int(x * 10 + 0.5) / 10


class TracedRow:
    """A row with its true exchanger; `readings` are those of the present second."""

    def __init__(self):
        self.noise = Noise()
        self.exchanger = Exchanger(EXCHANGER)
        self.readings = RowReadings()
        self.heat_kw, self.facility = 60.0, 24.0
        self._kept = {}

    def read(self, i):
        part, r, hx = i // PART_S, self.readings, self.exchanger
        if i % PART_S == 420:
            self.heat_kw = self.noise.number(25.0, 90.0)
            self.facility = self.noise.number(20.0, 27.0)
        speed = PUMPS_PCT[part] / 70.0
        flow = 150.0 * speed * (0.6 if SHUT[part] else 1.0)
        r.pump_pct, r.dp_kpa = PUMPS_PCT[part], 80.0 * speed * speed * (1.4 if SHUT[part] else 1.0)
        r.flow_lpm, r.is_row_usual = tenth(flow + self.noise.number(-1.0, 1.0)), IS_USUAL[part]
        hx.update_table(flow)
        lpm = 40.0 + self.heat_kw * (0.8 if i % PART_S < 250 else 0.84)
        rise = 1000.0 * self.heat_kw / hx.tcs_capacity(flow)
        return_c = self.facility + rise / hx.effectiveness_of(lpm)
        r.fws_flow_lpm, r.fws_supply_c = tenth(lpm), tenth(self.facility)
        r.supply_c, r.return_c = tenth(return_c - rise), tenth(return_c)
        r.fws_return_c = tenth(self.facility + 1000.0 * self.heat_kw / hx.fws_capacity(lpm))
        r.redundant_supply_c = None

    def keep(self, i, *names):
        """Let readings stand still from second 380 of a part on."""
        for name in names:
            if i % PART_S == 380 or name not in self._kept:
                self._kept[name] = getattr(self.readings, name)
            setattr(self.readings, name, self._kept[name])

    def break_sensors(self, i):
        r, part = self.readings, i // PART_S
        if i % PART_S < 380:
            return
        if part in (0, 4, 6):
            self.keep(i, "supply_c")
        elif part == 1:
            self.keep(i, "return_c")
            r.fws_return_c = None if i % PART_S > 500 else r.fws_return_c
        elif part == 2:
            r.supply_c, r.return_c = r.return_c, r.supply_c
        elif part == 3:
            r.supply_c = r.fws_return_c = None
        elif part == 5:
            r.supply_c, r.redundant_supply_c = 0.0, tenth(r.supply_c + 0.4)
        elif part == 7:
            self.keep(i, "flow_lpm", "dp_kpa")
            r.pump_pct = 30.0
        elif part == 8:
            r.return_c, r.dp_kpa = None, r.dp_kpa + (70.0 if i % PART_S < 480 else 0.0)
        else:
            r.supply_c += 15.0 if i % PART_S < 400 else 1.2


def trace_row():
    traced, out = TracedRow(), Record()
    model = Exchanger(EXCHANGER)
    row = RowPlausibility(model, 150.0)
    for i in range(PART_S * len(SHUT)):
        traced.read(i)
        traced.break_sensors(i)
        if i % 1700 == 1699:
            factors, suspects = row.learned()
            out.add(*factors)
            out.add(len(suspects), sum(suspects))
            row = RowPlausibility(model, 150.0)
            row.restore(factors, suspects)
        row.step(traced.readings, 1.0)
        for signal in (row.supply, row.return_signal, row.flow, row.dp):
            out.add(signal.value, signal.uncertainty, signal.suspect)
        out.add(row.may_learn_ua, row.is_usual, row.is_steady, row.factors.heat, row.factors.model)
        out.add(row.hydraulics.moving_left_s)
    return out.sums


def test_row():
    near_record(trace_row(), RECORDS["trace_row"])
