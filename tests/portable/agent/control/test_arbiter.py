# SPDX-License-Identifier: Apache-2.0
"""Arbiter: the highest rank wins for one cycle, and the transfer to the loops is bumpless."""

from agent.control.arbiter import Arbiter
from agent.core.actuator import LOOP, MODE, PROOF, PUMPS, SAFETY, VALVE
from tests.portable.agent.control.test_component import make_rig, send_command
from tests.portable.agent.control.test_pressure_loop import PressureBench
from tests.portable.agent.control.test_supply_loop import SupplyBench
from tests.portable.support.agent_rig import CDU, FLAGS, LEAD, RUN, STOP, AgentRig, config
from tests.portable.support.agent_rig import VALVE as VALVE_UNIT
from tests.portable.support.check import eq

HEAP = "512wK"


def test_ranks_are_ordered():
    eq((LOOP, MODE, PROOF, SAFETY), (10, 20, 30, 40))


def test_highest_rank_wins_in_any_order():
    claims = [(MODE, "mode", 20.0), (PROOF, "proof", 50.0), (SAFETY, "safety", 0.0)]
    for first in range(3):
        for second in range(3):
            arbiter = Arbiter()
            for i in sorted({first, second}, reverse=first > second):
                arbiter.claim(*claims[i])
            winner = arbiter.winner()
            eq((winner.rank, winner.owner, winner.output), claims[max(first, second)])


def test_no_claim_leaves_the_loop():
    eq(Arbiter().winner(), None)


def test_none_leaves_the_claim_to_the_next_rank():
    arbiter = Arbiter()
    arbiter.claim(SAFETY, "safety", None)
    eq(arbiter.winner(), None)
    arbiter.claim(MODE, "mode", 30.0)
    eq(arbiter.winner().owner, "mode")


def test_zero_is_a_valid_claim():
    arbiter = Arbiter()
    arbiter.claim(MODE, "mode", 60.0)
    arbiter.claim(SAFETY, "safety", 0.0)
    eq(arbiter.winner().output, 0.0)


def test_claim_ends_with_its_cycle():
    arbiter = Arbiter()
    arbiter.claim(SAFETY, "safety", 0.0)
    eq(arbiter.winner().output, 0.0)
    eq(arbiter.winner().output, 0.0)  # the winner can be read more than once
    arbiter.begin_cycle()
    eq(arbiter.winner(), None)


def test_supply_loop_follows_a_claim_and_returns_bumplessly():
    made = SupplyBench()
    made.valve(4000)
    made.temperature(320)
    eq(made.step(), 40.0)
    made.arbiter.claim(MODE, "mode", 75.0)
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
    made.arbiter.claim(SAFETY, "safety", 0.0)
    eq(made.step(), 0.0)


def test_pressure_loop_follows_a_claim_and_returns_bumplessly():
    made = PressureBench()
    eq(made.step(), [40, 0])
    made.arbiter.claim(MODE, "mode", 60.0)
    eq(made.step(), [60, 60])  # all pumps
    made.arbiter.claim(SAFETY, "safety", 0.0)
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
    eq(winners(rig), [(MODE, "mode"), (MODE, "mode")])
    rig.set(CDU, FLAGS, 1)
    rig.run(2)
    eq(winners(rig), [(SAFETY, "safety"), (SAFETY, "safety")])
    eq((rig.devices.registers[VALVE_UNIT][0], rig.devices.registers[LEAD][0]), (0, STOP))


def test_undefined_interlock_output_leaves_pumps_to_mode():
    rig = make_safety_rig("shut_valve")
    send_command(rig, "override", mode="hand", minutes=5, valve_pct=20, pump_pct=50)
    rig.set(CDU, FLAGS, 1)
    rig.run(3)
    eq(winners(rig), [(SAFETY, "safety"), (MODE, "mode")])
    eq((rig.devices.registers[VALVE_UNIT][0], rig.devices.registers[LEAD][0]), (0, RUN))


def test_proof_test_claims_the_valve_in_automatic_mode_only():
    rig = make_rig()
    eq(send_command(rig, "proof", what="valve"), "proof of valve begun")
    rig.run(2)
    eq(winners(rig), [(PROOF, "proof"), None])
    send_command(rig, "override", mode="hand", minutes=5, valve_pct=20, pump_pct=50)
    rig.run(2)
    eq(winners(rig), [(MODE, "mode"), (MODE, "mode")])
    eq(send_command(rig, "release"), "automatic")
    rig.run(2)
    eq(winners(rig), [None, None])  # the mode aborted the proof test


def test_components_claim_only_what_they_declare():
    rig = make_safety_rig()
    declared = {
        (type(component).__name__, spec.actuator, spec.rank)
        for component in rig.agent.components
        for spec in component.CLAIMS
    }
    eq(
        declared,
        {
            ("CoolingComponent", VALVE, MODE),
            ("CoolingComponent", VALVE, PROOF),
            ("CoolingComponent", PUMPS, MODE),
            ("Interlock", VALVE, SAFETY),
            ("Interlock", PUMPS, SAFETY),
        },
    )


def test_unit_without_components_has_no_arbiters():
    eq(AgentRig().agent.arbiters, {})


def test_agent_and_loops_use_the_same_actuator_names():
    rig = make_rig()
    eq(sorted(rig.agent.arbiters), sorted((VALVE, PUMPS)))
    eq(rig.agent.supply_loop.arbiter is rig.agent.arbiters[VALVE], True)
    eq(rig.agent.pressure_loop.arbiter is rig.agent.arbiters[PUMPS], True)
    raw = config()
    raw["safety"] = {"inputs": []}
    plain = AgentRig(raw)
    eq(plain.agent.supply_loop.arbiter is plain.agent.arbiters[VALVE], True)
    eq(plain.agent.pressure_loop.arbiter is plain.agent.arbiters[PUMPS], True)
