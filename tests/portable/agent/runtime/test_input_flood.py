# SPDX-License-Identifier: Apache-2.0
"""Floods and single bytes on each input: no control cycle is late, no queue grows.

In virtual time. The tests count the steps of the loops, the missed ticks, and the stored data. The
I/O loop limits the computing time of a flood: it reads a few chunks of a port in each step. The
second half tests that with an agent that needs time for each call.
"""

from agent.port_numbers import BROKER, FIRST_BUS, RECEIVER
from agent.runtime.io_loop import MAX_CHUNKS, IoLoop
from protocols.time_units import MILLISECOND, SECOND
from tests.portable.support.agent_rig import AgentRig, RigLcg, config, epoch
from tests.portable.support.check import eq
from tests.portable.support.remote_rig import RemoteRig

LONG = ("test_a_flood_of_changes_delays_no_cycle_and_writes_little",)

SECONDS = 20
NOISE = RigLcg(7).bytes(512)
INPUTS = ((RECEIVER, "receiver"), (BROKER, "broker"), (FIRST_BUS, "bus"))


def count_steps(rig):
    """Count the steps of the supply loop, and the longest time between two in us."""
    stats = {"steps": 0, "gap": 0, "last": rig.now}
    step = rig.agent.supply_loop.step

    def counting(now, dt):
        stats["steps"] += 1
        stats["gap"] = max(stats["gap"], now - stats["last"])
        stats["last"] = now
        step(now, dt)

    rig.agent.supply_loop.step = counting
    return stats


def run_disturbed(port, piece, every_us, rig=None):
    """Run a unit while bytes arrive on `port` again and again."""
    rig = rig or AgentRig(config())
    rig.run(6)
    stats = count_steps(rig)
    missed = rig.agent.ticks.missed
    at = 0
    end = rig.now + SECONDS * SECOND
    while rig.now < end:
        rig.deliver("receive", port, piece(at))
        at += 1
        rig.run(every_us / SECOND)
    eq(rig.agent.ticks.missed, missed)
    assert stats["steps"] >= SECONDS - 1, stats
    assert stats["gap"] <= 2 * SECOND, stats  # a cycle, and one of delay
    return rig


def test_a_flood_of_noise_on_each_input_delays_no_cycle():
    for port, name in INPUTS:
        rig = run_disturbed(port, lambda i: NOISE[i % 256 : i % 256 + 256], 20 * MILLISECOND)
        if name != "bus":  # a jammed bus can be lost; its loops then use fail-safe outputs
            eq((name, rig.agent.supervisor.state), (name, "normal"))


def test_single_bytes_on_each_input_delay_no_cycle():
    for port, name in INPUTS:
        rig = run_disturbed(port, lambda i: NOISE[i % 512 : i % 512 + 1], 10 * MILLISECOND)
        if name != "bus":
            eq((name, rig.agent.supervisor.state), (name, "normal"))


def test_ten_times_the_messages_on_each_input_delay_no_cycle():
    fix = epoch("060000", "241126")
    rig = run_disturbed(RECEIVER, lambda _: fix, 100 * MILLISECOND)
    eq(rig.agent.supervisor.state, "normal")
    packet = b"\x30\x0c\x00\x0acoldloop/x"  # messages on a topic without a subscription
    rig = run_disturbed(BROKER, lambda _: packet * 10, 100 * MILLISECOND)
    eq(rig.agent.supervisor.state, "normal")


def test_a_flood_of_changes_delays_no_cycle_and_writes_little():
    topic = b"coldloop/v1/s1/u1/cfg/desired"

    def message(at):
        body = bytes((0, len(topic))) + topic + b"\0\x07" + b"nonsense %06d" % at
        return bytes((0x32, len(body))) + body

    rig = run_disturbed(BROKER, message, 10 * MILLISECOND, RemoteRig())
    eq((rig.agent.supervisor.state, rig.manager.accepted_count), ("normal", 0))
    assert rig.manager.rejections.count > 1000, rig.manager.rejections.count
    assert rig.store.writes <= 3, rig.store.writes
    reports = [1 for _, name, _ in rig.broker.published if name.endswith("cfg/reported")]
    assert len(reports) <= 6, len(reports)


def test_unfinished_packet_closes_the_broker():
    rig = AgentRig(config())
    rig.run(6)
    rig.deliver("receive", BROKER, b"\x30\xff\x3f\x00")  # 8 KiB are announced
    rig.broker.is_silent = True
    opens = len([1 for _, port in rig.open_requests if port == BROKER])
    rig.run(120)
    assert len([1 for _, port in rig.open_requests if port == BROKER]) > opens
    eq(rig.agent.supervisor.state, "normal")


class EndlessPort:
    """A port with unlimited data."""

    pollable, wants_write, age_us, read_empties_input, max_write = 1, False, 0, False, 4096

    def continue_open(self):
        return True

    def read(self):
        return bytes(1024)

    def write(self, data):
        return len(data)

    def is_drained(self):
        return True

    def is_sent(self):
        return True

    def close(self):
        pass


class SlowAgent:
    """An agent with four ports; each chunk costs 2 ms; a tick each 100 ms."""

    def __init__(self, clock):
        self.clock = clock
        self.due = clock.now + 100 * MILLISECOND
        self.max_late_us = 0
        self.out = [(port, "open", b"tcp:h:1") for port in range(4)]

    def receive(self, port, data, now):
        self.clock.now += 2 * MILLISECOND

    def event(self, port, kind, now):
        pass

    def wake(self, now):
        self.max_late_us = max(self.max_late_us, now - self.due)
        self.due = now + 100 * MILLISECOND  # like the ticks: missed ones are skipped

    def deadline(self):
        return self.due

    def outbox(self):
        out, self.out = self.out, []
        return out


class VirtualPlatform:
    """The platform: time passes with the work of the agent and by waiting."""

    def __init__(self):
        self.now = SECOND

    def clock(self):
        return self.now

    def wait(self, deadline):
        self.now += 10
        return [0, 1, 2, 3]

    def wake(self):
        pass

    def watch(self, number, pollable, write):
        pass

    def unwatch(self, number):
        pass


def test_four_busy_ports_do_not_delay_ticks():
    platform = VirtualPlatform()
    agent = SlowAgent(platform)
    io_loop = IoLoop(agent, {"tcp": lambda *_: EndlessPort()}, platform, lambda _: None)
    io_loop.run(lambda: platform.now > 20 * SECOND)
    # In a step each port gives MAX_CHUNKS chunks; a control cycle is one second.
    assert agent.max_late_us <= 4 * MAX_CHUNKS * 2 * MILLISECOND + 100, agent.max_late_us
    assert agent.max_late_us < SECOND
