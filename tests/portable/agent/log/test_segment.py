# SPDX-License-Identifier: Apache-2.0
"""Segments of the log: encoding, damage, and noise that is no record."""

from agent.log import segment
from protocols.telemetry.message import BULK, LIVE
from tests.portable.agent.log.store_rig import GENERATION
from tests.portable.support.check import eq
from tests.portable.support.flash import LogLcg


def frames(count):
    records = [segment.LogRecord(10 + i, i, 3, b"payload %d" % i * (i + 1)) for i in range(count)]
    return [segment.frame(GENERATION, BULK, record) for record in records]


def idents(data):
    return [record.ident for record in segment.scan(data, GENERATION, BULK).records]


def test_segment_encodes_and_decodes():
    found = segment.scan(b"".join(frames(5)), GENERATION, BULK)
    eq([record.payload for record in found.records][:2], [b"payload 0", b"payload 1" * 2])
    eq([(r.ident, r.stamp, r.kind) for r in found.records][4], (14, 4, 3))
    eq((found.damaged, found.tail_bytes), (0, 0))


def test_segment_names():
    name = segment.segment_name(GENERATION, BULK, 0x1F)
    eq((name, segment.parse_name(name)), ("log.010203.3.0000001f", (GENERATION, BULK, 31)))
    for bad in ("", "log.schema", name + "0", name.replace("3.0", "7.0"), name.replace("1f", "zz")):
        eq(segment.parse_name(bad), None)


def test_segment_truncated_at_every_byte():
    data = b"".join(frames(3))
    ends = [len(b"".join(frames(3)[:i])) for i in range(4)]
    for cut in range(len(data)):
        whole = len([end for end in ends[1:] if end <= cut])
        found = segment.scan(data[:cut], GENERATION, BULK)
        eq([r.ident for r in found.records], [10, 11, 12][:whole])
        eq(found.tail_bytes, cut - ends[whole])


def test_every_flipped_bit_costs_one_record_at_most():
    data = b"".join(frames(3))
    for bit in range(8 * len(data)):
        bad = bytearray(data)
        bad[bit // 8] ^= 1 << bit % 8
        got = idents(bytes(bad))
        assert len(got) == 2, (bit, got)


def test_noise_and_other_logs_hold_no_record():
    rng = LogLcg(5)
    noise = bytes([rng.below(256) for _ in range(3000)]) + b"\xc7\x1d" * 300
    eq(segment.scan(noise, GENERATION, BULK).records, [])
    eq(segment.scan(frames(1)[0], b"\x01\x02\x04", BULK).records, [])
    eq(segment.scan(frames(1)[0], GENERATION, LIVE).records, [])
