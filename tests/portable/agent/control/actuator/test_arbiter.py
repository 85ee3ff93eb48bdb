# SPDX-License-Identifier: Apache-2.0
"""Arbiter: the highest rank wins for one cycle, and the transfer to the loops is bumpless."""

from agent.control.actuator.arbiter import Arbiter
from agent.core.actuator import (
    AT_LEAST,
    AT_MOST,
    EXACT,
    FANS,
    INTERLOCK,
    LOCKOUT,
    LOOP,
    MANUAL,
    PROOF,
    PROTECTION,
    PUMPS,
    VALVE,
    ClaimSpec,
)
from agent.core.json_writer import write
from tests.portable.agent.control.test_component import make_rig, send_command
from tests.portable.agent.control.test_pressure_loop import PressureBench
from tests.portable.agent.control.test_supply_loop import SupplyBench
from tests.portable.support.agent_rig import CDU, FLAGS, LAG, LEAD, RUN, STOP, AgentRig, config
from tests.portable.support.agent_rig import VALVE as VALVE_UNIT
from tests.portable.support.check import eq

RANKS = (LOCKOUT, INTERLOCK, MANUAL, PROTECTION, PROOF)


def decide(*claims, loop=40.0):
    """Return (output, owner, is_loop) with claims of (rank, kind, output)."""
    arbiter = Arbiter()
    for rank, kind, output in claims:
        arbiter.claim(rank, str(rank), kind, output, "because")
    output, owner, _, is_loop = arbiter.decide(loop)
    return output, owner, is_loop


def test_ranks_are_ordered():
    eq(sorted(RANKS, reverse=True), list(RANKS))
    assert LOOP < PROOF


def test_highest_exact_rank_wins_in_any_order():
    for high in range(len(RANKS)):
        for low in range(high + 1, len(RANKS)):
            claims = [(RANKS[high], EXACT, 0.0), (RANKS[low], EXACT, 80.0)]
            output = None if RANKS[high] == LOCKOUT else 0.0
            eq(decide(*claims), (output, str(RANKS[high]), False))
            eq(decide(*reversed(claims)), (output, str(RANKS[high]), False))


def test_no_claim_leaves_the_loop():
    eq(decide(), (40.0, "loop", True))
    arbiter = Arbiter()
    eq((arbiter.winner(), arbiter.decide(40.0)), (None, (40.0, "loop", "", True)))


def test_bound_limits_a_winner_of_an_equal_or_a_lower_rank_only():
    for bound in RANKS[1:]:
        for exact in RANKS[1:]:
            holds = bound >= exact
            low = decide((exact, EXACT, 80.0), (bound, AT_MOST, 10.0))
            eq(low[0], 10.0 if holds else 80.0)
            raised = decide((bound, AT_LEAST, 90.0), (exact, EXACT, 20.0))
            eq(raised[0], 90.0 if holds else 20.0)
        eq(decide((bound, AT_MOST, 10.0)), (10.0, str(bound), True))
        eq(decide((bound, AT_LEAST, 90.0)), (90.0, str(bound), True))
        eq(decide((bound, AT_LEAST, 10.0), (bound, AT_MOST, 90.0)), (40.0, "loop", True))


def test_higher_rank_applies_if_bounds_conflict():
    for high in range(1, len(RANKS)):
        for low in range(high + 1, len(RANKS)):
            upper, lower = RANKS[high], RANKS[low]
            for order in (1, -1):
                claims = [(upper, AT_MOST, 0.0), (lower, AT_LEAST, 100.0)]
                eq(decide(*claims[::order]), (0.0, str(upper), True))
                claims = [(upper, AT_LEAST, 100.0), (lower, AT_MOST, 0.0)]
                eq(decide(*claims[::order]), (100.0, str(upper), True))


def test_larger_output_applies_at_one_rank():
    for order in (1, -1):
        claims = [(PROTECTION, AT_MOST, 0.0), (PROTECTION, AT_LEAST, 100.0)]
        eq(decide(*claims[::order])[0], 100.0)
        eq(decide(*[(PROOF, EXACT, 20.0), (PROOF, EXACT, 30.0)][::order])[0], 30.0)


def test_lockout_has_no_output_and_no_bound_changes_it():
    claims = [(LOCKOUT, EXACT, 0.0), (INTERLOCK, AT_LEAST, 100.0), (INTERLOCK, EXACT, 0.0)]
    eq(decide(*claims), (None, "70", False))


def test_zero_is_a_valid_claim():
    eq(decide((MANUAL, EXACT, 60.0), (INTERLOCK, EXACT, 0.0))[0], 0.0)


def test_claim_and_lock_end_with_their_cycle():
    arbiter = Arbiter()
    arbiter.claim(INTERLOCK, "safety", EXACT, 0.0, "leak")
    arbiter.lock_out("lead")
    arbiter.lock_out("lag")
    eq(arbiter.locked, ["lead", "lag"])
    assert write(arbiter.status(PUMPS)).endswith('"locked":["lead","lag"]}')
    eq(arbiter.winner().output, 0.0)
    eq(arbiter.winner().output, 0.0)  # the winner can be read more than once
    arbiter.begin_cycle()
    eq((arbiter.winner(), arbiter.locked), (None, []))


def test_status_names_the_holder_and_the_losers():
    arbiter = Arbiter()
    arbiter.claim(PROTECTION, "safety", AT_LEAST, 100.0, "overheat")
    arbiter.claim(MANUAL, "manual", EXACT, 80.0, "hand")
    arbiter.claim(INTERLOCK, "dew", AT_MOST, 12.5, "dew")
    arbiter.decide(40.0)
    eq(
        write(arbiter.status(VALVE)),
        '{"name":"valve","output_milli_pct":12500,"owner":"dew","reason":"dew","losers":['
        '{"owner":"safety","kind":"at_least","output_milli_pct":100000,"reason":"overheat"},'
        '{"owner":"manual","kind":"exact","output_milli_pct":80000,"reason":"hand"}],"locked":[]}',
    )


def test_claims_are_kept_in_the_order_of_rank_and_kind():
    made = ((MANUAL, EXACT), (INTERLOCK, EXACT), (MANUAL, AT_LEAST), (PROOF, EXACT))
    for first in range(4):
        for step in (1, 3):
            arbiter = Arbiter()
            for i in range(4):
                rank, kind = made[(first + i * step) % 4]
                arbiter.claim(rank, "owner", kind, 50.0, "because")
            eq([(claim.rank, claim.kind) for claim in arbiter.claims], sorted(made))


def test_a_new_arbiter_has_no_decision():
    arbiter = Arbiter()
    eq((arbiter.decision, arbiter.raised, arbiter.holder_rank()), (None, False, LOOP))
    eq(
        write(arbiter.status(FANS)),
        '{"name":"fans","output_milli_pct":null,"owner":"","reason":"","losers":[],"locked":[]}',
    )


def test_an_upper_bound_equal_to_the_output_has_no_effect():
    eq(decide((MANUAL, AT_MOST, 40.0)), (40.0, "loop", True))
    arbiter = Arbiter()
    arbiter.claim(MANUAL, "manual", AT_LEAST, 40.0, "hand")
    arbiter.decide(40.0)
    eq((arbiter.raised, arbiter.holder_rank()), (True, MANUAL))
    arbiter.begin_cycle()
    arbiter.decide(40.0)
    eq((arbiter.raised, arbiter.holder_rank()), (False, LOOP))


def test_the_start_delay_is_a_decision_of_the_loop():
    arbiter = Arbiter()
    arbiter.await_start()
    eq(arbiter.decision, (0.0, "loop", "start delay", True))


def test_the_output_of_another_unit_replaces_that_of_the_loop_for_one_cycle():
    """Any claim still wins, a bound limits it, and the loop goes on."""
    arbiter = Arbiter()
    arbiter.follow(55.0, "group", "lead")
    eq(tuple(arbiter.decide(40.0)), (55.0, "group", "lead", True))
    eq((arbiter.winner(), arbiter.holder_rank()), (None, LOOP))
    arbiter.claim(PROTECTION, "safety", AT_LEAST, 70.0, "no flow")
    eq(tuple(arbiter.decide(40.0)), (70.0, "safety", "no flow", True))
    arbiter.claim(PROOF, "proof", EXACT, 30.0, "test")
    arbiter.claim(MANUAL, "manual", EXACT, 20.0, "by command")
    eq(tuple(arbiter.decide(40.0)), (20.0, "manual", "by command", False))
    arbiter.begin_cycle()
    eq(tuple(arbiter.decide(40.0)), (40.0, "loop", "", True))


def test_supply_loop_follows_a_claim_and_returns_bumplessly():
    made = SupplyBench()
    made.valve(4000)
    made.temperature(320)
    eq(made.step(), 40.0)
    made.arbiter.claim(MANUAL, "manual", EXACT, 75.0, "hand")
    eq((made.step(), made.loop.at_fail_safe), (75.0, True))
    made.valve(7500)
    made.temperature(320)
    made.arbiter.begin_cycle()
    eq((made.step(), made.loop.at_fail_safe), (75.0, False))


def test_claim_outranks_the_fail_safe_opening():
    made = SupplyBench()
    made.valve(2000)
    made.temperature(1001)
    eq(made.step(), 60.0)
    made.arbiter.claim(INTERLOCK, "safety", EXACT, 0.0, "leak")
    eq(made.step(), 0.0)


def test_pressure_loop_follows_a_claim_and_returns_bumplessly():
    made = PressureBench()
    eq(made.step(), [40, 0])
    made.arbiter.claim(MANUAL, "manual", EXACT, 60.0, "hand")
    eq(made.step(), [60, 60])  # all pumps
    made.arbiter.claim(INTERLOCK, "safety", EXACT, 0.0, "leak")
    eq(made.step(), [0, 0])
    made.arbiter.begin_cycle()
    assert made.step()[0] > 0


def winners(rig):
    arbiters = rig.agent.arbiters
    return [
        None if claim is None else (claim.rank, claim.owner)
        for claim in (arbiters[VALVE].winner(), arbiters[PUMPS].winner())
    ]


def make_safety_rig(reaction="stop"):
    pan = {"name": "pan", "device": "cdu", "bit": "Leak", "kind": "leak_critical"}
    raw = config()
    raw["safety"] = {"inputs": [dict(pan, reaction=reaction)]}
    return make_rig(raw=raw)


def test_interlock_outranks_an_operating_mode():
    rig = make_safety_rig()
    eq(winners(rig), [None, None])
    send_command(rig, "override", mode="hand", minutes=5, valve_pct=20, pump_pct=50)
    rig.run(2)
    eq(winners(rig), [(MANUAL, "manual"), (MANUAL, "manual")])
    rig.set(CDU, FLAGS, 1)
    rig.run(2)
    eq(winners(rig), [(INTERLOCK, "safety"), (INTERLOCK, "safety")])
    eq((rig.devices.registers[VALVE_UNIT][0], rig.devices.registers[LEAD][0]), (0, STOP))


def test_undefined_interlock_output_leaves_pumps_to_mode():
    rig = make_safety_rig("shut_valve")
    send_command(rig, "override", mode="vent", minutes=5)
    rig.set(CDU, FLAGS, 1)
    rig.run(3)
    eq(winners(rig), [(INTERLOCK, "safety"), (MANUAL, "manual")])
    eq((rig.devices.registers[VALVE_UNIT][0], rig.devices.registers[LEAD][0]), (0, RUN))


def test_proof_test_claims_the_valve_in_automatic_mode_only():
    rig = make_rig()
    eq(send_command(rig, "proof", what="valve"), "proof of valve begun")
    rig.run(2)
    eq(winners(rig), [(PROOF, "proof"), None])
    send_command(rig, "override", mode="hand", minutes=5, valve_pct=20, pump_pct=50)
    rig.run(2)
    eq(winners(rig), [(MANUAL, "manual"), (MANUAL, "manual")])
    eq(send_command(rig, "release"), "automatic")
    rig.run(2)
    eq(winners(rig), [None, None])  # the mode aborted the proof test


def test_components_claim_only_what_they_declare():
    rig = make_safety_rig()
    declared = {spec for component in rig.agent.components for spec in component.CLAIMS}
    made = set()

    def watch(seconds):
        for _ in range(seconds):
            rig.run(1)
            for actuator, arbiter in rig.agent.arbiters.items():
                made.update([ClaimSpec(actuator, c.rank, c.kind) for c in arbiter.claims])

    send_command(rig, "proof", what="valve")
    watch(3)
    send_command(rig, "override", mode="hand", minutes=5, valve_pct=20, pump_pct=50)
    watch(3)
    rig.set(CDU, FLAGS, 1)
    watch(8)
    for unit in (LEAD, LAG):
        rig.set(unit, 2, 0)  # local mode
    watch(3)
    eq(made - declared, set())
    ranks = {(spec.actuator, spec.rank) for spec in made}
    assert ranks >= {(VALVE, PROOF), (VALVE, MANUAL), (VALVE, INTERLOCK), (PUMPS, LOCKOUT)}, ranks


def test_unit_without_components_has_no_arbiters():
    eq(AgentRig().agent.arbiters, {})


def test_agent_and_loops_use_the_same_actuator_names():
    rig = make_rig()
    eq(sorted(rig.agent.arbiters), sorted((VALVE, PUMPS, FANS)))
    eq(rig.agent.supply_loop.arbiter is rig.agent.arbiters[VALVE], True)
    eq(rig.agent.pressure_loop.arbiter is rig.agent.arbiters[PUMPS], True)
    raw = config()
    raw["safety"] = {"inputs": []}
    plain = AgentRig(raw)
    eq(plain.agent.supply_loop.arbiter is plain.agent.arbiters[VALVE], True)
    eq(plain.agent.pressure_loop.arbiter is plain.agent.arbiters[PUMPS], True)
