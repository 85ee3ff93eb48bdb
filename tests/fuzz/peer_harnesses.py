# SPDX-License-Identifier: Apache-2.0
"""Harnesses of what other controllers and servers send: pair, group, time servers, servers of the
site; and of binary frames of receivers.

The lines and datagrams are signed. So each input is the body of a message with a right code: an
input without one is refused before it is read. A second harness has the whole line.
"""

from __future__ import annotations

import base64
import io
import struct
from typing import Any

from agent.clock.ntp.exchange import NtpExchange
from agent.control.group.report import GroupReport, build_report, parse_report
from agent.redundancy.beacon import UNITS, Word, build_reply, build_request
from agent.redundancy.beacon import parse_reply as parse_beacon_reply
from agent.redundancy.beacon import parse_request as parse_beacon
from agent.redundancy.line_watch import LineWatch
from agent.redundancy.peer_ports import PeerPorts
from deploy.northbound.fake_source import FakeSource
from deploy.northbound.snmp.responder import PassPersistResponder
from drivers.gnss.receiver import ReceiverDriver
from protocols.modbus.crc import with_crc
from protocols.modbus.pdu import read_holding
from protocols.nmea import unicore_log
from protocols.nmea.binary_frames import casic_checksum, crc24q, ubx_checksum
from protocols.signing.hmac_sha256 import hmac
from protocols.signing.peer_link import PeerLink
from tests.fuzz.harness import Feed, Harness, chunks
from tests.fuzz.traffic import captured
from tests.fuzz.unit_harnesses import BenchUnit, to_agent

_KEY = bytes(range(32))
_STEP = 100_000
_MODE = b"\x03"


def _sealed_line(body: bytes) -> bytes:
    return b"\n" + base64.b64encode(body + hmac(_KEY, body)[:8]) + b"\n"


class _LinkEnds:
    """A link with its peer, as two controllers have it. `feed` gives the input to one of them."""

    def __init__(self, is_group: bool) -> None:
        nodes = ("A", "B") if is_group else ("a", "b")
        self.link = PeerLink(*nodes, _KEY)
        self.peer = PeerLink(nodes[1], nodes[0], _KEY)
        self.now = 0
        for end in (self.link, self.peer):
            end.start(1, 0)
            report = GroupReport(11, 1, 1, 90_000, 60_000, 80_000, 70_000, 48, 1)
            end.set_state(build_report(report))

    def bodies(self) -> list[bytes]:
        """Return the bodies of some messages of the peer."""
        lines = []
        for _ in range(4):
            self.step()
            line = self.peer.next_line(2, 3, True, self.now)
            lines.append(base64.b64decode(line)[:-8])
        return lines

    def step(self) -> None:
        """Exchange one message in both directions."""
        self.now += _STEP
        self.peer.receive(self.link.next_line(1, 3, True, self.now), self.now)
        self.link.receive(self.peer.next_line(1, 3, True, self.now), self.now)

    def feed(self, data: bytes) -> None:
        """Give bytes to the link, and ask it all that its owner asks."""
        self.now += _STEP
        for chunk in chunks(data):
            self.link.receive(chunk, self.now)
        parse_report(self.link.replica(self.now))
        self.link.replica_age_us(self.now)
        self.link.take_word()
        self.link.is_up(self.now)

    def feed_sealed(self, data: bytes) -> None:
        """Give a message with a right code, and the nonce of the link in half of them."""
        if data[:1] > b"\x7f":
            self.step()
        body = data[1:]
        if data[:1] and data[0] & 4 and len(body) >= 31:
            echo = self.link._nonce
            body = b"CPL\x01" + self.peer._node.encode() + body[5:23] + echo + body[31:]
        self.feed(data[:1] + _sealed_line(body))


def _link(is_group: bool, is_sealed: bool) -> Any:
    def make() -> tuple[Feed, object]:
        ends = _LinkEnds(is_group)
        return (ends.feed_sealed if is_sealed else ends.feed), ends.link

    return make


def _pair_store() -> tuple[Feed, object]:
    """The store of a pair, with the record of its epoch and the command of a person."""
    now = [0]

    def feed(data: bytes) -> None:
        now[0] += _STEP
        ports = PeerPorts("a", _KEY, (5, "store:/x"), (6, "udp:192.0.2.1:5000"))
        ports.start(now[0])
        ports.event(5, "opened", now[0])
        key = (b"pair.state", b"pair.command", b"")[data[0] % 3 if data else 0]
        ports.receive(5, key + b"\0" + data[1:], 1, now[0])
        ports.receive(5, b"pair.command\0" + data[1:], 1, now[0])
        ports.send(1, 2, True, now[0])
        ports.take_command()
        ports.outbox()

    return feed, None


def _pair_line() -> tuple[Feed, object]:
    watch = LineWatch(573, UNITS["a"], UNITS["b"])
    now = [0]

    def feed(data: bytes) -> None:
        watch.sent(with_crc(bytes((12,)) + read_holding(0, 1)), now[0])
        for chunk in chunks(data):
            now[0] += 3_000 + 573 * len(chunk)
            watch.receive(chunk, now[0])
            if now[0] >= watch.deadline():
                watch.wake(now[0])
        watch.take_events(0, 0, 0, True)
        for frame in watch.beacons + watch.beacon_replies:
            parse_beacon(_KEY, UNITS["a"], frame)
            parse_beacon_reply(_KEY, UNITS["b"], frame)
        watch.beacons.clear()
        watch.beacon_replies.clear()

    return feed, watch


def _beacon(data: bytes) -> None:
    """A beacon with a right code and any content."""
    for unit, is_request in ((UNITS["a"], True), (UNITS["b"], False)):
        body = (data + bytes(12))[: 12 if is_request else 8]
        code = hmac(_KEY, bytes((unit,)) + body)[:4]
        head = bytes((unit, 23)) + bytes(9 if is_request else 1)
        parse = parse_beacon if is_request else parse_beacon_reply
        parse(_KEY, unit, head + body + code + b"\0\0")


def _ntp() -> tuple[Feed, object]:
    exchange = NtpExchange(1000)
    now = [0]

    def feed(data: bytes) -> None:
        now[0] += 1_000_000
        request = exchange.make_request(now[0])
        is_own = data[:1] < b"\xc0"
        reply = data[1:25] + request[40:48] + data[33:] if is_own else data
        exchange.receive(reply, now[0] + 20_000)

    return feed, exchange


def _frames() -> tuple[Feed, object]:
    """Binary frames and logs with a right checksum; the first byte chooses the kind."""
    driver = ReceiverDriver(0, 115_200)
    now = [0]

    def feed(data: bytes) -> None:
        now[0] += 200_000
        driver.receive(_frame_of(data), now[0])
        driver.take_fixes()

    return feed, driver


_UBX_KINDS = (b"\x01\x26", b"\x01\x03", b"\x0a\x09", b"\x0a\x38", b"\x01\x07", b"\x27\x0a")
_CASIC_KINDS = (b"\x08\x05", b"\x08\x00", b"\x12\x07", b"\x0a\x09")
_LOGS = (b"GPSUTCA", b"BDSUTCA", b"BD3UTCA", b"AGCA", b"JAMSTATUSA", b"FREQJAMSTATUSA")


def _frame_of(data: bytes) -> bytes:
    kind, body = (data[0] if data else 0), data[1:1000]
    if kind & 3 == 0:
        content = _UBX_KINDS[kind % 6] + struct.pack("<H", len(body)) + body
        return b"\xb5\x62" + content + struct.pack("<H", ubx_checksum(content))
    if kind & 3 == 1:
        content = struct.pack("<H", len(body)) + _CASIC_KINDS[kind >> 2 & 3] + body
        return b"\xba\xce" + content + struct.pack("<I", casic_checksum(content))
    if kind & 3 == 2:
        content = b"\xd3" + struct.pack(">H", len(body)) + body
        return content + crc24q(content).to_bytes(3, "big")
    text = _LOGS[kind % 6] + b",1,2;" + body.replace(b"*", b"").replace(b"\n", b"")
    return b"#%s*%08x\r\n" % (text, unicore_log.crc32(text))


_FRAMES = (
    *(bytes((kind,)) + bytes(size) for kind, size in ((0, 24), (4, 16), (8, 60), (12, 28))),
    *(bytes((kind,)) + bytes(size) for kind, size in ((16, 92), (20, 32), (1, 20), (9, 16))),
    bytes((13,)) + bytes(56),
    bytes((2,)) + bytes(40),
    *(bytes((kind,)) + b"2190,503808,1.1e-9,2.4e-14,1929,7,18,18" for kind in (3, 7, 11)),
    *(bytes((kind,)) + b"0,12,1,40,2,50,3" for kind in (15, 19, 23)),
)


def _retained() -> tuple[Feed, object]:
    """The state of the other controller of a pair: lines for each component."""
    unit = BenchUnit.of("sbd")
    agent = unit.run.dut.agent  # type: ignore[attr-defined]
    sections = [section for section, _, _ in agent.config.components]
    retain = agent.components[sections.index("retain")]

    def feed(data: bytes) -> None:
        retain.take_over(data, unit.run.world.now)
        unit.let_time_pass()

    return feed, None


def _snmp() -> tuple[Feed, object]:
    source = FakeSource(1)
    responder = PassPersistResponder(source, lambda: 0.0)

    def feed(data: bytes) -> None:
        responder.serve(io.StringIO(data.decode("latin-1")), io.StringIO())

    return feed, responder


_SNMP = ".1.3.6.1.4.1.8072.9999.9999.4711"
_SNMP_SEEDS = [f"{word}\n{_SNMP}.1.1.0\nPING\n".encode() for word in ("get", "getnext", "set")]
_STATE = (
    b"history 7\nsupply 32000 31000\npressure 80000 70000\ncooling mode manual 5 100 100\n",
    b"safety trip leak\nthrottle cap 50\ncooling order 1 0\ncooling frozen 1\n",
)


def _function(call: Any) -> Any:
    return lambda: (call, None)


def make_harnesses() -> list[Harness]:
    """Return the harnesses of this file."""
    bodies = [_MODE + body for body in _LinkEnds(False).bodies()]
    reports = [_MODE + body for body in _LinkEnds(True).bodies()]
    lines = [_MODE + _sealed_line(body[1:]) for body in bodies]
    word = Word(1, 7, 3)
    beacons = [
        _MODE + with_crc(bytes((UNITS["a"],)) + build_request(_KEY, UNITS["a"], word)),
        _MODE + with_crc(bytes((UNITS["b"],)) + build_reply(_KEY, UNITS["b"], word)),
        *(_MODE + data for data in captured("sbd")["bus>"][:40]),
    ]
    ntp = [b"\x24\x01\x06\xe9" + bytes(20) + b"\x01" * 8 + b"\xed\x00\0\0\0\0\0\0" * 2]
    state = [b"7 3", b"swap 1 " + b"0" * 64, b"out 1 x"]
    stored = [d.partition(b"\0")[2] for d in captured("sbd").get("retain<", ())]
    return [
        Harness("pair_link", _link(is_group=False, is_sealed=False), (), lines),
        Harness("pair_link_sealed", _link(is_group=False, is_sealed=True), (), bodies),
        Harness("pair_store", _pair_store, (), state),
        Harness("pair_line", _pair_line, (), beacons),
        Harness("pair_beacon", _function(_beacon), (), [bytes(12), b"\x01\x01" + bytes(10)]),
        Harness("pair_state", _retained, (), [*_STATE, *stored]),
        Harness("group_link", _link(is_group=True, is_sealed=False), (), lines),
        Harness("group_link_sealed", _link(is_group=True, is_sealed=True), (), reports),
        Harness("group_report", _function(parse_report), (), [bytes(27), b"\x03" * 27]),
        Harness("ntp_reply", _ntp, (), [_MODE + data for data in ntp]),
        Harness("receiver_frames", _frames, (), _FRAMES),
        Harness("agent_local", lambda: to_agent("sbd", "northbound"), (), _local_seeds()),
        Harness("server_snmp", _snmp, (), _SNMP_SEEDS),
    ]


def _local_seeds() -> list[bytes]:
    """Return messages to the socket of the servers."""
    return [_MODE + data for data in captured("sbd").get("broker>", ()) if len(data) > 60]
