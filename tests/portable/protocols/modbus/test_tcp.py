# SPDX-License-Identifier: Apache-2.0
"""The TCP client: transaction numbers, broken streams, every split."""

import struct

from protocols.modbus import pdu, tcp
from tests.portable.support.check import eq

READ = pdu.read_holding(36864, 3)
REPLY = b"\x03\x06\x00\x01\x00\x02\x00\x03"
EXPECTED = ("ok", 0, (1, 2, 3))


def adu(transaction, body, unit=12, protocol=0, length=None):
    if length is None:
        length = len(body) + 1
    return struct.pack(">HHHB", transaction, protocol, length, unit) + body


def make_client():
    """Return a client with one pending request, and its transaction number."""
    client = tcp.TcpClient()
    request = client.start(12, READ)
    return client, struct.unpack(">H", request[:2])[0]


def test_each_request_has_new_transaction_number():
    client, first = make_client()
    request = client.start(12, READ)
    second = struct.unpack(">HHHB", request[:7])
    eq(second, ((first + 1) & 0xFFFF, 0, 6, 12))
    eq(request[7:], READ)
    eq(client.reply_length, 7 + len(REPLY))
    seen = 0
    for _ in range(65536):
        number = client.start(12, READ)[:2]
        seen += number == request[:2]
    eq(seen, 1)  # reused only after all other numbers


def test_reply_at_every_split():
    for cut in range(1, 7 + len(REPLY)):
        client, number = make_client()
        data = adu(number, REPLY)
        eq(client.feed(data[:cut]), None)
        eq(client.feed(data[cut:]), EXPECTED)
        client, number = make_client()
        got = [client.feed(data[i : i + 1]) for i in range(len(data))]
        eq(got, [None] * (len(data) - 1) + [EXPECTED])


def test_late_and_duplicate_replies_are_discarded():
    client, number = make_client()
    client.stop()
    late = adu(number, b"\x03\x06\x00\x09\x00\x09\x00\x09")
    client.start(12, READ)
    eq(client.feed(late), None)
    good = adu(number + 1, REPLY)
    eq(client.feed(good + good), EXPECTED)  # two in one segment
    eq(client.counters.unsolicited, 2)
    eq(client.feed(good), None)
    eq((client.counters.unsolicited, client.stream_error), (3, ""))


def test_invalid_reply_with_right_number_is_final():
    cases = (
        (adu(1, REPLY, unit=13), "unit"),
        (adu(1, b"\x04" + REPLY[1:]), "function"),
        (adu(1, b"\x03\x04\x00\x01\x00\x02"), "byte count"),
        (adu(1, b"\x03\x06\x00\x01\x00\x02"), "length"),
        (adu(1, b"\x83"), "exception length"),
    )
    for data, reason in cases:
        client, number = make_client()
        eq(number, 1)
        eq(client.feed(data), (reason, 0, ()))
        eq((client.reason, client.counters.mismatches, client.stream_error), (reason, 1, ""))
        eq(client.feed(adu(1, REPLY)), None)
    client, _ = make_client()
    eq(client.feed(adu(1, b"\x83\x0b")), ("exception", 11, ()))


def test_stream_out_of_sync_is_reported():
    cases = (
        (adu(1, REPLY, protocol=1), "protocol id"),
        (adu(1, REPLY, length=0), "length"),
        (adu(1, REPLY, length=1), "length"),
        (adu(1, REPLY, length=255), "length"),
        (b"\x55" + adu(1, REPLY), "protocol id"),
    )
    for data, reason in cases:
        client, _ = make_client()
        eq(client.feed(data), None)
        eq(client.stream_error, reason)
        eq(client.feed(adu(1, REPLY)), None)  # not even a valid reply
        eq(client.counters.discarded_bytes, len(data) + 7 + len(REPLY))
        client.reset()
        eq(client.stream_error, "")
        number = struct.unpack(">H", client.start(12, READ)[:2])[0]
        eq(client.feed(adu(number, REPLY)), EXPECTED)


def test_good_reply_before_garbage_is_accepted():
    client, number = make_client()
    eq(client.feed(adu(number, REPLY) + b"\xff" * 9), EXPECTED)
    eq(client.stream_error, "protocol id")


def test_random_faults_give_no_wrong_value():
    state = 1
    for _ in range(300):
        client, number = make_client()
        data = b""
        for _ in range(5):
            state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
            other = (number + 1 + (state >> 8) % 65535) & 0xFFFF
            data += adu(other, b"\x03\x06" + struct.pack(">HHH", 7, 7, 7), 1 + (state >> 9) % 247)
        data += adu(number, REPLY)
        step = 1 + (state >> 10) % 40
        got = [client.feed(data[i : i + step]) for i in range(0, len(data), step)]
        eq([answer for answer in got if answer is not None], [EXPECTED])
        eq((client.counters.unsolicited, got[-1] is None), (5, False))
        assert len(client.buffer) < 260
