# SPDX-License-Identifier: Apache-2.0
"""Learned factors and suspect signals over a restart."""

from agent.control.law.plausibility import RowPlausibility
from agent.control.law.row.readings import RowReadings
from agent.control.watch.learned_store import KEY, LearnedStore
from protocols.time_units import SECOND
from tests.portable.agent.control.law.row.row_rig import steady_row
from tests.portable.support.check import eq, near


class Unit:
    """The checks of a row with their store; `record` is what the store holds."""

    def __init__(self, record=None):
        self.row = RowPlausibility(None, 150.0)
        self.store = LearnedStore(5)
        self.record = record
        self.writes = 0
        self.now = 0
        self.store.event("opened")
        answer = b"" if record is None else b"\0" + record
        eq(self.store.outbox(), [(5, "get", KEY.encode())])
        self.store.receive(KEY.encode() + answer)

    def run(self, dp_kpa, seconds):
        readings = RowReadings()
        readings.flow_lpm, readings.dp_kpa, readings.pump_pct = 150.0, dp_kpa, 70.0
        for _ in range(seconds):
            self.now += SECOND
            self.row.step(readings, 1.0)
            self.store.step(self.row, self.now)
            for port, operation, data in self.store.outbox():
                eq((port, operation), (5, "write"))
                self.record = data.split(b"\0", 1)[1]
                self.writes += 1
        return self


def test_lie_before_a_restart_is_a_lie_after_it():
    unit = Unit().run(80.0, 10).run(230.0, 5)
    eq((unit.row.dp.suspect, unit.writes), ("relation", 2))
    again = Unit(unit.record).run(230.0, 60)
    eq(again.row.dp.suspect, "relation")
    assert 75.0 < again.row.dp.value < 85.0, again.row.dp.value
    eq(again.run(80.0, 70).row.dp.suspect, "")


def test_lie_that_begins_in_the_restart_is_found():
    unit = Unit().run(80.0, 10)
    eq(Unit(unit.record).run(230.0, 5).row.dp.suspect, "relation")


def test_a_restart_keeps_the_reason_of_a_suspicion():
    """A jump that has ended needs 59.5 s of agreement; a relation needs a finer one too."""
    for i in range(4):
        for reason in ("relation", "range", "rate"):
            unit = Unit().run(80.0, 10)
            signal = unit.row._signals()[i]
            signal.mark_suspect(reason)
            unit.run(80.0, 1)
            again = Unit(unit.record).run(80.0, 1)
            found = [signal.suspect for signal in again.row._signals()]
            eq((i, found), (i, [reason if k == i else "" for k in range(4)]))


def test_a_record_of_an_earlier_version_has_relations():
    row = RowPlausibility(None, 150.0)
    row.restore([1.0, 1.0, 1.0, 1.0], [0, 3])
    eq([signal.suspect for signal in row._signals()], ["relation", "", "", "relation"])


def heated_unit(record=None):
    """A unit with the exchanger; all temperatures agree with it."""
    unit = Unit(record)
    unit.row, unit.readings = steady_row()
    unit.fws_c = unit.readings.fws_supply_c
    return unit


def run_heated(unit, seconds, drift_k_h=0.0):
    for _ in range(seconds):
        unit.now += SECOND
        unit.readings.supply_c += drift_k_h / 3600.0
        unit.readings.fws_supply_c = unit.fws_c
        unit.row.read_facility(unit.readings, 1.0)
        unit.row.step(unit.readings, 1.0)
        unit.store.step(unit.row, unit.now)
        for _, _, data in unit.store.outbox():
            unit.record, unit.writes = data.split(b"\0", 1)[1], unit.writes + 1
    return unit.row.supply.suspect


def test_factors_of_the_temperatures_are_stored_when_they_are_learned():
    unit = heated_unit()
    run_heated(unit, 60)
    eq((unit.record.split(b" ")[2:4], unit.writes), ([b"0", b"0"], 1))
    run_heated(unit, 60)
    near(int(unit.record.split(b" ")[2]), 1e6, 10.0)
    near(int(unit.record.split(b" ")[3]), 1e6, 10.0)
    eq(unit.writes, 2)
    run_heated(unit, 600)
    eq(unit.writes, 2)
    row = steady_row()[0]
    row.restore([16.8, 2.1, 0.0, 0.0], [])
    eq((row.factors.heat, row.factors.model), (1.0, 1.0))


def test_a_drift_is_found_although_restarts_interrupt_it():
    """The factors of before a restart count: its first minute does not learn the error."""
    unit = heated_unit()
    run_heated(unit, 120)
    found = []
    for _ in range(6):
        again = heated_unit(unit.record)
        again.readings = unit.readings
        found.append(run_heated(again, 150, 12.0))
        unit = again
    eq(found[-1], "relation")
    assert unit.readings.supply_c - unit.row.supply.value > 1.0


def run_without_supply(unit, seconds):
    """Run with a supply that is out of range; return the facility supply in use."""
    unit.readings.supply_c = 200.0
    run_heated(unit, seconds)
    return unit.readings.fws_supply_c


def test_a_facility_supply_that_jumped_before_a_restart_is_unproven_after_it():
    """The estimate of the supply must not be too high: the colder water of before counts."""
    for before_c, jumped_c, used_c in ((10.0, 24.0, 10.0), (-8.3, 24.0, -8.3), (24.0, 10.0, 10.0)):
        unit = heated_unit()
        unit.row, unit.readings = steady_row(fws_supply_c=before_c)
        unit.fws_c = before_c
        run_heated(unit, 120)
        unit.fws_c = jumped_c
        near(run_without_supply(unit, 2), used_c, 0.06)
        again = heated_unit(unit.record)
        again.fws_c = jumped_c
        near(run_without_supply(again, 60), used_c, 0.06)


def test_a_false_facility_supply_is_false_after_a_restart():
    unit = heated_unit()
    run_heated(unit, 120)
    unit.row.fws_supply.signal.mark_suspect("range")
    run_heated(unit, 1)
    again = heated_unit(unit.record)
    run_heated(again, 5)
    eq(again.row.fws_supply.signal.suspect, "relation")
    run_heated(again, 60)
    eq(again.row.fws_supply.signal.suspect, "")
    run_heated(again, 1)
    eq(again.record.split(b" ")[4:-1], [])


def test_record_is_written_rarely():
    eq(Unit().run(80.0, 700).run(84.0, 1200).writes, 2)


def test_damaged_record_is_ignored():
    good = Unit().run(80.0, 10).record
    for record in (b"", b"1 2", b"x", b"\xff", good[:-1], b"9" + good, good[:4] + b"7" + good[5:]):
        unit = Unit(record).run(80.0, 5)
        eq((unit.row.dp.suspect, unit.row.learned()[0][0] < 20.0), ("", True))


def test_unit_without_a_store_keeps_nothing():
    store, row = LearnedStore(-1), RowPlausibility(None, 150.0)
    store.step(row, SECOND)
    eq(store.outbox(), [])
