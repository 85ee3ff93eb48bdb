"""Commands from operators: done once, with a result, or refused with a reason."""

from agent.core.component import Part
from agent.core.errors import Decommissioned, OrderError
from agent.remote.decommission import places
from agent.remote.message.command import ROLES
from agent.remote.message.parameters import LIMITS
from agent.remote.storage.audit import SEGMENTS, Walk
from agent.remote.storage.config_slots import unsealed
from agent.remote.update.boot import ENDED
from tests.portable.support.check import eq, raises
from tests.portable.support.remote_rig import (
    COUNTER,
    HOUR,
    LIMITER,
    OPERATOR,
    START_S,
    RemoteRig,
    a_command,
    obeyed,
    refused,
    remote_config,
    running,
)

HEAP = "512wK"


class Doer(Part):
    """A part that knows two commands."""

    def __init__(self, agent):
        Part.__init__(self, agent, {}, -1)
        self.done = []

    def order(self, name, arguments, now):
        if name not in ("rotate", "override"):
            return None
        if arguments.get("pump") == "none":
            raise OrderError("pump: lead or lag")
        self.done.append((name, arguments.pairs))
        return "lead is lag"


def test_commands_are_done_once():
    rig = running()
    doer = Doer(rig.agent)
    rig.agent.parts.append(doer)
    data = a_command("rotate", [("pump", "lead")])
    eq(obeyed(rig, data), "%d rotate: lead is lag" % COUNTER)
    eq(refused(rig, data), "replay")
    eq(doer.done, [("rotate", [("pump", "lead")])])
    eq(refused(rig, a_command("rotate", counter_s=START_S - 1)), "rollback")
    eq(refused(rig, a_command("rotate", [("pump", "none")], counter_s=START_S + 1)), "out_of_range")
    eq(rig.desk.results[-1], "%d rotate: out_of_range: pump: lead or lag" % (COUNTER + 1))


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
    assert "acknowledged: leak_critical:pan" in obeyed(rig, a_command("acknowledge", counter_s=at))
    eq(refused(rig, a_command("reset", counter_s=at + 1)), "out_of_range")  # still wet
    rig.set(1, 4, 0)
    rig.run(3)
    assert "reset: leak_critical:pan" in obeyed(rig, a_command("reset", counter_s=at + 2))
    rig.run(5)
    eq(rig.agent.supervisor.state, "normal")


def test_a_command_is_not_done_again_after_a_power_cut():
    whole = running()
    writes = whole.store.writes
    obeyed(whole, a_command("rotate"))
    done = []
    for cut in range(writes, whole.store.writes + 1):
        rig = RemoteRig()
        first = Doer(rig.agent)
        rig.agent.parts.append(first)
        rig.store.cut = cut
        rig.run(2)
        rig.send(a_command("rotate"))
        rig.run(1)
        rig.store.cut = None
        again = RemoteRig(store=rig.store)
        second = Doer(again.agent)
        again.agent.parts.append(second)
        again.run(2)
        again.send(a_command("rotate"))
        again.run(1)
        assert len(first.done) + len(second.done) <= 1
        done.append(len(first.done) + len(second.done))
    eq((min(done), max(done)), (0, 1)) if 0 in done else eq(max(done), 1)


def test_what_no_part_does_is_unsupported():
    rig = running()
    at = START_S
    for name, role in ROLES:
        if name in ("confirm", "rollback", "restart", "fetch", "capture", "decommission"):
            continue
        at += 1
        signers = (OPERATOR, LIMITER) if role == LIMITS else (OPERATOR,)
        eq((name, refused(rig, a_command(name, (), signers, at))), (name, "unsupported"))
    eq(refused(rig, a_command("dance", (), (OPERATOR, LIMITER), at + 1)), "unknown_key")


def test_each_command_needs_its_role():
    rig = running()
    rig.agent.parts.append(Doer(rig.agent))
    eq(refused(rig, a_command("restart")), "wrong_role")
    eq(refused(rig, a_command("override")), "wrong_role")
    eq(refused(rig, a_command("dance")), "wrong_role")
    obeyed(rig, a_command("override", (), (OPERATOR, LIMITER)))
    rig.send(a_command("restart", (), (OPERATOR, LIMITER), START_S + 1))
    rig.run(1)
    eq(rig.restarts, 1)


def test_a_command_too_late_is_not_done():
    rig = running()
    rig.agent.clock.utc = lambda _: (START_S + HOUR) * 1_000_000
    rig.agent.clock.state = lambda _: "sync"
    eq(refused(rig, a_command("rotate", minutes=60)), "expired")
    eq(refused(rig, a_command("rotate", minutes=61)), "unsupported")


def published(rig):
    """What was published of records: {key: data}."""
    found = {}
    for _, topic, payload in rig.broker.published:
        if "/cfg/record/" in topic:
            found[topic.split("/")[-1]] = payload
    return found


def test_the_log_is_exported_when_asked_for():
    rig = running()
    obeyed(rig, a_command("fetch"))
    rig.run(3)
    found = published(rig)
    eq(len(found), SEGMENTS)
    eq([entry[3] for entry in Walk(found["audit.0"]).entries], ["command fetch", "done fetch"])
    eq(found["audit.1"], b"")
    eq(refused(rig, a_command("fetch", [("what", "keys")], counter_s=START_S + 1)), "out_of_range")


def test_raw_bytes_of_a_port_are_captured():
    rig = running()
    eq(
        obeyed(rig, a_command("capture", [("port", "bus"), ("seconds", 3)])),
        "%d capture: capturing bus for 3 s" % COUNTER,
    )
    late = rig.agent.ticks.missed
    rig.run(4)
    assert rig.desk.results[-1].startswith("captured: "), rig.desk.results
    eq((rig.agent.supervisor.state, rig.agent.ticks.missed), ("normal", late))
    text = rig.store.records["capture.0"].decode()
    lines = [line.split() for line in text.splitlines()]
    eq(sorted({line[1] for line in lines}), ["<", ">"])
    assert len(lines) > 10
    assert [line for line in lines if line[2].startswith("0103")], lines[0]  # a read of the CDU
    rig.run(2)
    eq(rig.store.records["capture.0"].decode(), text)
    obeyed(rig, a_command("fetch", [("what", "capture")], counter_s=START_S + 1))
    rig.run(3)
    eq(published(rig)["capture.0"].decode(), text)


def ending(store=None, cut=None):
    """A unit that is told to end, its power cut at the write `cut`."""
    rig = RemoteRig(store=store)
    rig.run(6)
    rig.store.cut = cut
    rig.send(a_command("decommission", (), (OPERATOR, LIMITER)))
    rig.run(3)
    return rig


def test_a_unit_ends_on_command_by_two_with_a_last_word():
    rig = running()
    eq(refused(rig, a_command("decommission")), "wrong_role")
    rig = ending()
    eq(rig.restarts, 1)
    said = [(topic, payload) for _, topic, payload in rig.broker.published if "/cfg/" in topic]
    last = [p for t, p in said if t.endswith("cfg/reported")][-1]
    log = rig.desk.keeper.audit
    assert (
        '"audit":[%d,"%s"],"decommissioned":true' % (log.number, log.head.hex())
    ).encode() in last
    eq([p for t, p in said if t.endswith("cfg/config")][-1], b"")
    eq(rig.logged()[-1], ((OPERATOR, LIMITER), "done decommission", "erases itself and ends"))
    kept = unsealed(rig.store.read(ENDED))
    eq((kept[0], kept[2], kept[3]), ("s1/u1", log.number, log.head))
    raises(Decommissioned, RemoteRig, None, rig.store)


def test_a_unit_that_reaches_nobody_ends_all_the_same():
    rig = running()
    rig.broker.acks = rig.agent.uplink.connected = False
    rig.send(a_command("decommission", (), (OPERATOR, LIMITER)))
    rig.run(30)
    eq(rig.restarts, 0)
    rig.run(40)
    eq(rig.restarts, 1)


def test_a_unit_whose_power_is_cut_at_its_end_runs_or_has_ended():
    first = running().store.writes
    last = ending().store.writes
    ends = []
    for cut in range(first, last + 1):
        rig = ending(cut=cut)
        rig.store.cut = None
        try:
            RemoteRig(store=rig.store).run(3)
            ends.append(False)
        except Decommissioned:
            ends.append(True)
    eq(ends, [False] * (last - first) + [True])


def test_what_a_unit_erases_is_what_its_configuration_names():
    raw = {"remote": {"port": "store:/a"}, "state": "store:/run/x", "list": [{"p": "store:/b"}]}
    raw["broker"] = {"address": "tls:h:1?ca=/c.pem&cert=/u.pem&key=/u.key", "site": "store:"}
    folders, files = places(raw)
    eq((sorted(folders), files), (["/a", "/b", "/run/x"], ["/u.key"]))


def test_a_capture_is_bounded():
    rig = running()
    for arguments in ([], [("port", "console")], [("port", "bus"), ("seconds", 601)]):
        at = START_S + len(arguments)
        eq(refused(rig, a_command("capture", arguments, counter_s=at)), "out_of_range")
    obeyed(rig, a_command("capture", [("port", "bus"), ("seconds", 600)], counter_s=START_S + 9))
    eq(refused(rig, a_command("capture", [("port", "bus")], counter_s=START_S + 10)), "busy")
    rig.run(150)
    assert rig.desk.results[-1].startswith("captured: "), rig.desk.results
    sizes = [len(data) for key, data in rig.store.records.items() if key.startswith("capture.")]
    assert len(sizes) <= 8
    assert max(sizes) <= 4096
