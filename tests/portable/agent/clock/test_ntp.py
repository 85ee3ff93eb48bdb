# SPDX-License-Identifier: Apache-2.0
"""Component `ntp`: replies that are compared with UTC, and replies that are refused."""

import json
import struct

from agent.agent import Agent
from agent.clock.ntp.component import NtpComponent
from agent.clock.ntp.exchange import utc_of
from agent.config.load import load
from agent.core.errors import ConfigError
from agent.core.json_writer import write
from agent.core.port_link import PortLink
from protocols.time_units import SECOND
from tests.portable.support.agent_rig import config, profiles
from tests.portable.support.check import eq, raises
from tests.portable.support.reference_time import UTC, ClockRig, synced_leap_clock

PORT = 7
EPOCH_S = 2_208_988_800
HEAD = ">BBbbII4s"


class ClockHolder:
    """The parts of the agent that the component needs."""

    def __init__(self, clock):
        self.clock = clock


def synced_component(**settings):
    bench = ClockRig(synced_leap_clock(), 1)
    bench.run(600, ticks=1)
    section = {"every_s": 64, "error_ms": 5}
    section.update(settings)
    ntp = NtpComponent(ClockHolder(bench.clock), section, PORT)
    ntp.event("opened", 0)
    return bench, ntp


def counts(ntp, server=0):
    """Return the requests, the usable and the refused replies of a server."""
    exchange = ntp.servers[server].exchange
    return exchange.sent, exchange.replies, exchange.refused


def stamp(utc_us):
    second, micros = divmod(utc_us, SECOND)
    return struct.pack(">II", (second + EPOCH_S) & 0xFFFFFFFF, (micros << 32) // SECOND)


def reply(request, utc_us, flags=0x24, stratum=2, root=0, took_us=100):
    """Return the reply of a server that says `utc_us` when it sends."""
    head = struct.pack(HEAD, flags, stratum, 6, -20, root, root, b"GPS\0")
    times = stamp(utc_us - 10 * SECOND) + request[40:48] + stamp(utc_us - took_us) + stamp(utc_us)
    return head + times


def ask(bench, ntp):
    """Send the due request; return it, its time and UTC."""
    now = bench.mono_ns // 1000
    ntp.tick(now)
    sent = ntp.outbox()
    eq(len(sent), 1)
    return sent[0][2], now, UTC + bench.second * SECOND


def test_agreeing_server():
    bench, ntp = synced_component()
    request, now, utc = ask(bench, ntp)
    eq((len(request), request[0]), (48, 0x23))
    ntp.receive(reply(request, utc + 1_000), now + 2_100)
    eq(counts(ntp), (1, 1, 0))
    eq(bench.state(), "sync")
    status = json.loads(write(ntp.status(now)))
    eq((status["agrees"], status["difference_us"] is None), (True, False))
    assert -5000 < status["difference_us"] < 5000, status
    ntp.tick(now + 63 * SECOND)
    eq(ntp.outbox(), [])
    ntp.tick(now + 64 * SECOND)
    eq(len(ntp.outbox()), 1)


def test_the_time_in_the_server_is_no_delay():
    """The delay is the way out and back; the server states how long the request was in it."""
    for took_us in (0, 40_000):
        bench, ntp = synced_component()
        request, now, utc = ask(bench, ntp)
        arrived = now + 60_000
        ntp.receive(reply(request, utc + 50_000, took_us=took_us), arrived)
        sample = ntp.servers[0].exchange.sample
        half_us = (60_000 - took_us) // 2
        assert abs(sample.uncertainty_us - (half_us + 5_000)) <= 1, (took_us, sample.uncertainty_us)
        assert abs(sample.offset_us + arrived - (utc + 50_000 + half_us)) <= 1, took_us


class RecordedDrag:
    """A clock that notes what it is given about the limits of a drag."""

    drift_ppb = 20_000

    def __init__(self, agrees):
        self.agrees, self.given = agrees, []

    def utc(self, now):
        return now

    def cross_check(self, utc, uncertainty_us, now):
        return self.agrees

    def limit_drag(self, utc, uncertainty_us, now, agrees):
        self.given.append(agrees)


def test_the_servers_limit_a_drag_by_what_the_comparison_gave():
    for agrees in (True, False, None):
        bench, ntp = synced_component()
        ntp.agent.clock = RecordedDrag(agrees)
        request, now, utc = ask(bench, ntp)
        ntp.receive(reply(request, utc + 1_000), now + 2_100)
        eq(ntp.agent.clock.given, [agrees is True])


def test_server_that_disagrees_twice():
    bench, ntp = synced_component(every_s=16)
    for count in (1, 2):
        request, now, utc = ask(bench, ntp)
        ntp.receive(reply(request, utc + 400_000), now + 1_000)
        eq(bench.state(), "sync" if count == 1 else "untrusted")
        bench.run(16, ticks=1)
    assert bench.bound_us >= 400_000
    for _ in range(2):
        request, now, utc = ask(bench, ntp)
        ntp.receive(reply(request, utc), now + 1_000)
        bench.run(16, ticks=1)
    eq(bench.state(), "sync")


def test_uncertain_server_proves_nothing():
    """Half of the delay and the root distance are in the uncertainty."""
    for root, delay_us in ((0x4000, 1_000), (0, 500_000)):
        bench, ntp = synced_component(every_s=16)
        for _ in range(3):
            request, now, utc = ask(bench, ntp)
            ntp.receive(reply(request, utc + 240_000 + delay_us // 2, root=root), now + delay_us)
            bench.run(16, ticks=1)
        eq((counts(ntp)[1], bench.state()), (3, "sync"))


def test_refused_replies():
    bench, ntp = synced_component()
    request, now, utc = ask(bench, ntp)
    good = reply(request, utc)
    ntp.receive(b"", now + 1)
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
        ntp.receive(data, now + 1_000)
        if ntp.servers[0].exchange._sent_at is None:
            request, now, utc = _again(bench, ntp)
            good = reply(request, utc)
    eq(counts(ntp)[1:], (0, 10))
    request, now, utc = _again(bench, ntp)
    ntp.receive(reply(request, utc), now + 6 * SECOND)  # late
    eq(counts(ntp)[1], 0)
    request, now, utc = _again(bench, ntp)
    answer = reply(request, utc)
    ntp.receive(answer, now + 1_000)
    ntp.receive(answer, now + 1_000)  # a copy
    eq(counts(ntp)[1:], (1, 12))


def _again(bench, ntp):
    bench.run(64, ticks=1)
    return ask(bench, ntp)


def test_no_request_before_the_port_is_open():
    bench, ntp = synced_component()
    ntp.event("failed", 0)
    ntp.tick(bench.mono_ns // 1000)
    eq(ntp.outbox(), [])


def test_eras():
    eq(utc_of(EPOCH_S, 0), 0)
    eq(utc_of(EPOCH_S + 1, 1 << 31), 1_500_000)
    eq(utc_of(0, 0), 2_085_978_496 * SECOND)  # 7 February 2036


class Round:
    """Rounds of requests to several servers. A server answers with its error, or None: never."""

    def __init__(self, servers, **settings):
        self.bench, self.ntp = synced_component(every_s=16, **settings)
        for i in range(1, servers):
            self.ntp.add_link(PortLink(PORT + i, "ntp.s%d" % i, "ntp:10.0.0.%d:123" % i))
        self.ntp.start(0)
        for i in range(1, servers):
            self.ntp.link_event(i - 1, "opened", 0)

    def run(self, errors_us, rounds=1, root=0):
        for _ in range(rounds):
            now = self.bench.mono_ns // 1000
            utc = UTC + self.bench.second * SECOND
            self.ntp.tick(now)
            for port, _, request in self.ntp.outbox():
                error = errors_us[port - PORT]
                if error is not None:
                    data = reply(request, utc + error, root=root)
                    self._deliver(port - PORT, data, now + 1_000)
            self.ntp.tick(now + 2 * SECOND)
            self.bench.run(16, ticks=1)

    def _deliver(self, server, data, now):
        if server:
            self.ntp.link_receive(server - 1, data, now)
        else:
            self.ntp.receive(data, now)

    def alarms(self):
        return [source for _, source, _ in self.ntp.active_conditions(0)]


def test_one_false_server_of_three_is_named_and_has_no_effect():
    for false in range(3):
        errors = [0, 0, 0]
        errors[false] = 400_000
        servers = Round(3)
        servers.run(errors, 2)
        eq((servers.bench.state(), servers.alarms()), ("sync", []))
        servers.run(errors, 2)
        eq((servers.bench.state(), servers.alarms()), ("sync", [servers.ntp.servers[false].name]))
        eq(servers.ntp._agrees, True)
        servers.run([0, 0, 0])
        eq(servers.alarms(), [])


def test_two_of_three_outvote_the_receiver():
    servers = Round(3)
    servers.run([400_000, 400_000, 0], 2)
    eq(servers.bench.state(), "untrusted")
    assert servers.bench.bound_us >= 400_000


def test_without_a_majority_nothing_is_compared():
    for errors in (
        [400_000, 0],
        [400_000, None],
        [0, None],
        [400_000, -400_000, 0],
        [0, None, None],
    ):
        servers = Round(len(errors))
        servers.run(errors, 4)
        eq((servers.ntp._agrees, servers.bench.state()), (None, "sync"))
        assert servers.alarms()


def test_old_replies_do_not_count():
    """After three rounds without replies nothing is compared, and all servers are named."""
    servers = Round(2)
    servers.run([0, 0])
    eq(servers.ntp._agrees, True)
    servers.run([None, None], 4)
    eq((servers.ntp._agrees, len(servers.alarms())), (None, 2))


def test_link_of_a_server_is_good_after_a_usable_reply():
    servers = Round(2)
    link = servers.ntp.links[0]
    link.event("failed", 0)
    link.event("failed", 0)
    servers.ntp.link_receive(0, b"x", 0)
    eq(link._backoff_us, 4 * SECOND)
    servers.run([0, 0])
    eq(link._backoff_us, SECOND)


def test_status_of_several_servers():
    servers = Round(3)
    servers.run([0, 0, None], 4)
    status = json.loads(write(servers.ntp.status(0)))
    faults = [server["fault"] for server in status["servers"]]
    eq((status["needed"], faults), (2, [None, None, "no usable reply"]))
    eq((status["sent"], status["replies"]), (12, 8))


def test_section():
    raw = config()
    raw["ntp"] = {"port": "ntp:10.0.0.1:123"}
    controller = Agent(load(raw, profiles()))
    controller.start(0)
    assert b"ntp:10.0.0.1:123" in [data for _, op, data in controller.outbox() if op == "open"]
    raw["ntp"] = {"port": "tcp:10.0.0.1:123"}
    raises(ConfigError, load, raw, profiles())


def test_section_with_further_servers():
    raw = config()
    raw["ntp"] = {"port": "ntp:10.0.0.1:123", "ports": {"b": "ntp:10.0.0.2:123"}}
    controller = Agent(load(raw, profiles()))
    controller.start(0)
    opened = [data for _, op, data in controller.outbox() if op == "open"]
    assert b"ntp:10.0.0.2:123" in opened, opened
    for ports in ({"b": "tcp:10.0.0.2:123"}, {"b": "ntp:10.0.0.1:123"}, {}):
        raw["ntp"]["ports"] = ports
        raises(ConfigError, load, raw, profiles())
