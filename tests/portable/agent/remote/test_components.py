"""Commands to the parts, signed: what is asked for is seen at the devices, and is in the log."""

from agent.agent import RECEIVER
from agent.control.law.proof_test import PASSED
from tests.portable.agent.control.test_component import EXCHANGER, Rooms, models
from tests.portable.support import power_rig
from tests.portable.support.agent_rig import LAG, LEAD, RUN, STOP, VALVE, epoch
from tests.portable.support.check import eq
from tests.portable.support.remote_rig import (
    COUNTER,
    LIMITER,
    OPERATOR,
    START_S,
    RemoteRig,
    a_command,
    obeyed,
    refused,
    remote_config,
)

HEAP = "1024wK"
BOTH = (OPERATOR, LIMITER)
SERVICE = power_rig.SERVICE + 1  # after the store of the section remote


class CoolingRig(RemoteRig):
    """A unit that takes commands and has the part `cooling`."""

    carry_out = Rooms.carry_out

    def __init__(self):
        raw = remote_config()
        raw["cooling"] = {"facility": "valve", "exchanger": dict(EXCHANGER), "pumps": {}}
        RemoteRig.__init__(self, raw, None, models())
        self.at = START_S
        self.run(8)

    def words(self):
        registers = self.slaves.registers
        return registers[LEAD][0], registers[LAG][0]

    def command(self, name, *arguments, signers=(OPERATOR,)):
        """Sign and send a command, one second later than the last."""
        self.at += 1
        return obeyed(self, a_command(name, arguments, signers, self.at)).split(" ", 1)[1]


def test_an_override_is_signed_by_two_held_for_its_time_and_logged():
    rig = CoolingRig()
    arguments = [("mode", "hand"), ("minutes", 1), ("valve_pct", 20), ("pump_pct", 50)]
    eq(refused(rig, a_command("override", arguments)), "wrong_role")
    eq(rig.codes(), [])
    eq(rig.command("override", *arguments, signers=BOTH), "override: hand for 1 min")
    rig.run(3)
    registers = rig.slaves.registers
    eq((registers[VALVE][0], registers[LEAD][1]), (2000, 10000))
    eq(rig.codes(), ["mode:hand"])
    rig.run(60)
    eq(rig.codes(), [])  # by itself
    eq(rig.agent.supervisor.state, "normal")
    log = rig.logged()
    assert (BOTH, "command override", "taken") in log, log
    assert (BOTH, "done override", "hand for 1 min") in log, log
    assert ((), "refused", "wrong_role") in log, log


def test_an_override_ends_on_command():
    rig = CoolingRig()
    rig.command("override", ("mode", "drain"), ("minutes", 60), signers=BOTH)
    rig.run(3)
    eq((rig.codes(), rig.words()), (["mode:drain"], (STOP, STOP)))
    eq(rig.command("release"), "release: automatic")
    rig.run(8)
    eq((rig.codes(), rig.words()[0]), ([], RUN))
    assert ((OPERATOR,), "done release", "automatic") in rig.logged()


def test_an_override_that_cannot_be_is_refused_and_logged():
    rig = CoolingRig()
    data = a_command("override", [("mode", "fly"), ("minutes", 1)], BOTH)
    eq(refused(rig, data), "out_of_range")
    eq(rig.codes(), [])
    done = [entry for entry in rig.logged() if entry[1] == "done override"]
    eq(len(done), 1)
    assert done[0][2].startswith("out_of_range: mode: one of"), done


def test_the_lead_is_rotated_on_command():
    rig = CoolingRig()
    eq(rig.words(), (RUN, STOP))
    eq(rig.command("rotate"), "rotate: lead is lag")
    rig.run(40)
    eq(rig.words()[1], RUN)
    assert ((OPERATOR,), "done rotate", "lead is lag") in rig.logged()


def test_a_valve_is_proven_on_command_and_the_result_is_seen():
    rig = CoolingRig()
    rest = rig.slaves.registers[VALVE][0]
    said = rig.command("proof", ("what", "valve"))
    moved = []
    for _ in range(90):
        rig.run(1)
        moved.append(abs(rig.slaves.registers[VALVE][0] - rest))
    assert max(moved) > 200, (said, max(moved))
    proven = [entry[1:3] for entry in rig.agent.parts[1].hand.proofs.records]
    eq(proven, [("valve", PASSED)])
    assert [e for e in rig.logged() if e[:2] == ((OPERATOR,), "done proof")], rig.logged()


class LoadRig(RemoteRig):
    """A unit that takes commands and has the part `throttle`, with two loads behind a service."""

    fill = power_rig.ThrottleRig.fill

    def __init__(self):
        raw = remote_config()
        strip = {"name": "strip", "bus": "bus", "unit": power_rig.PDU, "profile": "strip"}
        raw["devices"].append(strip)
        raw["throttle"] = power_rig.section(hold_s=10, step_s=5)
        raw["receiver"] = {"port": "serial:/dev/gnss?baud=115200"}
        self.bmc = power_rig.Bmc(self)
        self.now = self.start = 0
        RemoteRig.__init__(self, raw, None, power_rig.models())
        self.fill()
        self.run(12)

    def act(self, port, op, data):
        if port == SERVICE and op == "write":
            self.later(20_000, "receive", port, self.bmc.answer(data))
        else:
            RemoteRig.act(self, port, op, data)


def test_loads_are_shed_on_command_and_let_go_again():
    rig = LoadRig()
    eq(rig.bmc.limits, {"gpu1": 10_000, "gpu2": 10_000})
    said = obeyed(rig, a_command("shed", [("pct", 50)]))
    eq(said, "%d shed: loads may draw 50 %%" % COUNTER)
    rig.run(20)
    assert sum(rig.bmc.limits.values()) <= 12_000, rig.bmc.limits
    obeyed(rig, a_command("shed", [("pct", 100)], counter_s=START_S + 1))
    rig.run(45)
    eq(rig.bmc.limits, {"gpu1": 10_000, "gpu2": 10_000})
    log = rig.logged()
    assert ((OPERATOR,), "done shed", "loads may draw 50 %") in log, log
    eq(refused(rig, a_command("shed", [("pct", "all")], counter_s=START_S + 2)), "out_of_range")


def test_a_timetable_is_kept_on_command():
    rig = LoadRig()
    for second in range(20):  # 2026-11-24T06:00:00Z is START_S
        rig.run(1)
        rig.give("receive", RECEIVER, epoch("0600%02d" % second, "241126"))
    begins = START_S + 50
    entry = [("at_utc_s", begins), ("action", "cap_pct"), ("value", 50)]
    said = obeyed(rig, a_command("schedule", entry))
    eq(said, "%d schedule: cap_pct 50 at %d" % (COUNTER, begins))
    wrong = [("at_utc_s", begins + 60), ("action", "dance"), ("value", 50)]
    eq(refused(rig, a_command("schedule", wrong, counter_s=START_S + 1)), "out_of_range")
    for second in range(22, 55):
        rig.run(1)
        rig.give("receive", RECEIVER, epoch("0600%02d" % second, "241126"))
        if second not in (50, 51):
            eq((second, sum(rig.bmc.limits.values()) > 12_000), (second, second < 50))
    said = obeyed(rig, a_command("schedule", [("cancel", 1)], counter_s=START_S + 2))
    assert said.endswith("0 entries forgotten"), said
    assert ((OPERATOR,), "done schedule", "cap_pct 50 at %d" % begins) in rig.logged()
