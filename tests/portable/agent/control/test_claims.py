# SPDX-License-Identifier: Apache-2.0
"""Claims of each rank on each actuator of a running agent: register writes follow the rank."""

import json

from agent.core.actuator import (
    AT_LEAST,
    AT_MOST,
    EXACT,
    FANS,
    INTERLOCK,
    LOCKOUT,
    MANUAL,
    PROOF,
    PROTECTION,
    PUMPS,
    VALVE,
)
from agent.core.component.base import Component
from agent.telemetry.status_text import actuator_lines
from tests.portable.agent.control.test_component import REMOTE, make_models
from tests.portable.agent.control.test_fan_group import FAN1, FAN2, FanRig, make_config
from tests.portable.support.agent_rig import CDU, FLAGS, LAG, LEAD, RUN
from tests.portable.support.agent_rig import VALVE as VALVE_UNIT
from tests.portable.support.check import eq

LONG = (
    "test_an_interlock_that_takes_an_actuator_ends_hand_and_no_other_mode",
    "test_each_bound_against_each_exact_claim_on_each_actuator",
    "test_loop_does_not_wind_up_under_a_bound",
)


RANKS = (LOCKOUT, INTERLOCK, MANUAL, PROTECTION, PROOF)
ACTUATORS = (VALVE, PUMPS, FANS)
UNITS = {VALVE: (VALVE_UNIT,), PUMPS: (LEAD, LAG), FANS: (FAN1, FAN2)}


class Claimant(Component):
    """A component that makes the same claims in each cycle: (actuator, rank, kind, output)."""

    def __init__(self):
        self.claims = []

    def before_control(self, now, dt):
        for actuator, rank, kind, output in self.claims:
            self.agent.arbiters[actuator].claim(rank, "test", kind, output, "test")


class FailingClaimant(Claimant):
    """It raises in each control cycle; `fails_off`: also when it makes its safe claims."""

    ESSENTIAL = True
    fails_off = False

    def before_control(self, now, dt):
        raise ValueError("test")

    def while_off(self, now, dt):
        if self.fails_off:
            raise ValueError("test")
        Claimant.before_control(self, now, dt)


def start_rig():
    """Return a rig with fans, pumps, interlock and two claimants, one before all components."""
    raw = make_config(rate_pct_per_s=5)
    raw["cooling"]["pumps"] = {}
    raw["safety"] = {
        "inputs": [{"name": "pan", "device": "cdu", "bit": "Leak", "kind": "leak_critical"}]
    }
    rig = FanRig(raw, (), make_models())
    rig.first, rig.last = Claimant(), Claimant()
    rig.first.agent = rig.last.agent = rig.agent
    rig.agent.components.insert(0, rig.first)
    rig.agent.components.append(rig.last)
    rig.run(8)
    return rig


def send_command(rig, name, **arguments):
    cooling = [c for c in rig.agent.components if name in c.COMMANDS][0]  # noqa: RUF015
    return cooling.handle_command(name, arguments, rig.now)


def output(rig, actuator):
    """Return the references of the drives or of the valve, percent."""
    registers = rig.devices.registers
    if actuator == VALVE:
        return [registers[VALVE_UNIT][0] / 100]
    return [
        registers[unit][1] / 200 if registers[unit][0] == RUN else 0 for unit in UNITS[actuator]
    ]


def check_output(rig, actuator, expected):
    rig.run(3)
    eq((actuator, output(rig, actuator)), (actuator, [expected] * len(UNITS[actuator])))
    decision = rig.agent.arbiters[actuator].decision
    eq((decision.output, decision.owner), (expected, "test"))


def release(rig):
    rig.first.claims = rig.last.claims = []
    rig.run(2)


def test_each_pair_of_exact_claims_on_each_actuator():
    rig = start_rig()
    for actuator in ACTUATORS:
        for high in range(1, len(RANKS)):
            for low in range(high + 1, len(RANKS)):
                winner, loser = (
                    (actuator, RANKS[high], EXACT, 35),
                    (actuator, RANKS[low], EXACT, 70),
                )
                rig.first.claims, rig.last.claims = [winner], [loser]
                check_output(rig, actuator, 35)
                rig.first.claims, rig.last.claims = [loser], [winner]
                check_output(rig, actuator, 35)
        release(rig)


def test_each_bound_against_each_exact_claim_on_each_actuator():
    rig = start_rig()
    for actuator in ACTUATORS:
        for bound in RANKS[1:]:
            for exact in RANKS[1:]:
                rig.first.claims = [(actuator, bound, AT_MOST, 40)]
                rig.last.claims = [(actuator, exact, EXACT, 70)]
                check_output(rig, actuator, 40 if bound >= exact else 70)
                rig.first.claims = [(actuator, exact, EXACT, 35)]
                rig.last.claims = [(actuator, bound, AT_LEAST, 60)]
                check_output(rig, actuator, 60 if bound >= exact else 35)
        release(rig)


def test_bound_on_the_loop_and_bumpless_return():
    rig = start_rig()
    before = output(rig, VALVE)
    for actuator in ACTUATORS:
        rig.first.claims = [(actuator, PROTECTION, AT_LEAST, 95)]
        check_output(rig, actuator, 95)
        rig.first.claims = [(actuator, PROTECTION, AT_MOST, 30)]
        rig.run(3)
        assert max(output(rig, actuator)) <= 30, output(rig, actuator)
        eq(rig.agent.arbiters[actuator].decision.is_loop, True)
        release(rig)
    assert before != [95], before


def test_lockout_sends_no_write_whatever_the_others_claim():
    for actuator in ACTUATORS:
        rig = start_rig()
        rig.first.claims = [(actuator, LOCKOUT, EXACT, 0)]
        rig.run(3)
        for rank in RANKS[1:]:
            rig.last.claims = [(actuator, rank, EXACT, 90)]
            rig.devices.writes = []
            rig.run(3)
            eq([w for w in rig.devices.writes if w[0] in UNITS[actuator]], [])
        eq(rig.agent.arbiters[actuator].decision.output, None)
        release(rig)
        rig.last.claims = [(actuator, MANUAL, EXACT, 55)]
        check_output(rig, actuator, 55)


def test_drive_in_local_mode_gets_no_write_and_its_value_stays():
    rig = start_rig()
    rig.set(LEAD, 2, 0)
    rig.set(FAN1, 2, 0)
    rig.run(2)
    rig.devices.writes = []
    rig.set(LEAD, 1, 1234)  # changed on the panel of the drive
    send_command(rig, "override", mode="hand", minutes=5, valve_pct=20, pump_pct=50)
    rig.run(15)
    eq(rig.take_writes(LEAD) + rig.take_writes(FAN1), [])
    eq((rig.devices.registers[LEAD][1], output(rig, PUMPS)[1]), (1234, 50))
    eq(rig.agent.arbiters[PUMPS].locked, ["lead"])
    eq(rig.agent.arbiters[FANS].locked, ["fan1"])
    rig.set(LEAD, 2, REMOTE)
    rig.run(3)
    eq(output(rig, PUMPS), [50, 50])


def test_all_drives_in_local_mode_lock_the_actuator():
    rig = start_rig()
    for unit in (LEAD, LAG):
        rig.set(unit, 2, 0)
    rig.run(2)
    rig.set(CDU, FLAGS, 1)  # a leak stops no drive in local mode
    rig.devices.writes = []
    rig.run(5)
    eq(rig.take_writes(LEAD) + rig.take_writes(LAG), [])
    eq(rig.agent.arbiters[PUMPS].decision.owner, "hand")
    eq(output(rig, VALVE), [0])


def test_leak_during_manual_mode_closes_the_valve_and_stops_the_pumps():
    rig = start_rig()
    send_command(rig, "override", mode="hand", minutes=5, valve_pct=80, pump_pct=50)
    rig.run(3)
    eq((output(rig, VALVE), output(rig, PUMPS)), ([80], [50, 50]))
    rig.agent.components.reverse()  # interlock first, then manual mode
    rig.set(CDU, FLAGS, 1)
    rig.run(3)
    eq((output(rig, VALVE), output(rig, PUMPS)), ([0], [0, 0]))
    eq(rig.agent.arbiters[VALVE].decision.reason, "leak_critical:pan")


OVERRIDES = (  # claims of another component, and whether they end `hand` with valve 20, pumps 50
    (((VALVE, INTERLOCK, EXACT, 100),), True),
    (((VALVE, INTERLOCK, EXACT, 100), (VALVE, INTERLOCK, AT_MOST, 2)), True),  # overheat, dew
    (((VALVE, INTERLOCK, EXACT, 20),), True),
    (((PUMPS, INTERLOCK, EXACT, 0),), True),
    (((PUMPS, INTERLOCK, AT_LEAST, 51),), True),  # no flow
    (((PUMPS, INTERLOCK, AT_LEAST, 50),), False),
    (((VALVE, INTERLOCK, AT_MOST, 0),), False),
    (((VALVE, PROTECTION, AT_LEAST, 90), (PUMPS, PROTECTION, AT_LEAST, 90)), False),
    (((PUMPS, LOCKOUT, EXACT, 0),), False),
    (((FANS, INTERLOCK, EXACT, 100),), False),
)


def test_an_interlock_that_takes_an_actuator_ends_hand_and_no_other_mode():
    rig = start_rig()
    manual = [c for c in rig.agent.components if c.POINTS][0].manual  # noqa: RUF015
    for mode in ("hand", "off", "fill", "vent", "drain"):
        for claims, ends in OVERRIDES:
            for claimant in (rig.first, rig.last):
                send_command(rig, "override", mode=mode, valve_pct=20, pump_pct=50)
                eq(manual.ended_by, "")
                rig.run(2)
                eq(manual.mode, mode)
                claimant.claims = list(claims)
                rig.run(3)
                ended = ends and mode == "hand"
                eq((mode, claims, manual.mode), (mode, claims, "auto" if ended else mode))
                eq(manual.ended_by, "test" if ended else "")
                release(rig)


def test_hand_with_enough_flow_is_possible_while_an_interlock_raises_the_pumps():
    rig = start_rig()
    manual = [c for c in rig.agent.components if c.POINTS][0].manual  # noqa: RUF015
    rig.first.claims = [(PUMPS, INTERLOCK, AT_LEAST, 90)]
    rig.run(2)
    for percent, mode in ((90, "hand"), (89, "auto")):
        send_command(rig, "override", mode="hand", valve_pct=20, pump_pct=percent)
        rig.run(3)
        eq((percent, manual.mode), (percent, mode))


def test_a_component_that_fails_makes_its_safe_claims_in_the_same_cycle():
    rig = start_rig()
    component = FailingClaimant()
    Component.__init__(component, rig.agent, {}, None)
    component.claims = [(PUMPS, INTERLOCK, EXACT, 0.0)]
    rig.agent.components[-1] = component
    rig.agent.config.components.extend([("test", None, None)] * 2)
    outputs = []
    arbiter = rig.agent.arbiters[PUMPS]
    decide = arbiter.decide

    def record(wanted):
        decision = decide(wanted)
        outputs.append(decision.output)
        return decision

    arbiter.decide = record
    rig.run(6)
    eq(set(outputs), {0.0})
    component.fails_off = True
    rig.run(6)  # no exception leaves the agent, and the loop goes on
    eq((len(outputs) >= 12, outputs[-1] > 0.0), (True, True))


def test_status_names_the_end_of_hand_and_a_trip_ends_it_again():
    rig = start_rig()
    rig.agent.components.remove(rig.first)  # the status counts the configured components
    send_command(rig, "override", mode="hand", minutes=5, valve_pct=20, pump_pct=50)
    rig.run(2)
    assert "ended_by" not in json.loads(rig.state.split(b"\0", 1)[1])["cooling"]
    rig.set(CDU, FLAGS, 1)
    rig.run(4)
    shown = json.loads(rig.state.split(b"\0", 1)[1])
    eq((shown["cooling"]["mode"], shown["cooling"]["ended_by"]), ("auto", "leak_critical:pan"))
    eq(actuator_lines(shown)[-1], "hand was ended by leak_critical:pan")
    send_command(rig, "override", mode="hand", valve_pct=20, pump_pct=50)
    rig.run(4)
    eq(rig.agent.arbiters[VALVE].override.reason, "leak_critical:pan")  # ended again
    rig.set(CDU, FLAGS, 0)
    rig.run(2)
    send_command(rig, "reset")
    rig.run(2)
    eq(
        (rig.agent.arbiters[VALVE].decision.owner, rig.agent.arbiters[PUMPS].decision.owner),
        ("loop", "loop"),
    )
    eq(send_command(rig, "override", mode="hand", valve_pct=20, pump_pct=50), "hand for 10 min")


def test_holder_is_in_status_and_telemetry():
    rig = start_rig()
    cooling = [c for c in rig.agent.components if c.POINTS][0]  # noqa: RUF015
    eq(cooling.values(rig.now), [10, 10])
    send_command(rig, "override", mode="drain", minutes=5)
    rig.set(CDU, FLAGS, 1)
    rig.run(3)
    eq(cooling.values(rig.now), [INTERLOCK, INTERLOCK])
    rig.run(2)
    shown = json.loads(rig.state.split(b"\0", 1)[1])
    lines = actuator_lines(shown)
    eq(lines[0], "valve 0.0 % by safety, leak_critical:pan; without effect: manual")
    eq(lines[2].split(" by ")[1], "loop")


def test_trip_during_a_proof_test_wins_over_the_stroke():
    rig = start_rig()
    eq(send_command(rig, "proof", what="valve"), "proof of valve begun")
    rig.run(2)
    eq(rig.agent.arbiters[VALVE].decision.owner, "proof")
    rig.set(CDU, FLAGS, 1)
    rig.run(2)
    decision = rig.agent.arbiters[VALVE].decision
    eq((decision.output, decision.owner, output(rig, VALVE)), (0, "safety", [0]))


def test_live_change_during_an_override_does_not_move_an_actuator():
    rig = start_rig()
    send_command(rig, "override", mode="hand", minutes=5, valve_pct=20, pump_pct=50)
    rig.run(3)
    rig.devices.writes = []
    config = rig.agent.running_config()
    config.supply.setpoint, config.supply.min_pct, config.pressure.setpoint = 20.0, 40.0, 200.0
    rig.agent.apply_live_config(config)
    rig.run(5)
    moved = [w for w in rig.devices.writes if w[0] in (VALVE_UNIT, LEAD, LAG)]
    eq((moved, output(rig, VALVE), output(rig, PUMPS)), ([], [20], [50, 50]))


def test_dew_bound_limits_manual_mode_and_the_fail_safe_position():
    rig = start_rig()
    rig.first.claims = [(VALVE, INTERLOCK, AT_MOST, 0)]
    send_command(rig, "override", mode="hand", minutes=5, valve_pct=100, pump_pct=50)
    check_output(rig, VALVE, 0)
    send_command(rig, "release")
    rig.devices.silent = {CDU}  # without a reading the loop requests its fail-safe position
    rig.run(10)
    eq((rig.agent.supply_loop.at_fail_safe, output(rig, VALVE)), (True, [0]))


def test_loop_does_not_wind_up_under_a_bound():
    rig = start_rig()
    law = rig.agent.supply_loop.cooling.feedforward
    integral = law._integral
    rig.set(CDU, 0, 330)  # too warm: the loop opens the valve
    rig.first.claims = [(VALVE, PROTECTION, AT_MOST, 30)]
    rig.run(120)
    eq(output(rig, VALVE), [30])
    eq(law._integral, integral)
    rig.set(CDU, 0, 315)
    rig.run(2)
    rig.set(CDU, 0, 305)  # too cold: the loop leaves the bound
    rig.run(40)
    assert output(rig, VALVE)[0] < 27, output(rig, VALVE)
