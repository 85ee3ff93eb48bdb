# SPDX-License-Identifier: Apache-2.0
"""A controller of a pair that stood still between its decision and the port sends nothing."""

from agent.port_numbers import FIRST_BUS
from agent.redundancy.pair_settings import PairSettings
from agent.redundancy.paired_agent import PairedAgent
from agent.runtime.io_loop import IoLoop
from protocols.modbus.pdu import read_holding
from tests.portable.agent.runtime.loop_rig import FakePlatform, FakePort
from tests.portable.support.check import eq

MS = 1000
ALL = 1 << 30


class StalledController:
    """A controller whose process stands still for `stall_ms` after its first request."""

    def __init__(self, platform, stall_ms):
        reads = [(12, read_holding(0, 1))]
        settings = PairSettings("a", bytes(32), "serial:/x", 573, reads, None, None, [], 0, None)
        self.pair = PairedAgent(settings, None)
        self.receive, self.event, self.wake = self.pair.receive, self.pair.event, self.pair.wake
        self.deadline, self.guarded_port = self.pair.deadline, self.pair.guarded_port
        self._platform, self._stall_ms = platform, stall_ms

    def outbox(self):
        out = self.pair.outbox()
        if (FIRST_BUS, "write") in [entry[:2] for entry in out]:
            self._platform.now += self._stall_ms * MS
        return out


def run_to_the_probe(stall_ms, room):
    """Return the platform, the loop, and the port that takes `room` bytes of the probe."""
    platform, port = FakePlatform(), FakePort(1)
    port.room = room
    agent = StalledController(platform, stall_ms)
    agent.pair.start(platform.now)
    io_loop = IoLoop(agent, {"serial": lambda *_: port}, platform, platform.lines.append)
    io_loop.start()
    while agent.pair.role in ("listen", "standby"):
        platform.now += 20 * MS
        io_loop.step([])
    eq(agent.pair.role, "probe")
    return platform, io_loop, port


def written_after(stall_ms, room, later_ms):
    """Return the number of bytes that the port has got when it takes all, after `later_ms`."""
    platform, io_loop, port = run_to_the_probe(stall_ms, room)
    platform.now += later_ms * MS
    port.room = ALL
    io_loop.step([FIRST_BUS])
    return len(port.written)


def test_a_request_is_sent_after_a_short_stall():
    eq(written_after(100, ALL, 0), 8)


def test_a_request_that_was_decided_before_a_stall_is_not_sent_after_it():
    for stall_ms in (201, 1600, 8000):
        eq(written_after(stall_ms, ALL, 1), 0)


def test_a_request_that_waits_for_a_full_port_is_dropped_when_it_is_late():
    eq((written_after(0, 0, 201), written_after(0, 3, 201)), (0, 3))


def test_a_request_that_waits_for_a_slow_port_is_sent_whole():
    eq((written_after(0, 0, 5), written_after(0, 3, 150)), (8, 8))
