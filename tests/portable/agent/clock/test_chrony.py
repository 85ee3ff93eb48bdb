# SPDX-License-Identifier: Apache-2.0
"""Time samples for chronyd, times without samples, and the sections `pps` and `chrony`."""

import struct

from agent.agent import Agent
from agent.clock.chrony import RefClock
from agent.config.load import load
from agent.core.errors import ConfigError
from agent.core.tick_scheduler import TickScheduler
from agent.port_numbers import FIRST_BUS
from protocols.time_units import SECOND
from tests.portable.support.agent_rig import config, profiles
from tests.portable.support.check import eq, raises
from tests.portable.support.reference_time import UTC, ClockRig, synced_leap_clock

PORT = 7
TICK = 100_000


class AgentStub:
    """The parts of the agent that the component needs."""

    def __init__(self, clock):
        self.clock = clock
        self.ticks = TickScheduler(TICK, 0, 10)


def synced_component():
    bench = ClockRig(synced_leap_clock(), 1)
    bench.run(60, ticks=1)
    component = RefClock(AgentStub(bench.clock), {"bound_ms": 100}, PORT)
    component.event("opened", 0)
    return bench, component


def run_seconds(bench, component, count):
    """Run for seconds; return the samples."""
    sent = []
    for _ in range(count):
        bench.run(1)
        for i in range(10):
            component.tick(bench.mono_ns // 1000 + i * TICK)
        sent.extend(component.outbox())
    return sent


def test_one_sample_per_second_with_its_utc():
    bench, component = synced_component()
    sent = run_seconds(bench, component, 5)
    eq([(port, op) for port, op, _ in sent], [(PORT, "write")] * 5)
    mono, utc, leap = struct.unpack(">qqB", sent[-1][2])
    eq(mono, bench.mono_ns // 1000)
    eq(leap, 0)
    assert abs(utc - (UTC + bench.second * SECOND)) <= 20_000
    eq((component.sent, component.withheld), (5, 0))


def test_no_sample_while_utc_is_not_trusted():
    bench, component = synced_component()
    bench.leap_s = 4
    bench.run(1)
    eq(run_seconds(bench, component, 3), [])
    bench.leap_s = 0
    bench.run(5)
    eq(len(run_seconds(bench, component, 3)), 3)
    bench.outage = True
    assert (
        0 < len(run_seconds(bench, component, 5_000)) < 5_000
    )  # holdover, until the error bound is too large
    bench.outage = False
    bench.clock.leap.uncertain = True
    bench.run(60)
    eq(run_seconds(bench, component, 3), [])


def test_no_sample_before_port_is_open():
    bench, component = synced_component()
    component.event("failed", 0)
    eq(run_seconds(bench, component, 3), [])
    component.event("opened", 0)
    component.event("drained", 0)
    eq(len(run_seconds(bench, component, 3)), 3)


def test_both_sections_have_a_port():
    raw = config()
    raw["pps"] = {"port": "pps:/dev/pps0?edge=fall"}
    raw["chrony"] = {"port": "chrony:/run/x.sock"}
    controller = Agent(load(raw, profiles()))
    controller.start(0)
    opened = [data for _, op, data in controller.outbox() if op == "open"]
    assert b"pps:/dev/pps0?edge=fall" in opened
    assert b"chrony:/run/x.sock" in opened
    controller.event(FIRST_BUS + 1, "pulse", 5)
    eq(controller.clock.pulses, 1)
    raw["pps"] = {"port": "serial:/dev/x"}
    assert "pps.port" in str(raises(ConfigError, load, raw, profiles()))
