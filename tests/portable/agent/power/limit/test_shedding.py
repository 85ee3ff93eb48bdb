# SPDX-License-Identifier: Apache-2.0
"""Switching off and on: by temperature, by order, by optics, and by outlets."""

from agent.power.limit.load_limits import LoadLimits
from agent.power.limit.load_shed import LoadShedding
from protocols.time_units import SECOND
from tests.portable.agent.power.limit.fakes import (
    GPU,
    AgentOfLoads,
    FakeHeadroom,
    FakeOptics,
    FakeStrip,
    make_load,
)
from tests.portable.support.check import eq

SETTINGS = {"shed_lead_s": 20, "hold_s": 60}


class Row:
    """Shedding with its loads; `step` runs one second."""

    def __init__(self, loads, optics=()):
        self.agent, self.headroom, self.loads = AgentOfLoads(), FakeHeadroom(), loads
        self.limits = LoadLimits(self.agent, loads)
        self.optics = list(optics)
        self.shedding = LoadShedding(
            self.agent, SETTINGS, loads, self.optics, self.headroom, self.limits
        )
        self.now = 0

    def step(self, seconds=1, shortfall_w=0, slot=True):
        for _ in range(seconds):
            self.shedding.step(shortfall_w, slot, self.now)
            self.now += SECOND
        return [load.is_on for load in self.loads]

    def is_off(self, load):
        return ("load_shed", load.name) in self.agent.alarms.active


def three():
    return [make_load("a", 5), make_load("b", 1), make_load("c", 5)]


def overheated(loads=None):
    row = Row(loads or three())
    row.headroom.supply_c = 80.0
    return row


def test_the_lowest_priority_goes_first_after_the_confirm_time():
    row = overheated()
    eq(row.step(), [True, True, True])
    eq(row.step(7), [True, True, True])
    eq(row.step(), [True, False, True])  # 8 s
    eq(row.loads[1].service.calls, [("power", 0, False, 8 * SECOND, False)])
    eq(row.step(4), [True, False, True])
    eq(row.step(), [False, False, False])  # 5 s later, both of equal priority
    eq([row.is_off(load) for load in row.loads], [True] * 3)
    eq(row.step(20), [False] * 3)


def test_a_short_overheating_switches_nothing():
    row = overheated()
    row.step(8)
    row.headroom.supply_c = 32.0
    row.step()
    row.headroom.supply_c = 80.0
    eq(row.step(7), [True] * 3)
    eq(row.step(), [True, False, True])


def test_the_first_reading_after_a_start_switches_nothing():
    row = overheated()
    row.now = 1000 * SECOND
    eq(row.step(8), [True] * 3)
    eq(row.step(), [True, False, True])


def test_a_predicted_overheating_counts():
    for rise_k_s, on in ((2.07, True), (2.09, False)):  # the least power is 11.4 K of 85
        row = Row(three())
        row.headroom.rise_k_s = rise_k_s
        eq(row.step(10), [True, on, True])
    row = Row(three())
    row.headroom.rise_k_s = -9.0
    row.headroom.supply_c = 80.0  # a falling supply is not predicted to be colder
    eq(row.step(10), [True, False, True])
    row = Row(three())
    row.headroom.supply_c = None
    row.headroom.heat_rejection_lost = True
    eq(row.step(20), [True] * 3)


def test_loads_return_one_by_one_when_it_is_cold():
    row = Row(three())
    for load in row.loads:
        load.keep_off(0)
    row.headroom.supply_c = GPU.derating_start_c() - 2
    eq(row.step(60), [False] * 3)
    eq(row.step(), [True, False, False])  # 60 s
    eq(row.step(), [True, False, True])
    eq(row.step(), [True, True, True])
    eq(row.loads[1].service.calls, [("power", 0, True, 62 * SECOND, False)])


def test_what_keeps_loads_off():
    for change in (
        lambda row: setattr(row.headroom, "supply_c", GPU.derating_start_c() - 1.9),
        lambda row: setattr(row.headroom, "heat_rejection_lost", True),
        lambda row: row.limits.limit_all("flow"),
        lambda row: setattr(row.optics[0], "is_hot", True),
    ):
        load = make_load()
        row = Row([load], [FakeOptics(load)])
        load.keep_off(0)
        row.now = 100 * SECOND
        change(row)
        eq(row.step(), [False])
    for options in ({"shortfall_w": 1}, {"slot": False}):
        row = Row([make_load()])
        row.loads[0].keep_off(0)
        row.now = 100 * SECOND
        eq(row.step(**options), [False])
    hot = overheated([make_load("a"), make_load("b")])
    hot.loads[0].keep_off(0)
    hot.now = 100 * SECOND
    eq(hot.step(), [False, True])


def test_a_hot_module_keeps_no_other_load_off():
    row = Row([make_load("a"), make_load("b")])
    row.optics += [FakeOptics(row.loads[0]), FakeOptics(None)]
    for optics in row.optics:
        optics.is_hot = True
    for load in row.loads:
        load.keep_off(0)
    row.now = 100 * SECOND
    eq(row.step(), [False, True])
    row.optics[0].is_hot = False
    eq(row.step(), [True, True])


def test_a_load_waits_for_its_service_before_it_runs_below_its_rating():
    for limit_w, is_in_force, answered_s, on in (
        (500, False, 4, False),
        (500, False, 6, True),
        (500, True, 4, True),
        (1000, False, 4, True),  # the rated power is no limit
    ):
        row = Row([make_load("a"), make_load("b", 1)])
        first = row.loads[0]
        for load in row.loads:
            load.keep_off(0)
        first.limit_w, first.lowered_at = limit_w, 5 * SECOND
        first.target.is_in_force, first.target.answered_at = is_in_force, answered_s * SECOND
        row.now = 100 * SECOND
        eq(row.step(), [on, not on])  # the next load does not wait
        first.target.answered_at = 100 * SECOND
        eq(row.step(), [True, True])
    row = Row([make_load()])
    row.loads[0].keep_off(0)
    row.loads[0].limit_w, row.loads[0].lowered_at = 500, 5 * SECOND
    eq(row.step(360), [False])
    eq(row.step(), [True])  # its service is silent for 300 s more than the hold time
    row.loads[0].target.deferred = True  # such a limit is never confirmed
    row.loads[0].keep_off(row.now - 60 * SECOND)
    eq(row.step(), [True])


def test_an_order_switches_off_immediately_and_by_force():
    row = Row(three())
    row.limits.shed_all("leak")
    eq(row.step(), [False] * 3)
    eq(row.loads[0].service.calls, [("power", 0, False, 0, True)])
    eq([load.outlets_off for load in row.loads], [False] * 3)
    eq(row.step(), [False] * 3)
    eq(len(row.loads[0].service.calls), 1)


def test_a_load_that_ignores_its_limit_goes_in_danger_only():
    for danger in ("", "flow", "heat"):
        row = Row(three())
        row.loads[0].set_ineffective(True)
        if danger == "flow":
            row.limits.limit_all("flow")
        row.headroom.heat_rejection_lost = danger == "heat"
        eq(row.step(), [danger == "", True, True])


def test_a_silent_service_has_its_outlets_switched_off_too():
    strip = FakeStrip()
    for answered_at, off in ((4, True), (5, False)):
        load = make_load()
        load.outlets = [(strip, 3)]
        load.lowered_at, load.target.answered_at = 5, answered_at
        strip.requests = []
        row = Row([load])
        row.limits.shed_all("leak")
        row.now = SECOND
        row.step()
        eq(load.outlets_off, off)
        eq(strip.requests, [([(3, 0)], True)] if off else [])


def test_outlets_of_a_strip_are_written_together():
    strip = FakeStrip()
    loads = [make_load("a", served=False), make_load("b", served=False), make_load("c")]
    for i in range(3):
        loads[i].outlets = [(strip, i)]
    row = Row(loads)
    row.now = SECOND
    row.shedding.force_off(loads[0], row.now)
    eq(strip.requests, [([(0, 0)], True)])  # the others were never switched
    row.shedding.force_off(loads[1], row.now)
    eq(strip.requests[1:], [([(0, 0), (1, 0)], True)])
    row.shedding.force_off(loads[2], row.now)
    eq(strip.requests[2:], [([(0, 0), (1, 0), (2, 0)], True)])
    eq(loads[2].service.calls, [("power", 0, False, SECOND, True)])
    row.now = 100 * SECOND
    row.headroom.supply_c = 30.0
    row.step()
    eq(strip.requests[3:], [([(0, 1), (1, 0), (2, 0)], False)])
    eq((loads[0].outlets_off, loads[0].is_on), (False, True))
    row.step(2)
    eq(strip.requests[4:], [([(0, 1), (1, 1), (2, 0)], False), ([(0, 1), (1, 1), (2, 1)], False)])


def test_an_outlet_is_not_switched_on_for_a_load_that_its_service_switched_off():
    """A write of "on" to the outlets of one load could start the other one."""
    strip = FakeStrip()
    loads = [make_load("a"), make_load("b", served=False)]
    for i in range(2):
        loads[i].outlets = [(strip, i)]
    row = Row(loads)
    row.now = SECOND
    loads[0].lowered_at, loads[0].target.answered_at = 4, 5
    row.limits.shed_all("leak")
    eq(row.step(), [False, False])
    eq([load.outlets_off for load in loads], [False, True])
    eq(strip.requests, [([(1, 0)], True)])


def test_a_load_without_a_service_is_switched_by_its_outlets():
    strip = FakeStrip()
    load = make_load(served=False)
    load.outlets = [(strip, 2)]
    row = overheated([load])
    row.now = SECOND
    row.step(10)
    eq((load.is_on, load.outlets_off, strip.requests), (False, True, [([(2, 0)], True)]))
    fixed = overheated([make_load(served=False)])  # no way to switch it
    eq(fixed.step(20), [True])
    fixed.limits.shed_all("leak")
    eq(fixed.step(), [True])


def test_hot_optics_switch_off_their_own_load():
    loads = [make_load("a"), make_load("b"), make_load("c", served=False)]
    row = Row(loads, [FakeOptics(loads[1]), FakeOptics(None), FakeOptics(loads[2])])
    for monitor in row.optics:
        monitor.is_hot = True
    eq(row.step(), [True, False, True])
    eq(row.step(2), [True, False, True])
    eq(loads[1].service.calls, [("power", 0, False, 0, False)])
    row.headroom.supply_c = None
    row.optics[0].is_hot = False
    eq(row.step(), [True, False, True])


def test_the_alarm_says_when_a_load_is_off():
    row = overheated([make_load()])
    row.step(9)
    eq(row.agent.alarms.active, {("load_shed", "a"): None})
    row.shedding.confirm_off(row.loads[0])
    eq(row.agent.alarms.active, {("load_shed", "a"): "is switched off"})
    row.headroom.supply_c = 30.0
    row.step(70)
    eq(row.agent.alarms.active, {})


def test_a_load_that_was_overheated_stays_off_while_a_branch_is_shut():
    hot, cool = make_load("hot", 9), make_load("cool", 1)
    row = Row([hot, cool])
    for load in row.loads:
        load.keep_off(0)
    hot.count_heat_trip()
    row.limits.report_shut_branch(True, True)
    eq(row.step(300), [False, True])
    row.limits.report_shut_branch(True, False)
    eq(row.step(2), [True, True])


def test_loads_without_a_temperature_follow_when_all_others_were_overheated():
    """The coolant stands, and nothing else shows it: after a restart without the unit."""
    one, two, _ = loads = [make_load("one", 5), make_load("two", 5), make_load("other", 1)]
    row = Row(loads)
    for load in (one, two):
        load.set_case_known()
        load.set_heat_shown(True)
    one.set_heat(True, True)
    row.shedding.follow_protection(row.now)
    eq([load.is_on for load in loads], [False, True, True])
    two.set_heat(True, True)
    row.shedding.follow_protection(row.now)
    row.shedding.follow_protection(row.now)
    eq([load.is_on for load in loads], [False, False, False])
    for load in (one, two):
        load.set_heat(False, False)
    eq(row.step(110), [False, False, False])
    eq(row.step(15), [True, True, False])  # after twice 60 s; the cause can still be there
    one.set_heat_shown(False)
    eq(row.step(2), [True, True, True])


def test_one_overheated_load_is_no_loss_of_flow():
    one, _ = loads = [make_load("one", 5), make_load("other", 1)]
    row = Row(loads)
    one.set_case_known()
    one.set_heat_shown(True)
    one.set_heat(True, True)
    for _ in range(3):
        row.shedding.follow_protection(row.now)
    eq([load.is_on for load in loads], [False, True])
