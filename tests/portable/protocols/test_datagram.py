# SPDX-License-Identifier: Apache-2.0
"""The envelope of datagrams: fragments, numbers, tags, rejected datagrams."""

from protocols import datagram
from protocols.errors import DecodeError, EncodeError
from tests.portable.support.check import eq, raises

KEY = bytes(range(32))


def test_small_message_is_one_datagram():
    eq(datagram.split(datagram.ALARM, 0x010203, b"hot", 340), [b"\x10\x01\x02\x03hot"])
    part = datagram.unpack(b"\x10\x01\x02\x03hot")
    eq((part.kind, part.number, part.is_single, part.data), (0, 0x010203, True, b"hot"))


def test_large_message_is_fragmented():
    content = bytes([i % 251 for i in range(1000)])
    parts = datagram.split(datagram.LIVE, 9, content, 340)
    eq([len(p) for p in parts], [340, 340, 340])  # 1002 bytes in fragments of 334
    opened = [datagram.unpack(p) for p in parts]
    eq([(p.index, p.last_index, p.kind) for p in opened], [(0, 2, 1), (1, 2, 1), (2, 2, 1)])
    eq(datagram.reassemble([p.data for p in opened]), content)
    raises(DecodeError, datagram.reassemble, [opened[1].data, opened[0].data, opened[2].data])
    raises(EncodeError, datagram.split, datagram.LIVE, 9, content, 9)


def test_invalid_datagrams():
    for data in (b"", b"\x10\0\0", b"\x14\0\0\x01", b"\x90\0\0\x01", b"\x20\0\0\x01\x02\x01x"):
        raises(DecodeError, datagram.unpack, data)


def test_ack_tag_is_verified():
    data = datagram.pack_ack(KEY, "site/unit", [(5, 0), (9, 3)])
    body = datagram.verify_body(KEY, "site/unit", data)
    eq(datagram.parse_ack(body), [(5, 0), (9, 3)])
    for i in range(len(data)):
        forged = data[:i] + bytes((data[i] ^ 1,)) + data[i + 1 :]
        raises(DecodeError, datagram.verify_body, KEY, "site/unit", forged)
    raises(DecodeError, datagram.verify_body, KEY, "site/other", data)
    raises(DecodeError, datagram.parse_ack, body + b"x")


def test_tag_is_hmac_sha256():
    # Computed with CPython's hmac module.
    eq(datagram.make_tag(KEY, "s/u", b"abc").hex(), "bd27683eda1be9ba")
