# SPDX-License-Identifier: Apache-2.0
"""Signed commands to components: their effect on the devices and in the audit log."""

from agent.control.law.proof_test import PASSED
from agent.port_numbers import RECEIVER
from tests.portable.agent.control.test_component import EXCHANGER, RoomRig, make_models
from tests.portable.support import power_rig
from tests.portable.support.agent_rig import LAG, LEAD, RUN, STOP, VALVE, epoch
from tests.portable.support.check import eq
from tests.portable.support.remote_rig import (
    COUNTER,
    LIMITER,
    OPERATOR,
    START_S,
    RemoteRig,
    command_result,
    make_command,
    reject_reason,
    remote_config,
)

BOTH = (OPERATOR, LIMITER)
SERVICE = power_rig.SERVICE + 1  # after the store of the section remote


class CoolingRemoteRig(RemoteRig):
    """A unit that accepts commands and has the component `cooling`."""

    process_outbox = RoomRig.process_outbox

    def __init__(self):
        raw = remote_config()
        raw["cooling"] = {"facility": "valve", "exchanger": dict(EXCHANGER), "pumps": {}}
        RemoteRig.__init__(self, raw, None, make_models())
        self.at = START_S
        self.run(8)

    def control_words(self):
        registers = self.devices.registers
        return registers[LEAD][0], registers[LAG][0]

    def command(self, name, *arguments, signers=(OPERATOR,)):
        """Sign and send a command, one second after the last one."""
        self.at += 1
        return command_result(self, make_command(name, arguments, signers, self.at)).split(" ", 1)[
            1
        ]


def test_override_needs_two_signatures_expires_and_is_logged():
    rig = CoolingRemoteRig()
    arguments = [("mode", "hand"), ("minutes", 1), ("valve_pct", 20), ("pump_pct", 50)]
    eq(reject_reason(rig, make_command("override", arguments)), "wrong_role")
    eq(rig.alarm_codes(), [])
    eq(rig.command("override", *arguments, signers=BOTH), "override: hand for 1 min")
    rig.run(3)
    registers = rig.devices.registers
    eq((registers[VALVE][0], registers[LEAD][1]), (2000, 10000))
    eq(rig.alarm_codes(), ["mode:hand"])
    rig.run(60)
    eq(rig.alarm_codes(), [])  # by itself
    eq(rig.agent.supervisor.state, "normal")
    log = rig.audit_entries()
    assert (BOTH, "command override", "taken") in log, log
    assert (BOTH, "done override", "hand for 1 min") in log, log
    assert ((), "refused", "wrong_role") in log, log


def test_an_override_ends_on_command():
    rig = CoolingRemoteRig()
    rig.command("override", ("mode", "drain"), ("minutes", 60), signers=BOTH)
    rig.run(3)
    eq((rig.alarm_codes(), rig.control_words()), (["mode:drain"], (STOP, STOP)))
    eq(rig.command("release"), "release: automatic")
    rig.run(8)
    eq((rig.alarm_codes(), rig.control_words()[0]), ([], RUN))
    assert ((OPERATOR,), "done release", "automatic") in rig.audit_entries()


def test_invalid_override_is_rejected_and_logged():
    rig = CoolingRemoteRig()
    data = make_command("override", [("mode", "fly"), ("minutes", 1)], BOTH)
    eq(reject_reason(rig, data), "out_of_range")
    eq(rig.alarm_codes(), [])
    done = [entry for entry in rig.audit_entries() if entry[1] == "done override"]
    eq(len(done), 1)
    assert done[0][2].startswith("out_of_range: mode: one of"), done


def test_the_lead_is_rotated_on_command():
    rig = CoolingRemoteRig()
    eq(rig.control_words(), (RUN, STOP))
    eq(rig.command("rotate"), "rotate: lead is lag")
    rig.run(40)
    eq(rig.control_words()[1], RUN)
    assert ((OPERATOR,), "done rotate", "lead is lag") in rig.audit_entries()


def test_valve_proof_test_on_command_reports_its_result():
    rig = CoolingRemoteRig()
    rest = rig.devices.registers[VALVE][0]
    result = rig.command("proof", ("what", "valve"))
    moved = []
    for _ in range(90):
        rig.run(1)
        moved.append(abs(rig.devices.registers[VALVE][0] - rest))
    assert max(moved) > 200, (result, max(moved))
    proven = [entry[1:3] for entry in rig.agent.components[1].manual.proofs.records]
    eq(proven, [("valve", PASSED)])
    assert [e for e in rig.audit_entries() if e[:2] == ((OPERATOR,), "done proof")], (
        rig.audit_entries()
    )


class LoadRemoteRig(RemoteRig):
    """A unit that accepts commands and has the component `throttle`, with two loads behind a
    service.
    """

    fill = power_rig.PowerRig.set_registers

    def __init__(self):
        raw = remote_config()
        strip = {"name": "strip", "bus": "bus", "unit": power_rig.PDU, "profile": "strip"}
        raw["devices"].append(strip)
        raw["throttle"] = power_rig.throttle_section(hold_s=10, step_s=5)
        raw["receiver"] = {"port": "serial:/dev/gnss?baud=115200"}
        self.bmc = power_rig.BmcModel(self)
        self.now = self.start = 0
        RemoteRig.__init__(self, raw, None, power_rig.make_models())
        self.fill()
        self.run(12)

    def perform(self, port, op, data):
        if port == SERVICE and op == "write":
            self.schedule(20_000, "receive", port, self.bmc.answer(data))
        else:
            RemoteRig.perform(self, port, op, data)


def test_loads_are_capped_on_command_and_released():
    rig = LoadRemoteRig()
    eq(rig.bmc.limits, {"gpu1": 10_000, "gpu2": 10_000})
    result = command_result(rig, make_command("shed", [("pct", 50)]))
    eq(result, "%d shed: loads may draw 50 %%" % COUNTER)
    rig.run(20)
    assert sum(rig.bmc.limits.values()) <= 12_000, rig.bmc.limits
    command_result(rig, make_command("shed", [("pct", 100)], counter_s=START_S + 1))
    rig.run(45)
    eq(rig.bmc.limits, {"gpu1": 10_000, "gpu2": 10_000})
    log = rig.audit_entries()
    assert ((OPERATOR,), "done shed", "loads may draw 50 %") in log, log
    eq(
        reject_reason(rig, make_command("shed", [("pct", "all")], counter_s=START_S + 2)),
        "out_of_range",
    )


def test_schedule_command_is_stored():
    rig = LoadRemoteRig()
    for second in range(20):  # 2026-11-24T06:00:00Z is START_S
        rig.run(1)
        rig.deliver("receive", RECEIVER, epoch("0600%02d" % second, "241126"))
    begins = START_S + 50
    entry = [("at_utc_s", begins), ("action", "cap_pct"), ("value", 50)]
    result = command_result(rig, make_command("schedule", entry))
    eq(result, "%d schedule: cap_pct 50 at %d" % (COUNTER, begins))
    wrong = [("at_utc_s", begins + 60), ("action", "dance"), ("value", 50)]
    eq(reject_reason(rig, make_command("schedule", wrong, counter_s=START_S + 1)), "out_of_range")
    for second in range(22, 55):
        rig.run(1)
        rig.deliver("receive", RECEIVER, epoch("0600%02d" % second, "241126"))
        if second not in (50, 51):
            eq((second, sum(rig.bmc.limits.values()) > 12_000), (second, second < 50))
    result = command_result(rig, make_command("schedule", [("cancel", 1)], counter_s=START_S + 2))
    assert result.endswith("0 entries forgotten"), result
    assert ((OPERATOR,), "done schedule", "cap_pct 50 at %d" % begins) in rig.audit_entries()
