# SPDX-License-Identifier: Apache-2.0
"""A switching that a restart of the controller interrupts: what the record says, what follows."""

from agent.power.limit.effect_proof import EffectProof
from agent.power.limit.kept_limits import KEY, KeptLimits
from agent.power.limit.load_limits import LoadLimits
from agent.power.limit.load_shed import LoadShedding
from protocols.time_units import SECOND
from tests.portable.agent.power.limit.fakes import (
    AgentOfLoads,
    FakeHeadroom,
    FakeStrip,
    make_load,
)
from tests.portable.support.check import eq

SHED = ("load_shed", "a")


class Controller:
    """Limits of one load, before or after a restart."""

    def __init__(self, load, record=b""):
        self.agent, self.load, self.now = AgentOfLoads(), load, SECOND
        self.limits = LoadLimits(self.agent, [load])
        settings = {"shed_lead_s": 30, "hold_s": 60}
        self.shedding = LoadShedding(self.agent, settings, [load], [], FakeHeadroom(), self.limits)
        self.proof = EffectProof(self.agent, [load], self.shedding)
        self.kept = KeptLimits([load], 7)
        if record:
            self.kept.restore(KEY.encode() + b"\0" + record, self.now)

    def step(self, seconds, watts=None):
        """Let `seconds` pass; the service then reports `watts`."""
        self.now += seconds * SECOND
        if watts is not None:
            self.load.target.power_w, self.load.target.read_at = watts, self.now
        self.proof.step(self.now)

    def text(self):
        return self.kept.encode(0, 100)


def commands(load):
    return [(on, now // SECOND) for _, _, on, now, _ in load.service.calls]


def outlet_load():
    load, strip = make_load("a", served=False), FakeStrip()
    load.outlets.append((strip, 3))
    return load, strip


def test_a_load_runs_when_its_power_shows_it():
    unit = Controller(make_load("a"))
    unit.shedding._switch(unit.load, False, unit.now)
    eq(unit.text(), b"0 100\na 1000 0")
    unit.shedding._switch(unit.load, True, unit.now)
    eq(unit.text(), b"0 100\na 1000 1\nrun:a 0 0")
    unit.step(5, 49)
    eq(unit.load.is_starting, True)
    unit.step(1, 50)
    eq(unit.text(), b"0 100\na 1000 1")


def test_an_order_to_switch_on_that_did_not_arrive_is_sent_after_the_restart():
    unit = Controller(make_load("a"), b"0 100\na 1000 1\nrun:a 0 0")
    unit.step(59)
    eq((commands(unit.load), unit.text()), ([], b"0 100\na 1000 1\nrun:a 0 0"))
    unit.step(1)  # its service is silent
    eq((commands(unit.load), SHED in unit.agent.alarms.active), ([(True, 61)], False))
    unit.step(1, 500)
    eq((unit.load.is_starting, unit.load.is_on), (False, True))
    running = Controller(make_load("a"), b"0 100\na 1000 1\nrun:a 0 0")
    running.step(2, 500)  # the order had arrived
    running.step(100, 0)  # a person switched it off
    eq(commands(running.load), [])


def test_a_confirmed_order_without_power_is_sent_again_and_shown():
    unit = Controller(make_load("a"))
    unit.shedding._switch(unit.load, True, unit.now)
    unit.step(60, 0)
    unit.step(1, 0)
    eq(commands(unit.load), [(True, 1), (True, 61)])
    eq(unit.agent.alarms.active[SHED], "was switched on and draws no power")
    unit.limits.limit_all("flow")
    unit.step(60, 0)
    eq(len(commands(unit.load)), 2)
    unit.limits.limit_reason = ""
    unit.step(1, 0)
    eq((len(commands(unit.load)), SHED in unit.agent.alarms.active), (3, True))
    unit.step(1, 300)
    eq((unit.load.is_starting, unit.agent.alarms.active), (False, {}))


def test_a_load_without_a_measured_power_is_switched_once_after_a_restart():
    load, strip = outlet_load()
    unit = Controller(load, b"0 100\na 1000 1\nrun:a 0 0")
    unit.step(60)
    eq(strip.requests, [([(3, 1)], False)])
    unit.step(60)
    eq((len(strip.requests), load.is_starting), (1, False))
    load, strip = outlet_load()
    unit = Controller(load, b"0 100\na 1000 0")
    unit.step(1)
    eq((strip.requests, unit.agent.alarms.active), ([], {SHED: None}))
    unit.step(4)
    unit.step(60)
    eq((strip.requests, unit.agent.alarms.active), ([([(3, 0)], True)], {SHED: None}))


def test_the_number_of_heat_trips_survives():
    load = make_load("a")
    load.count_heat_trip()
    load.count_heat_trip()
    unit = Controller(load)
    eq(unit.text(), b"0 100\na 1000 1\ntrip:a 2 0")
    again = Controller(make_load("a"), unit.text())
    eq((again.load.heat_trips, again.text()), (2, unit.text()))
    again.kept.apply(b"0 100\na 1000 1\ntrip:a 1 0", SECOND)
    eq(again.load.heat_trips, 2)


def test_a_load_that_is_off_without_a_record_is_shown_and_not_switched():
    unit = Controller(make_load("a"))
    unit.step(1, 9)
    unit.step(59, 9)
    eq(unit.agent.alarms.active, {})
    unit.step(1, 9)
    eq(unit.agent.alarms.active[SHED], "draws no power since the start of the controller")
    eq((unit.load.is_dark, unit.load.is_on, commands(unit.load)), (True, True, []))
    unit.step(1, 10)
    eq((unit.load.is_dark, unit.agent.alarms.active), (False, {}))
    unit.step(90, 0)  # it has run since the start
    eq(unit.agent.alarms.active, {})
    load, _ = outlet_load()
    unit = Controller(load)
    unit.step(1)
    unit.step(90)  # its power is not measured
    eq(unit.agent.alarms.active, {})


def test_a_record_with_a_wrong_digit_applies_nothing():
    kept = KeptLimits([make_load("a")], 7)
    kept.record.event("opened")
    kept.restore(KEY.encode(), SECOND)
    kept.save(0, 70)
    (record,) = [data for _, op, data in kept.record.outbox() if op == "write"]
    eq(record, b"throttle.limits\x000 70\na 1000 1\ncrc:38701 0 0")
    for damaged, caps, is_on in (
        (record, (0, 70), True),
        (record.replace(b"1000 1", b"1000 0"), None, True),
        (record.replace(b"0 70", b"0 00"), None, True),
        (record[:-5], None, True),
        (record[: record.index(b"\ncrc")].replace(b"1000 1", b"1000 0"), (0, 70), False),
    ):
        again = KeptLimits([make_load("a")], 7)
        eq((damaged, again.restore(damaged, SECOND)), (damaged, caps))
        eq((damaged, again._loads[0].is_on), (damaged, is_on))
        again.record.event("opened")
        again.record.outbox()
        again.save(0, 70)
        eq(len(again.record.outbox()), int(caps is None))
