# SPDX-License-Identifier: Apache-2.0
"""Orders of the protection, the proof of their effect, and their record over a restart."""

from agent.power.limit.allocator import allocate_power
from agent.power.limit.effect_proof import EffectProof
from agent.power.limit.kept_limits import KEY, KeptLimits
from agent.power.limit.limit_ramp import LimitRamp
from agent.power.limit.load_limits import LoadLimits
from protocols.time_units import SECOND
from tests.portable.agent.power.limit.fakes import AgentOfLoads, make_load
from tests.portable.support.check import eq


def test_an_order_ends_half_a_cycle_after_it_was_due():
    agent = AgentOfLoads()
    limits = LoadLimits(agent, [])
    eq((limits.limit_reason, limits.shed_reason, limits.cap_permille), ("", "", 1000))
    eq((limits.is_active, limits.take_new(), limits.devices_warm), (False, False, None))
    limits.limit_all("flow")
    agent.ticks.count = 105
    limits.shed_all("leak")
    agent.ticks.count = 110
    limits.cap(600, "little flow")
    for count, want in (
        (115, ("flow", "leak", 600, True)),
        (116, ("", "leak", 600, True)),
        (120, ("", "leak", 600, True)),
        (121, ("", "", 600, False)),
        (125, ("", "", 600, False)),
        (126, ("", "", 1000, False)),
    ):
        agent.ticks.count = count
        limits.expire()
        got = limits.limit_reason, limits.shed_reason, limits.cap_permille, limits.is_active
        eq((count, got), (count, want))


def test_only_a_new_order_is_new():
    agent = AgentOfLoads()
    limits = LoadLimits(agent, [])
    for order, again in (
        (lambda: limits.limit_all("a"), lambda: limits.limit_all("b")),
        (lambda: limits.shed_all("a"), lambda: limits.shed_all("b")),
        (lambda: limits.cap(600, "a"), lambda: limits.cap(600, "a")),
    ):
        order()
        eq((limits.take_new(), limits.take_new()), (True, False))
        again()
        eq(limits.take_new(), False)
        order()
        again()
        eq(limits.take_new(), False)
    limits.cap(700, "a")
    eq((limits.take_new(), limits.cap_permille), (False, 700))
    limits.cap(699, "a")
    limits.limit_all("c")  # the second order does not hide the first one
    eq(limits.take_new(), True)
    limits.cap(500, "a")
    limits.shed_all("c")
    limits.cap(500, "a")
    eq(limits.take_new(), True)


def test_a_cold_supply_is_needed_while_a_load_draws_more_than_an_order_permits():
    limits = LoadLimits(AgentOfLoads(), [])
    eq(limits.is_cold_needed, False)
    limits.report_ignored(False, True)
    eq(limits.is_cold_needed, True)
    limits.report_ignored(True, False)
    eq(limits.is_cold_needed, False)  # a limit of the schedule is ignored: the cases are cool
    limits.cap(999, "a")
    eq(limits.is_cold_needed, True)
    limits.cap(1000, "a")
    limits.limit_all("a")
    eq(limits.is_cold_needed, True)
    limits.report_ignored(False, False)
    eq(limits.is_cold_needed, False)


def test_all_loads_must_be_proven_off():
    loads = [make_load("a"), make_load("b")]
    limits = LoadLimits(AgentOfLoads(), loads)
    eq(limits.proven_off(), False)
    for load in loads:
        load.switch(False, SECOND)
    eq(limits.proven_off(), False)
    loads[0].set_proven_off(True)
    eq(limits.proven_off(), False)
    loads[1].set_proven_off(True)
    eq(limits.proven_off(), True)
    loads[1].is_on = True
    eq(limits.proven_off(), False)


class FakeShedding:
    def __init__(self):
        self.calls = []

    def confirm_off(self, load):
        self.calls.append(("confirmed", load.name))

    def confirm_on(self, load, now):
        load.set_started()

    def show_dark(self, load, text, now):
        self.calls.append(("dark", load.name, now))

    def force_off(self, load, now):
        self.calls.append(("forced", load.name, now))


def make_proof(served=True):
    agent, load, shedding = AgentOfLoads(), make_load(served=served), FakeShedding()
    return EffectProof(agent, [load], shedding), agent.alarms, load, shedding


ANSWERED = 13_500_000
"""Time in microseconds after which a limit that was sent at 10 s must act."""


def limited(power_w, read_s, answered_s=10, effect_s=0):
    """Return a proof with a load that was limited to 600 W at 10 s."""
    proof, alarms, load, _ = make_proof()
    load.lower_limit(600, 10 * SECOND)
    target = load.target
    target.requested_w = target.target_w = 600
    target.answered_at, target.effect_us = answered_s * SECOND, effect_s * SECOND
    target.power_w, target.read_at = power_w, read_s * SECOND
    return proof, alarms, load


def test_a_load_above_its_limit_is_ineffective_after_the_proof_time():
    for power_w, want in ((630, False), (631, True)):
        proof, alarms, load = limited(power_w, 15)
        eq((proof.step(ANSWERED - 1), load.ineffective), (False, False))
        eq((proof.step(ANSWERED), load.ineffective), (want, want))
        eq(proof.step(15 * SECOND), False)  # it is not new any more
        text = "draws more than its limit: a"
        eq(alarms.active, {("limit_ineffective", "a"): text} if want else {})
        load.target.power_w = 500
        eq((proof.step(16 * SECOND), load.ineffective, alarms.active), (False, False, {}))


def test_the_power_is_measured_after_the_effect_time():
    for read_s, now_s, want in ((15, 19, False), (18, 19, True), (19, 16, False)):
        proof, _, load = limited(900, read_s, effect_s=4)
        proof.step(now_s * SECOND)
        eq((read_s, now_s, load.ineffective), (read_s, now_s, want))


def test_a_slow_service_acts_when_it_confirms():
    for answered_ms, delay_ms, asked_ms, want in (
        (10_000, 0, 13_001, True),
        (10_500, 0, 13_500, False),
        (10_500, 0, 13_501, True),
        (13_040, 0, 16_040, False),
        (13_040, 0, 16_041, True),
        (15_000, 0, 16_501, True),  # it confirms again and again
        (13_040, 3_000, 16_040, False),  # measured before the request was answered
        (13_040, 3_000, 16_041, True),
    ):
        proof, _, load = limited(900, 0)
        target = load.target
        target.answered_at, target.delay = 1000 * answered_ms, 1000 * delay_ms
        target.read_at = 1000 * (asked_ms + delay_ms)
        proof.step(20 * SECOND)
        eq(
            (answered_ms, delay_ms, asked_ms, load.ineffective),
            (answered_ms, delay_ms, asked_ms, want),
        )


def begins_to_fall(power_w, before_w=1000, read_ms=11_901, **target):
    """Return whether the alarm is active at 12 s, of a load that was limited to 600 W at 10 s."""
    proof, alarms, load, _ = make_proof()
    load.target.power_w, load.target.read_at = before_w, 9 * SECOND
    load.lower_limit(600, 10 * SECOND)
    load.target.requested_w = load.target.target_w = 600
    load.target.answered_at, load.target.effect_us = 10 * SECOND, SECOND
    load.target.power_w, load.target.read_at = power_w, read_ms * 1000
    for name, value in target.items():
        setattr(load.target, name, value)
    eq((proof.step(12 * SECOND), load.ineffective), (False, False))
    return ("limit_ineffective", "a") in alarms.active


def test_a_power_that_does_not_begin_to_fall_is_an_early_alarm():
    for power_w, before_w, read_ms, want in (
        (1000, 1000, 11_901, True),
        (951, 1000, 11_901, True),
        (950, 1000, 11_901, False),  # it falls: an eighth of the way
        (1000, 1000, 11_900, False),  # read before it must fall
        (1000, 1000, 14_001, False),  # the proof itself decides
        (1000, None, 11_901, False),
        (None, 1000, 11_901, False),
        (630, 631, 11_901, False),  # within the limit + 5 %
        (631, 631, 11_901, True),
    ):
        got = begins_to_fall(power_w, before_w, read_ms)
        eq((power_w, before_w, read_ms, got), (power_w, before_w, read_ms, want))
    # a service that confirms late has more time
    eq(begins_to_fall(1000, answered_at=10 * SECOND + 1000), False)
    eq(begins_to_fall(1000, read_ms=11_902, answered_at=10 * SECOND + 1000), True)
    for name, value in (("answered_at", 9 * SECOND), ("deferred", True), ("requested_w", None)):
        eq((name, begins_to_fall(1000, **{name: value})), (name, False))


def test_a_load_that_is_off_has_not_shown_that_it_follows_its_limit():
    proof, alarms, load = limited(900, 15)
    found = []
    for second, is_on, power_w in (
        (15, True, 900),
        (16, False, 900),
        (29, False, 0),
        (30, True, 0),  # it starts
        (32, True, 500),
        (33, True, 500),  # three seconds after the start
        (40, False, 0),
        (41, True, 0),
    ):
        load.is_on, load.target.power_w, load.target.read_at = is_on, power_w, second * SECOND
        proof.step(second * SECOND)
        found.append(("limit_ineffective", "a") in alarms.active)
    eq(found, [True, True, True, True, True, False, False, False])
    proof, alarms, load = limited(900, 15)
    proof.step(15 * SECOND)
    load.raise_limit(load.max_w, 16 * SECOND)
    proof.step(16 * SECOND)
    eq(alarms.active, {})


def test_a_service_without_an_answer_is_ineffective():
    proof, _, load = limited(None, 0, answered_s=9)
    proof.step(14 * SECOND)
    eq(load.ineffective, True)
    for change in (
        lambda load: setattr(load.target, "is_in_force", True),
        lambda load: setattr(load.target, "answered_at", 10 * SECOND),
        lambda load: setattr(load.target, "deferred", True),
        lambda load: setattr(load, "limit_w", 1000),
        lambda load: setattr(load.target, "requested_w", None),
    ):
        proof, _, load = limited(None, 0, answered_s=9)
        change(load)
        proof.step(14 * SECOND)
        eq(load.ineffective, False)


def test_limits_that_fall_in_steps_give_a_service_no_more_time():
    for answered_s, want in ((9, True), (11, False)):
        proof, _, load = limited(None, 0, answered_s=9)
        for second in (11, 12, 13):
            load.lower_limit(600 - 10 * second, second * SECOND)
            load.target.answered_at = answered_s * SECOND
        proof.step(13 * SECOND)
        eq(load.ineffective, False)
        proof.step(13 * SECOND + SECOND // 2)
        eq((answered_s, load.ineffective), (answered_s, want))


def test_the_higher_of_both_limits_counts():
    proof, _, load = limited(700, 15)
    load.target.target_w = 690
    proof.step(15 * SECOND)
    eq(load.ineffective, False)
    load.target.target_w = None
    proof.step(15 * SECOND)
    eq(load.ineffective, True)


def switched_off(power_w, read_s=21):
    proof, alarms, load, shedding = make_proof()
    load.switch(False, 20 * SECOND)
    load.target.power_w, load.target.read_at = power_w, read_s * SECOND
    return proof, alarms, load, shedding


def test_a_load_is_off_below_a_twentieth_of_its_rating():
    proof, alarms, load, shedding = switched_off(49)
    proof.step(21 * SECOND)
    proof.step(22 * SECOND)
    eq((load.is_proven_off, shedding.calls, alarms.active), (True, [("confirmed", "a")], {}))
    load.target.power_w = None  # a proof stays without a new reading
    proof.step(40 * SECOND)
    eq((load.is_proven_off, shedding.calls), (True, [("confirmed", "a")]))
    load.target.power_w = 50
    proof.step(41 * SECOND)
    eq((load.is_proven_off, shedding.calls[1:]), (False, [("forced", "a", 41 * SECOND)]))


def test_a_load_that_still_draws_power_is_forced_off():
    for effect_s, due_ms in ((0, 24500), (2, 24500), (3, 25500)):
        proof, alarms, load, shedding = switched_off(50)
        load.target.effect_us = effect_s * SECOND
        due = due_ms * SECOND // 1000
        proof.step(due - 1)
        eq((shedding.calls, alarms.active), ([], {}))
        proof.step(due)
        eq(shedding.calls, [("forced", "a", due)])
        text = "was told to go off and still draws power: a"
        eq(alarms.active, {("shed_failed", "a"): text})
        load.target.power_w = 0
        proof.step(40 * SECOND)
        eq((load.is_proven_off, alarms.active), (True, {}))


def test_without_a_measured_power_nothing_is_proven():
    proof, alarms, load, shedding = switched_off(0, read_s=20)  # a reading from before
    proof.step(30 * SECOND)
    eq((load.is_proven_off, shedding.calls), (False, [("forced", "a", 30 * SECOND)]))
    proof, alarms, load, shedding = make_proof(served=False)
    load.switch(False, 20 * SECOND)
    proof.step(30 * SECOND)
    eq((load.is_proven_off, shedding.calls, alarms.active), (False, [], {}))


def test_a_load_that_runs_again_has_not_shown_that_it_can_be_switched_off():
    proof, alarms, load, _ = switched_off(900)
    eq(proof.ignores_off, False)
    proof.step(30 * SECOND)
    eq(proof.ignores_off, True)
    load.switch(True, 31 * SECOND)
    for at_s in (31, 600):
        load.target.read_at = at_s * SECOND
        proof.step(at_s * SECOND)
        eq((list(alarms.active), proof.ignores_off), ([("shed_failed", "a")], False))
    load.switch(False, 601 * SECOND)
    proof.step(602 * SECOND)
    eq(list(alarms.active), [("shed_failed", "a")])
    load.target.power_w, load.target.read_at = 0, 603 * SECOND
    proof.step(603 * SECOND)
    eq(alarms.active, {})


def test_a_load_that_follows_a_limit_again_can_be_switched_off():
    for power_w, codes in ((900, [("shed_failed", "a")]), (650, [])):
        proof, alarms, load, _ = switched_off(900)
        proof.step(30 * SECOND)
        load.switch(True, 31 * SECOND)
        load.limit_w, load.lowered_at = 700, 32 * SECOND
        load.target.requested_w, load.target.answered_at = 700, 33 * SECOND
        load.target.power_w, load.target.read_at = power_w, 60 * SECOND
        load.target.target_w = None
        proof.step(60 * SECOND)
        eq((power_w, [key for key in alarms.active if key[0] == "shed_failed"]), (power_w, codes))


def make_kept():
    loads = [make_load("a"), make_load("b")]
    return KeptLimits(loads, 7), loads


def written(kept):
    """Return the written records, without their last line, the checksum."""
    texts = [data.split(b"\0", 1)[1] for _, op, data in kept.record.outbox() if op == "write"]
    return [text.rsplit(b"\n", 1)[0] for text in texts]


def test_limits_are_stored_when_they_change():
    kept, loads = make_kept()
    kept.save(500, 50)
    eq(kept.record.outbox(), [])
    kept.record.event("opened")
    eq(kept.record.outbox(), [(7, "get", KEY.encode())])
    kept.save(500, 50)  # the stored record was not read
    kept.restore(KEY.encode(), SECOND)
    kept.save(0, 100)
    eq(written(kept), [])
    kept.save(500, 100)
    loads[1].keep_off(SECOND)
    kept.save(500, 100)
    kept.save(500, 100)
    eq(written(kept), [b"500 100\na 1000 1\nb 1000 0"])  # the first one was not handed over
    kept.record.event("closed")
    kept.save(0, 100)
    eq(written(kept), [])


def restored(text):
    kept, loads = make_kept()
    caps = kept.restore(KEY.encode() + b"\0" + text, 9 * SECOND)
    return kept, loads, caps


def test_the_stricter_limit_applies_after_a_restart():
    kept, (one, two), caps = restored(b"0 100\na 600 1\nb 100 0\nc 1 0")
    eq((caps, kept.restored), ((0, 100), True))
    eq((one.limit_w, one.is_on, one.lowered_at), (600, True, 9 * SECOND))
    eq(one.service.calls, [("limit", 0, 600, 9 * SECOND)])
    eq((two.limit_w, two.is_on, two.shed_at), (300, False, 9 * SECOND))
    eq(two.service.calls, [("limit", 0, 300, 9 * SECOND)])
    kept.record.event("opened")
    kept.save(0, 100)
    eq(written(kept), [b"0 100\na 600 1\nb 300 0"])
    eq((kept.update(True), kept.update(False), kept.update(True)), (True, False, False))


def test_each_part_of_the_record_counts_as_restored():
    for text, want, caps in (
        (b"0 100\na 1000 1\nb 1000 1", False, (0, 100)),
        (b"1 100", True, (1, 100)),
        (b"0 99", True, (0, 99)),
        (b"0 100\na 999 1", True, (0, 100)),
        (b"0 100\na 1000 0", True, (0, 100)),
        (b"nonsense", False, None),
        (b"5", False, None),
        (b"5 x", False, None),
        (b"\xff", False, None),
        (b"5 50\na", False, (5, 50)),
        (b"-1 100\na 600 1", False, None),
        (b"0 -5", False, None),
        (b"0 101", False, None),
        (b"100000001 100", False, None),
    ):
        kept, _, got = restored(text)
        eq((text, got, kept.restored), (text, caps, want))
    kept, loads, caps = restored(b"0 100\na 1001 1")
    eq((loads[0].limit_w, loads[0].service.calls), (1000, []))
    eq(kept.restore(b"other\0x", 0), None)


def test_a_hot_load_stays_hot_over_a_restart():
    """Its service may be silent then: only a reading shows that it is not hot any more."""
    kept, loads = make_kept()
    kept.record.event("opened")
    kept.restore(KEY.encode(), SECOND)
    loads[0].set_heat(True, False)
    loads[1].set_heat(True, True, True)  # not read: a restart finds this again
    kept.save(0, 100)
    eq(written(kept), [b"0 100\na 1000 2\nb 1000 1"])
    kept, (one, two), caps = restored(b"0 100\na 1000 2\nb 1000 1")
    eq((caps, kept.restored), ((0, 100), False))
    eq((one.is_on, one.is_hot, one.is_overheated), (True, True, False))
    eq((two.is_on, two.is_hot), (True, False))
    one.is_on = False
    eq(kept.encode(0, 100), b"0 100\na 1000 0\nb 1000 1")


def test_a_load_that_is_off_stays_shown_as_hot_over_a_restart():
    kept, loads = make_kept()
    loads[0].keep_off(SECOND)
    loads[0].set_heat_shown(True)
    loads[1].set_heat_shown(True)  # it runs again, and is not hot
    text = kept.encode(0, 100)
    eq(text, b"0 100\na 1000 0\nhot:a 0 0\nb 1000 1\nhot:b 0 0")
    kept, (one, two), caps = restored(text)
    eq((caps, one.is_on, two.is_on), ((0, 100), False, True))
    eq((one.is_heat_shown, one.limit_w, two.is_heat_shown), (True, 1000, True))
    eq((one.is_hot, two.is_hot), (False, False))
    eq(kept.encode(0, 100), text)


def test_a_record_that_was_read_is_not_written_again():
    kept, _, _ = restored(b"500 50\na 1000 1\nb 1000 1")
    kept.record.event("opened")
    kept.save(500, 50)
    eq(written(kept), [])
    loads = make_kept()[1]
    loads[0].is_on = False
    again = KeptLimits(loads, 7)
    again.restore(KEY.encode() + b"\0" + b"0 100\na 1000 0\nb 1000 1", 0)
    eq(again.restored, False)  # it was off before


def test_a_budget_is_filled_from_the_highest_priority():
    eq(allocate_power(700, [(1, 100, 500), (2, 100, 50), (3, 100, 300)]), ([300, 100, 300], 0))
    eq(allocate_power(300, [(1, 100, 500), (2, 100, 500), (3, 100, 500)]), ([100, 100, 100], 0))
    eq(allocate_power(301, [(1, 100, 500), (2, 100, 100), (3, 100, 101)]), ([100, 100, 101], 0))


def test_limits_of_the_ramp_itself():
    ramp, load = LimitRamp(60 * SECOND, 10, 16 * SECOND), make_load()
    load.limit_w = 500
    eq((ramp.step_limit(load, 500, True, 99 * SECOND), load.lowered_at < 0), (False, True))
    eq(ramp.step_limit(load, 481, True, 0), False)
    eq((ramp.step_limit(load, 480, True, 7), load.limit_w, load.lowered_at), (True, 480, 7))
    eq(ramp.step_limit(load, 600, True, 60 * SECOND + 6), False)
    eq((ramp.step_limit(load, 600, True, 60 * SECOND + 7), load.limit_w), (True, 580))
    eq(load.raised_at, 60 * SECOND + 7)
    eq(ramp.step_limit(load, 600, True, 72 * SECOND + 6), False)
    eq((ramp.step_limit(load, 600, True, 72 * SECOND + 7), load.limit_w), (True, 600))
    eq(ramp.step_limit(load, 619, True, 99 * SECOND), False)
    eq((ramp.step_limit(load, 620, True, 99 * SECOND), load.limit_w), (True, 620))
    load.limit_w, load.min_w = 310, 300
    eq((ramp.step_limit(load, 301, True, 0), ramp.step_limit(load, 300, True, 0)), (False, True))
    slow = LimitRamp(0, 0, 0)
    eq((slow.step_limit(load, 1000, True, 200 * SECOND), load.limit_w), (True, 301))


def test_the_order_of_the_components_does_not_change_whether_cold_is_needed():
    """In a cycle the loop asks before the protection gives its order, or after it."""
    agent = AgentOfLoads()
    agent.ticks.count = 10
    limits = LoadLimits(agent, [])
    limits.report_ignored(True, False)
    limits.expire()
    agent.ticks.count += 1
    before = limits.is_cold_needed
    limits.limit_all("start")
    eq((before, limits.is_cold_needed), (False, False))
    limits.expire()
    eq(limits.is_cold_needed, True)
    agent.ticks.count += 1
    eq(limits.is_cold_needed, True)
    limits.report_ignored(False, False)
    eq(limits.is_cold_needed, True)
    agent.ticks.count += 1  # `throttle` is off: nothing is noted
    eq(limits.is_cold_needed, False)


def test_a_hot_load_behind_a_shut_branch_needs_flow_until_the_branch_is_open():
    load = make_load()
    limits = LoadLimits(AgentOfLoads(), [make_load("b"), load])
    load.set_heat(True, False)
    for may_be_shut, is_shut, is_hot, needed in (
        (True, False, True, False),
        (True, True, False, False),
        (True, True, True, True),
        (True, True, False, True),  # it is cool because of this flow
        (False, False, True, False),
    ):
        load.set_heat(is_hot, False)
        limits.report_shut_branch(may_be_shut, is_shut)
        eq((limits.has_shut_branch, limits.is_branch_shut), (may_be_shut, is_shut))
        eq((limits.is_flow_needed, limits.is_cold_needed), (needed, needed))


def test_the_ways_to_switch_a_load_on_are_known_after_a_restart():
    """By its service, which must know that it is off, or also by its outlets."""
    kept, (one, two) = make_kept()
    one.keep_off(SECOND)
    one.set_outlets(True)
    text = kept.encode(0, 100)
    eq(text, b"0 100\na 1000 0\nout:a 0 0\nb 1000 1")
    kept, (one, two), _ = restored(text)
    eq((one.outlets_off, two.outlets_off), (True, False))
    eq((one.service.noted_off, two.service.noted_off), ([0], []))
    kept, (one, two), _ = restored(b"0 100\na 1000 0\nb 1000 1")
    eq((one.is_on, one.outlets_off), (False, False))
    kept, (one, two), _ = restored(b"0 100\na 1000 1\nout:a 0 0\nb 1000 1")
    eq((one.is_on, one.outlets_off), (True, False))
    bare = make_load(served=False)
    bare.keep_off(SECOND)
    eq(bare.outlets_off, True)
