# SPDX-License-Identifier: Apache-2.0
"""Component `ntp`: replies that are compared with UTC, and replies that are refused."""

import struct

from agent.agent import Agent
from agent.clock.ntp_peer import NtpPeer, utc_of
from agent.config.load import load
from agent.core.errors import ConfigError
from protocols.time_units import SECOND
from tests.portable.support.agent_rig import config, profiles
from tests.portable.support.check import eq, raises
from tests.portable.support.reference_time import UTC, ClockRig, synced_leap_clock

PORT = 7
EPOCH_S = 2_208_988_800
HEAD = ">BBbbII4s"


class PeerContext:
    """The parts of the agent that the component needs."""

    def __init__(self, clock):
        self.clock = clock


def synced_peer(**settings):
    bench = ClockRig(synced_leap_clock(), 1)
    bench.run(600, ticks=1)
    section = {"every_s": 64, "error_ms": 5}
    section.update(settings)
    peer = NtpPeer(PeerContext(bench.clock), section, PORT)
    peer.event("opened", 0)
    return bench, peer


def stamp(utc_us):
    second, micros = divmod(utc_us, SECOND)
    return struct.pack(">II", (second + EPOCH_S) & 0xFFFFFFFF, (micros << 32) // SECOND)


def reply(request, utc_us, flags=0x24, stratum=2, root=0, took_us=100):
    """Return the reply of a server that says `utc_us` when it sends."""
    head = struct.pack(HEAD, flags, stratum, 6, -20, root, root, b"GPS\0")
    times = stamp(utc_us - 10 * SECOND) + request[40:48] + stamp(utc_us - took_us) + stamp(utc_us)
    return head + times


def ask(bench, peer):
    """Send the due request; return it, its time and UTC."""
    now = bench.mono_ns // 1000
    peer.tick(now)
    sent = peer.outbox()
    eq(len(sent), 1)
    return sent[0][2], now, UTC + bench.second * SECOND


def test_agreeing_server():
    bench, peer = synced_peer()
    request, now, utc = ask(bench, peer)
    eq((len(request), request[0]), (48, 0x23))
    peer.receive(reply(request, utc + 1_000), now + 2_100)
    eq((peer.sent, peer.replies, peer.refused), (1, 1, 0))
    eq(bench.state(), "sync")
    peer.tick(now + 63 * SECOND)
    eq(peer.outbox(), [])
    peer.tick(now + 64 * SECOND)
    eq(len(peer.outbox()), 1)


def test_server_that_disagrees_twice():
    bench, peer = synced_peer(every_s=16)
    for count in (1, 2):
        request, now, utc = ask(bench, peer)
        peer.receive(reply(request, utc + 400_000), now + 1_000)
        eq(bench.state(), "sync" if count == 1 else "untrusted")
        bench.run(16, ticks=1)
    assert bench.bound_us >= 400_000
    for _ in range(2):
        request, now, utc = ask(bench, peer)
        peer.receive(reply(request, utc), now + 1_000)
        bench.run(16, ticks=1)
    eq(bench.state(), "sync")


def test_uncertain_server_proves_nothing():
    """Half of the delay and the root distance are in the uncertainty."""
    for root, delay_us in ((0x4000, 1_000), (0, 500_000)):
        bench, peer = synced_peer(every_s=16)
        for _ in range(3):
            request, now, utc = ask(bench, peer)
            peer.receive(reply(request, utc + 240_000 + delay_us // 2, root=root), now + delay_us)
            bench.run(16, ticks=1)
        eq((peer.replies, bench.state()), (3, "sync"))


def test_refused_replies():
    bench, peer = synced_peer()
    request, now, utc = ask(bench, peer)
    good = reply(request, utc)
    peer.receive(b"", now + 1)
    for data in (
        good[:47],
        reply(request, utc, flags=0xE4),  # not synchronized
        reply(request, utc, flags=0x23),  # a client
        reply(request, utc, stratum=0),  # kiss of death
        reply(request, utc, stratum=16),
        good[:24] + bytes(8) + good[32:],  # another request
        good[:40] + bytes(8),  # no transmit time
        reply(request, utc, root=0x20000),  # uncertainty of 3 s
        reply(request, utc, took_us=50_000),  # longer than the whole round trip
    ):
        peer.receive(data, now + 1_000)
        if peer._sent_at is None:
            request, now, utc = _again(bench, peer)
            good = reply(request, utc)
    eq((peer.replies, peer.refused), (0, 10))
    request, now, utc = _again(bench, peer)
    peer.receive(reply(request, utc), now + 6 * SECOND)  # late
    eq(peer.replies, 0)
    request, now, utc = _again(bench, peer)
    answer = reply(request, utc)
    peer.receive(answer, now + 1_000)
    peer.receive(answer, now + 1_000)  # a copy
    eq((peer.replies, peer.refused), (1, 12))


def _again(bench, peer):
    bench.run(64, ticks=1)
    return ask(bench, peer)


def test_no_request_before_the_port_is_open():
    bench, peer = synced_peer()
    peer.event("failed", 0)
    peer.tick(bench.mono_ns // 1000)
    eq(peer.outbox(), [])


def test_eras():
    eq(utc_of(EPOCH_S, 0), 0)
    eq(utc_of(EPOCH_S + 1, 1 << 31), 1_500_000)
    eq(utc_of(0, 0), 2_085_978_496 * SECOND)  # 7 February 2036


def test_section():
    raw = config()
    raw["ntp"] = {"port": "ntp:10.0.0.1:123"}
    controller = Agent(load(raw, profiles()))
    controller.start(0)
    assert b"ntp:10.0.0.1:123" in [data for _, op, data in controller.outbox() if op == "open"]
    raw["ntp"] = {"port": "tcp:10.0.0.1:123"}
    raises(ConfigError, load, raw, profiles())
