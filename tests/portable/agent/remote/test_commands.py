# SPDX-License-Identifier: Apache-2.0
"""Commands of operators: executed once with a result, or rejected with a reason."""

from agent.core.component.base import Component
from agent.core.errors import CommandError, DecommissionedError
from agent.core.tunable import LIMITS
from agent.remote.decommission import secret_paths
from agent.remote.message.command import ROLES
from agent.remote.storage.audit import SEGMENTS, AuditReader
from agent.remote.storage.config_slots import decode_hashed
from agent.remote.update.boot import DECOMMISSIONED_KEY
from protocols.cbor import Decimal
from tests.portable.support.check import eq, raises
from tests.portable.support.remote_rig import (
    COUNTER,
    HOUR,
    LIMITER,
    OPERATOR,
    SETPOINT,
    START_S,
    RemoteRig,
    command_result,
    make_command,
    make_patch,
    reject_reason,
    remote_config,
    start_rig,
)

LONG = (
    "test_power_cut_during_decommission",
    "test_command_is_not_repeated_after_a_power_cut",
)


class CommandRecorder(Component):
    """A component with two commands."""

    COMMANDS = ("rotate", "override")

    def __init__(self, agent):
        Component.__init__(self, agent, {}, -1)
        self.done = []

    def handle_command(self, name, arguments, now):
        if arguments.get("pump") == "none":
            raise CommandError("pump: lead or lag")
        self.done.append((name, arguments.pairs))
        return "lead is lag"


def test_commands_are_executed_once():
    rig = start_rig()
    recorder = CommandRecorder(rig.agent)
    rig.agent.components.append(recorder)
    data = make_command("rotate", [("pump", "lead")])
    eq(command_result(rig, data), "%d rotate: lead is lag" % COUNTER)
    eq(reject_reason(rig, data), "replay")
    eq(recorder.done, [("rotate", [("pump", "lead")])])
    eq(reject_reason(rig, make_command("rotate", counter_s=START_S - 1)), "rollback")
    eq(
        reject_reason(rig, make_command("rotate", [("pump", "none")], counter_s=START_S + 1)),
        "out_of_range",
    )
    eq(rig.manager.results[-1], "%d rotate: out_of_range: pump: lead or lag" % (COUNTER + 1))


class TuningRecorder(CommandRecorder):
    """A component with the command `autotune`."""

    COMMANDS = ("autotune",)


def test_autotune_is_rejected_during_a_trial():
    rig = start_rig()
    rig.agent.components.append(TuningRecorder(rig.agent))
    rig.send(make_patch(rig, [(SETPOINT, Decimal(325, 1))]))
    rig.run(2)
    data = make_command("autotune", counter_s=START_S + 1)
    eq(reject_reason(rig, data), "busy")
    rig.send(make_command("rollback", counter_s=START_S + 2))
    rig.run(5)
    data = make_command("autotune", counter_s=START_S + 3)
    assert "autotune: lead is lag" in command_result(rig, data)


def test_a_latched_leak_is_acknowledged_and_reset_by_signed_commands():
    raw = remote_config()
    leak = {"name": "pan", "device": "cdu", "bit": "Leak", "kind": "leak_critical", "delay_s": 2}
    raw["safety"] = {"inputs": [leak]}
    rig = RemoteRig(raw)
    rig.run(8)
    rig.set(1, 4, 1)
    rig.run(6)
    eq(rig.agent.supervisor.state, "stopped")
    at = START_S + 1
    assert "acknowledged: leak_critical:pan" in command_result(
        rig, make_command("acknowledge", counter_s=at)
    )
    # the input is still active
    eq(reject_reason(rig, make_command("reset", counter_s=at + 1)), "out_of_range")
    rig.set(1, 4, 0)
    rig.run(3)
    assert "reset: leak_critical:pan" in command_result(
        rig, make_command("reset", counter_s=at + 2)
    )
    rig.run(5)
    eq(rig.agent.supervisor.state, "normal")


def test_command_is_not_repeated_after_a_power_cut():
    whole = start_rig()
    writes = whole.store.writes
    command_result(whole, make_command("rotate"))
    done = []
    for cut in range(writes, whole.store.writes + 1):
        rig = RemoteRig()
        first = CommandRecorder(rig.agent)
        rig.agent.components.append(first)
        rig.store.cut_at_write = cut
        rig.run(2)
        rig.send(make_command("rotate"))
        rig.run(1)
        rig.store.cut_at_write = None
        again = RemoteRig(store=rig.store)
        second = CommandRecorder(again.agent)
        again.agent.components.append(second)
        again.run(2)
        again.send(make_command("rotate"))
        again.run(1)
        assert len(first.done) + len(second.done) <= 1
        done.append(len(first.done) + len(second.done))
    eq((min(done), max(done)), (0, 1)) if 0 in done else eq(max(done), 1)


def test_command_without_component_is_unsupported():
    rig = start_rig()
    at = START_S
    for name, role in ROLES:
        if name in (
            "confirm",
            "rollback",
            "cancel",
            "restart",
            "epoch",
            "suspend",
            "resume",
            "fetch",
            "capture",
            "decommission",
        ):
            continue
        at += 1
        signers = (OPERATOR, LIMITER) if role == LIMITS else (OPERATOR,)
        eq((name, reject_reason(rig, make_command(name, (), signers, at))), (name, "unsupported"))
    eq(reject_reason(rig, make_command("dance", (), (OPERATOR, LIMITER), at + 1)), "unknown_key")


def test_each_command_requires_its_role():
    rig = start_rig()
    rig.agent.components.append(CommandRecorder(rig.agent))
    eq(reject_reason(rig, make_command("restart")), "wrong_role")
    eq(reject_reason(rig, make_command("override")), "wrong_role")
    eq(reject_reason(rig, make_command("dance")), "wrong_role")
    command_result(rig, make_command("override", (), (OPERATOR, LIMITER)))
    rig.send(make_command("restart", (), (OPERATOR, LIMITER), START_S + 1))
    rig.run(1)
    eq(rig.restarts, 1)


def test_expired_command_is_rejected():
    rig = start_rig()
    rig.agent.clock.utc = lambda _: (START_S + HOUR) * 1_000_000
    rig.agent.clock.state = lambda _: "sync"
    eq(reject_reason(rig, make_command("rotate", minutes=60)), "expired")
    eq(reject_reason(rig, make_command("rotate", minutes=61)), "unsupported")


def published_records(rig):
    """Return the published records: {key: data}."""
    found = {}
    for _, topic, payload in rig.broker.published:
        if "/cfg/record/" in topic:
            found[topic.split("/")[-1]] = payload
    return found


def test_audit_log_is_exported_on_command():
    rig = start_rig()
    command_result(rig, make_command("fetch"))
    rig.run(3)
    found = published_records(rig)
    eq(len(found), SEGMENTS)
    eq(
        [entry[3] for entry in AuditReader(found["audit.0"]).entries],
        ["command fetch", "done fetch"],
    )
    eq(found["audit.1"], b"")
    eq(
        reject_reason(rig, make_command("fetch", [("what", "keys")], counter_s=START_S + 1)),
        "out_of_range",
    )


def test_raw_bytes_of_a_port_are_captured():
    rig = start_rig()
    eq(
        command_result(rig, make_command("capture", [("port", "bus"), ("seconds", 3)])),
        "%d capture: capturing bus for 3 s" % COUNTER,
    )
    late = rig.agent.ticks.missed
    rig.run(4)
    assert rig.manager.results[-1].startswith("captured: "), rig.manager.results
    eq((rig.agent.supervisor.state, rig.agent.ticks.missed), ("normal", late))
    text = rig.store.records["capture.0"].decode()
    lines = [line.split() for line in text.splitlines()]
    eq(sorted({line[1] for line in lines}), ["<", ">"])
    assert len(lines) > 10
    # a read request to the CDU
    assert [line for line in lines if line[2].startswith("0103")], lines[0]
    rig.run(2)
    eq(rig.store.records["capture.0"].decode(), text)
    command_result(rig, make_command("fetch", [("what", "capture")], counter_s=START_S + 1))
    rig.run(3)
    eq(published_records(rig)["capture.0"].decode(), text)


def decommission(store=None, cut=None):
    """Decommission a unit and cut its power at the write `cut`."""
    rig = RemoteRig(store=store)
    rig.run(6)
    rig.store.cut_at_write = cut
    rig.send(make_command("decommission", (), (OPERATOR, LIMITER)))
    rig.run(3)
    return rig


def test_decommission_needs_two_signatures_and_sends_a_final_report():
    rig = start_rig()
    eq(reject_reason(rig, make_command("decommission")), "wrong_role")
    rig = decommission()
    eq(rig.restarts, 1)
    messages = [(topic, payload) for _, topic, payload in rig.broker.published if "/cfg/" in topic]
    last = [p for t, p in messages if t.endswith("cfg/reported")][-1]
    log = rig.manager.write_queue.audit
    assert (
        '"audit":[%d,"%s"],"decommissioned":true' % (log.number, log.head.hex())
    ).encode() in last
    eq([p for t, p in messages if t.endswith("cfg/config")][-1], b"")
    eq(
        rig.audit_entries()[-1],
        ((OPERATOR, LIMITER), "done decommission", "erases itself and ends"),
    )
    kept = decode_hashed(rig.store.read(DECOMMISSIONED_KEY))
    eq((kept[0], kept[2], kept[3]), ("s1/u1", log.number, log.head))
    raises(DecommissionedError, RemoteRig, None, rig.store)


def test_decommission_without_a_broker():
    rig = start_rig()
    rig.broker.acknowledges = rig.agent.uplink.connected = False
    rig.send(make_command("decommission", (), (OPERATOR, LIMITER)))
    rig.run(30)
    eq(rig.restarts, 0)
    rig.run(40)
    eq(rig.restarts, 1)


def test_power_cut_during_decommission():
    first = start_rig().store.writes
    last = decommission().store.writes
    ends = []
    for cut in range(first, last + 1):
        rig = decommission(cut=cut)
        rig.store.cut_at_write = None
        try:
            RemoteRig(store=rig.store).run(3)
            ends.append(False)
        except DecommissionedError:
            ends.append(True)
    eq(ends, [False] * (last - first) + [True])


def test_erased_paths_come_from_the_configuration():
    raw = {"remote": {"port": "store:/a"}, "state": "store:/run/x", "list": [{"p": "store:/b"}]}
    raw["broker"] = {"address": "tls:h:1?ca=/c.pem&cert=/u.pem&key=/u.key", "site": "store:"}
    folders, files = secret_paths(raw)
    eq((sorted(folders), files), (["/a", "/b", "/run/x"], ["/u.key"]))


def test_paths_are_taken_down_to_a_depth_of_six():
    for depth, found in ((6, ["/a"]), (7, [])):
        for wrap in (lambda inner: {"x": inner}, lambda inner: [inner]):
            raw = "store:/a"
            for _ in range(depth):
                raw = wrap(raw)
            eq((depth, secret_paths(raw)), (depth, (found, [])))


def test_a_capture_is_bounded():
    rig = start_rig()
    for arguments in ([], [("port", "console")], [("port", "bus"), ("seconds", 601)]):
        at = START_S + len(arguments)
        eq(reject_reason(rig, make_command("capture", arguments, counter_s=at)), "out_of_range")
    command_result(
        rig, make_command("capture", [("port", "bus"), ("seconds", 600)], counter_s=START_S + 9)
    )
    eq(
        reject_reason(rig, make_command("capture", [("port", "bus")], counter_s=START_S + 10)),
        "busy",
    )
    rig.run(150)
    assert rig.manager.results[-1].startswith("captured: "), rig.manager.results
    sizes = [len(data) for key, data in rig.store.records.items() if key.startswith("capture.")]
    assert len(sizes) <= 8
    assert max(sizes) <= 4096
