# SPDX-License-Identifier: Apache-2.0
"""Recorded outputs of the checks of a row with random faults, and of two of its parts alone.

A characterisation test; see `tests.portable.agent.control.law.test_traces`, which also writes its
records. Faults come in pairs, with jumps of the facility water, clogged filters, loss of coolant
and restarts.
"""

from agent.control.law.exchanger import Exchanger
from agent.control.law.plausibility import RowPlausibility
from agent.control.law.row.facility_temperature import FacilityTemperature
from agent.control.law.row.hydraulics import RowHydraulics
from agent.control.law.row.readings import RowReadings
from tests.portable.agent.control.law.trace_records import RECORDS
from tests.portable.agent.control.law.trace_tools import Noise, Record, near_record
from tests.portable.support.cooling_settings import EXCHANGER

FLOATS = 64  # the sums of many steps differ with 32 bits
FAULTS = (
    ("flow_lpm", 0.0, 20.0),
    ("dp_kpa", 0.0, 10.0),
    ("flow_lpm", 1.0, 45.0),
    ("dp_kpa", 1.6, 0.0),
    ("flow_lpm", None, 0.0),
    ("dp_kpa", None, 0.0),
    ("supply_c", 1.0, 4.0),
    ("supply_c", 1.0, -1.5),
    ("return_c", 1.0, -3.0),
    ("return_c", None, 0.0),
    ("supply_c", None, 0.0),
    ("fws_supply_c", 1.0, 6.0),
    ("fws_supply_c", 1.0, -4.0),
    ("fws_supply_c", None, 0.0),
    ("fws_return_c", None, 0.0),
    ("fws_return_c", 1.0, 3.0),
    ("fws_flow_lpm", 0.6, 0.0),
    ("pump_pct", None, 0.0),
)
"""A reading, its factor (None: no reading) and its offset."""
NONE_LEFT = ((), (), (), FAULTS[4:6])
"""Faults that come with another one: flow and dP are both lost in one of four."""


class Hydraulics:
    """Flow, pressure and pump speed of a row whose conditions change at random."""

    def __init__(self, noise):
        self.noise, self.readings = noise, RowReadings()
        self.flow_lpm, self.resistance, self.pump_pct, self._left_s = 150.0, 1.0, 70.0, 0

    def step(self):
        noise, r = self.noise, self.readings
        self._left_s -= 1
        if self._left_s < 0:
            self._left_s = 20 + noise.below(180)
            self.pump_pct = noise.sometimes(2, 70.0, noise.number(15.0, 98.0))
            self.resistance = (1.0, 1.0, 1.0, 2.2, 3.5, 0.8)[noise.below(6)]
            r.is_row_usual = (None, True, self.resistance == 1.0)[noise.below(3)]
            r.is_filter_clogged = noise.below(5) == 0
        speed = self.pump_pct / 70.0
        flow = 150.0 * speed * (2.0 / (1.0 + self.resistance)) ** 0.5
        self.flow_lpm += 0.4 * (flow - self.flow_lpm)
        r.pump_pct = self.pump_pct
        r.flow_lpm = self.flow_lpm + noise.number(-1.0, 1.0)
        r.dp_kpa = 80.0 * self.resistance * (flow / 150.0) ** 2 + noise.number(-0.5, 0.5)


class Faults:
    """No fault, one or two, for random times."""

    def __init__(self, noise, faults):
        self._noise, self._faults = noise, faults
        self._active, self._left_s = [], 150

    def apply(self, readings):
        noise = self._noise
        self._left_s -= 1
        if self._left_s < 0:
            count = (0, 0, 1, 1, 2)[noise.below(5)]
            self._active = [self._faults[noise.below(len(self._faults))] for _ in range(count)]
            self._active.extend(NONE_LEFT[noise.below(4)])
            self._left_s = 10 + noise.below(200)
        for name, factor, offset in self._active:
            value = getattr(readings, name)
            if value is not None:
                setattr(readings, name, None if factor is None else factor * value + offset)


def trace_hydraulics():
    noise, out = Noise(), Record()
    source, faults = Hydraulics(noise), Faults(noise, FAULTS[:6])
    row = RowHydraulics(150.0)
    for i in range(9000):
        source.step()
        faults.apply(source.readings)
        if i % 2000 == 1999:
            factors = row.factors()
            row = RowHydraulics(150.0)
            row.restore(factors[0], factors[1], noise.below(2) == 0)
        row.step(source.readings, 1.0)
        for signal in (row.flow, row.dp):
            out.add(signal.value, signal.uncertainty, signal.suspect)
        out.add(row.is_usual, row.may_be_low, row.moving_left_s)
        out.add(*row.factors())
    return out.sums


def trace_facility_temperature():
    noise, out = Noise(), Record()
    part, r = FacilityTemperature(), RowReadings()
    water, supply, lpm = 24.0, 32.0, 90.0
    for i in range(9000):
        if noise.below(120) == 0:
            water = noise.number(16.0, 40.0)
        if noise.below(60) == 0:
            lpm = noise.number(2.0, 140.0)
        supply += 0.1 * (max(water + 2.0, 32.0) - supply)
        r.fws_supply_c = noise.sometimes(70, None, water + noise.number(-0.1, 0.1))
        reading = r.fws_supply_c
        is_valid = noise.below(6) != 0
        if i % 900 == 450:
            part.signal.mark_suspect("relation")
        if i % 700 == 699:
            found = part.learned()
            part = FacilityTemperature()
            part.restore(found)
            out.add(*found)
        if noise.below(400) == 0:
            part.accept_jump()
        part.read(r, is_valid, 1.0)
        out.add(r.fws_supply_c)
        if is_valid and r.fws_supply_c is not None:
            rise = (0.0, 1.5, 6.0)[i // 300 % 3]
            part.compare(supply, supply + rise, r.fws_supply_c, 1.0)
            part.note_agreement(noise.below(30) != 0, 1.0)
        estimate = noise.sometimes(20, None, water + noise.number(-3.5, 3.5) * (i // 500 % 2))
        out.add(part.settle(reading, estimate, lpm, 1.0))
        out.add(part.signal.value, part.signal.uncertainty, part.signal.suspect)
        out.add(part.is_unproven, part.has_jumped, part.moves_estimates)
    return out.sums


class Temperatures(Hydraulics):
    """The same row with its exchanger, and with facility water that jumps."""

    def __init__(self, noise):
        super().__init__(noise)
        self._exchanger = Exchanger(EXCHANGER)
        self._heat_kw, self._water, self._lpm = 60.0, 24.0, 90.0

    def step(self):
        super().step()
        noise, r, hx = self.noise, self.readings, self._exchanger
        if noise.below(300) == 0:
            self._heat_kw = noise.number(5.0, 95.0)
        if noise.below(900) == 0:
            self._water = noise.number(15.0, 28.0)
        r.is_level_low = noise.sometimes(1500, not r.is_level_low, r.is_level_low)
        r.is_fws_flow_replaced = noise.sometimes(500, not r.is_fws_flow_replaced, False)
        self._lpm += 0.05 * (20.0 + self._heat_kw - self._lpm)
        hx.update_table(self.flow_lpm)
        rise = 1000.0 * self._heat_kw / hx.tcs_capacity(self.flow_lpm)
        return_c = self._water + rise / hx.effectiveness_of(self._lpm)
        r.return_c = return_c + noise.number(-0.05, 0.05)
        r.supply_c = return_c - rise + noise.number(-0.05, 0.05)
        r.fws_supply_c, r.fws_flow_lpm = self._water, self._lpm
        r.fws_return_c = self._water + 1000.0 * self._heat_kw / hx.fws_capacity(self._lpm)
        r.redundant_supply_c = noise.sometimes(400, r.supply_c, None)


def trace_faults():
    noise, out = Noise(), Record()
    source, faults = Temperatures(noise), Faults(noise, FAULTS)
    model = Exchanger(EXCHANGER)
    row = RowPlausibility(model, 150.0)
    for i in range(9000):
        source.step()
        r = source.readings
        faults.apply(r)
        if i % 2500 == 2499:
            factors, suspects = row.learned()
            out.add(sum(factors), len(suspects), sum(suspects))
            row = RowPlausibility(model, 150.0)
            row.restore(factors, suspects)
        row.read_facility(r, 1.0)
        row.step(r, 1.0)
        if noise.below(600) == 0:
            out.add(row.accept_all())
        for signal in (row.supply, row.return_signal, row.fws_supply.signal, row.flow, row.dp):
            out.add(signal.value, signal.uncertainty, signal.suspect)
        out.add(row.low_flow_k, row.too_high_k, row.rise.by_heat_k, row.rise.effectiveness)
        out.add(row.may_learn_ua, row.is_usual, row.is_steady, row.factors.heat, row.factors.model)
    return out.sums


def test_hydraulics():
    near_record(trace_hydraulics(), RECORDS["trace_hydraulics"])


def test_facility_temperature():
    near_record(trace_facility_temperature(), RECORDS["trace_facility_temperature"])


def test_faults():
    near_record(trace_faults(), RECORDS["trace_faults"])
