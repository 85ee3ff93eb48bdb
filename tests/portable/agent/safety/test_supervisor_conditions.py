# SPDX-License-Identifier: Apache-2.0
"""Supervisor without a bus: each condition, its text, its state, and the conditions of others."""

from agent.core.alarm_list import AlarmList
from agent.core.alarm_record import DEGRADED, NORMAL, STATES, STOPPED, AlarmRecord
from agent.safety.supervisor import Supervisor
from protocols.time_units import SECOND
from tests.portable.agent.safety.fake_unit import FakeLoop, FixedReading, PressureSection
from tests.portable.support.check import eq


class QuietSession:
    """A device session without any condition."""

    def __init__(self, name):
        self.name, self.bits = name, []
        self.lost = self.write_unverified = self.changed_by_other = self.identity_mismatch = False
        self.device = self

    def active_alarm_bits(self):
        return self.bits


class TripPump:
    def __init__(self, session):
        self.session, self.has_tripped = session, False

    def tripped(self):
        return self.has_tripped


class WatchedUnit:
    """Bus, loops and guard of the supervisor; a provider of conditions."""

    def __init__(self, providers=()):
        self.sessions = [QuietSession("a"), QuietSession("b")]
        self.pumps = [TripPump(session) for session in self.sessions]
        self.sensor = FixedReading(32.0)
        self.buses_lost, self.overloaded, self.handled = [], [], []
        self.alarms, self.now = AlarmList(), 100 * SECOND
        pressure = FakeLoop(80.0)
        self.dp, pressure.pumps = pressure.sensor, self.pumps
        self.config = pressure.config = PressureSection
        self.supervisor = Supervisor(self, self, pressure, self.alarms, 40.0, list(providers), self)

    def lost_buses(self):
        return self.buses_lost

    def overloaded_buses(self):
        return self.overloaded

    def handle(self, piece, error, now):
        self.handled.append((piece, str(error), now))

    def step(self, seconds=1.0):
        """Return (state, texts of the active alarms by code)."""
        self.now += int(seconds * SECOND)
        self.supervisor.step(self.now)
        return self.supervisor.state, {alarm.code: alarm.text for alarm in self.alarms.active}


class FixedProvider:
    def __init__(self, *found):
        self.found, self.error, self.asked_at = list(found), None, 0

    def active_conditions(self, now):
        self.asked_at = now
        if self.error:
            raise self.error
        return self.found


def running(*providers):
    unit = WatchedUnit(providers)
    unit.step()
    eq(unit.step(6), ("normal", {}))
    return unit


CASES = (
    ("lost", "device_lost", "no answer from", "degraded"),
    ("write_unverified", "write_refused", "does not take what is written:", "safe"),
    ("changed_by_other", "foreign_master", "an output was changed by another master:", "degraded"),
    (
        "identity_mismatch",
        "identity",
        "is another model than its profile's, nothing is written to it:",
        "safe",
    ),
)


def test_each_condition_of_a_device():
    for attribute, code, text, state in CASES:
        unit = running()
        first, second = unit.sessions
        setattr(second, attribute, True)
        eq(unit.step(), (state, {code + ":b": text + " b"}))
        setattr(first, attribute, True)
        both = {code + ":" + name: text + " " + name for name in "ab"}
        eq(unit.step(), (state, both))
        setattr(second, attribute, False)
        eq(unit.step(), (state, {code + ":a": text + " a"}))
        setattr(first, attribute, False)
        eq(unit.step(), ("normal", {}))
        cleared = [(at, found) for at, kind, found in unit.alarms.history if kind == "cleared"]
        eq(cleared, [(unit.now - SECOND, code + ":b"), (unit.now, code + ":a")])


def test_each_condition_of_the_unit():
    unit = running()
    unit.sensor.shown = None
    text = "supply temperature is not known; valve at its safe opening"
    eq(unit.step(), ("safe", {"supply_sensor": text}))
    unit.sensor.shown, unit.dp.shown = 40.0, None
    text = "differential pressure is not known; pumps at their safe speed"
    eq(unit.step(), ("degraded", {"dp_sensor": text}))
    unit.sensor.shown, unit.dp.shown = 40.01, 80.0
    high = {"supply_high": "supply temperature is above its limit"}
    eq(unit.step(), ("degraded", high))
    unit.sensor.shown = None  # an unknown supply is not known to be lower
    assert "supply_high" in unit.step()[1]
    unit.sensor.shown = 39.51  # within the deadband
    eq(unit.step(), ("degraded", high))
    unit.sensor.shown = 39.5
    eq(unit.step(), ("normal", {}))
    unit.sensor.shown = 39.51
    eq(unit.step(), ("normal", {}))
    unit.sensor.shown = 40.01
    unit.step()
    unit.supervisor.set_supply_max(41.0)
    eq((unit.step(), unit.supervisor.supply_max_c), (("normal", {}), 41.0))
    unit.pumps[1].has_tripped = True
    eq(unit.step(), ("degraded", {"pump_trip:b": "drive has tripped: b"}))
    unit.pumps[1].has_tripped, unit.overloaded = False, ["main"]
    eq(unit.step(), ("degraded", {"bus_overload:main": "cannot keep up with its polls: bus main"}))
    unit.overloaded = []
    unit.sessions[0].bits = ["X", "Y"]
    eq(unit.step(), ("degraded", {"device_alarm:a." + n: "reports a." + n for n in "XY"}))
    bits = {"device_alarm:a." + n: "reports a." + n for n in "XY"}
    lost = {"device_lost:a": "no answer from a"}
    unit.sessions[0].lost = True  # its bits are as it reported them last
    eq(unit.step(), ("degraded", dict(bits, **lost)))
    unit.buses_lost = ["main"]
    lost["bus_lost:main"] = "no device answers on bus main"
    eq(unit.step(), ("safe", dict(bits, **lost)))
    unit.sessions[0].lost = False  # a bus on which a device answers is not lost
    unit.sessions[0].bits = []
    eq(unit.step(), ("normal", {}))


def test_no_alarm_in_the_first_five_seconds_but_the_state():
    unit = WatchedUnit()
    unit.sensor.shown = None
    eq(unit.step(), ("safe", {}))
    eq(unit.step(4.999999), ("safe", {}))
    eq(unit.step(0.000001)[0], "safe")
    eq(unit.alarms.codes(), ["supply_sensor"])
    eq(unit.alarms.active[0].since, unit.now)


def test_conditions_of_the_providers_are_raised_and_cleared():
    records = [AlarmRecord("one", DEGRADED, "t", "", True), AlarmRecord("two", STOPPED, "u", "", 1)]
    first, second = FixedProvider(), FixedProvider()
    unit = running(first, second)
    first.found = [(records[0], "x", "its text")]
    eq(unit.step(), ("degraded", {"one:x": "its text"}))
    eq((first.asked_at, second.asked_at), (unit.now, unit.now))
    second.found = [(records[1], "", "other")]
    eq(unit.step(), ("stopped", {"one:x": "its text", "two": "other"}))
    first.found = [(records[0], "y", "its text")]
    eq(unit.step(), ("stopped", {"two": "other", "one:y": "its text"}))
    eq(unit.alarms.history[-1], (unit.now, "cleared", "one:x"))
    second.found = []
    eq(unit.step(), ("degraded", {"one:y": "its text"}))
    first.found = []
    eq(unit.step(), ("normal", {}))
    first.found = [(AlarmRecord("none", NORMAL, "t", "", True), "", "t")]
    eq(unit.step(), ("normal", {"none": "t"}))


def test_a_provider_that_raises_is_reported_and_the_others_count():
    record = AlarmRecord("two", STOPPED, "u", "", True)
    first, second = FixedProvider(), FixedProvider((record, "", "other"))
    unit = WatchedUnit([first, second])
    first.error = ValueError("broken")
    eq(unit.step(), ("stopped", {"two": "other"}))
    eq(unit.handled, [(first, "broken", unit.now)])


def test_a_provider_that_is_off_ends_no_alarm():
    record = AlarmRecord("one", STOPPED, "t", "", True)
    for error, found in ((ValueError("broken"), []), (None, None)):
        provider = FixedProvider((record, "x", "its text"))
        unit = WatchedUnit([provider])
        unit.step(6)
        provider.error, provider.found = error, found
        for _ in range(3):
            eq(unit.step(), ("stopped", {"one:x": "its text"}))
        provider.error, provider.found = None, []
        eq(unit.step(), ("normal", {}))
        eq([kind for _, kind, _ in unit.alarms.history], ["raised", "cleared"])


def test_the_worst_state_is_the_state_of_the_unit():
    for found_state, lost, expected in ((1, False, 1), (3, True, 3), (0, True, 1), (2, True, 2)):
        unit = WatchedUnit([FixedProvider((AlarmRecord("p", found_state, "t", "", True), "", "t"))])
        unit.sessions[0].lost = lost
        eq(unit.step()[0], STATES[expected])


def test_a_standing_condition_is_not_raised_again():
    unit = running()
    unit.sessions[0].lost = True
    unit.step()
    calls = []
    unit.alarms.update = lambda *arguments: calls.append(arguments[1])
    unit.step(), unit.step()
    eq(calls, [])
    unit.sessions[1].lost = True
    unit.step()
    eq(calls, ["a", "b"])
