"""The TCP matcher: transaction numbers, broken streams, every split."""

import struct

from protocols.modbus import pdu, tcp
from tests.portable.support.check import eq

READ = pdu.read_holding(36864, 3)
REPLY = b"\x03\x06\x00\x01\x00\x02\x00\x03"
VERDICT = ("ok", 0, (1, 2, 3))


def adu(transaction, body, unit=12, protocol=0, length=None):
    if length is None:
        length = len(body) + 1
    return struct.pack(">HHHB", transaction, protocol, length, unit) + body


def started():
    """A client with one request outstanding, and its transaction number."""
    client = tcp.Client()
    request = client.start(12, READ)
    return client, struct.unpack(">H", request[:2])[0]


def test_request_and_a_new_number_for_each():
    client, first = started()
    request = client.start(12, READ)
    second = struct.unpack(">HHHB", request[:7])
    eq(second, ((first + 1) & 0xFFFF, 0, 6, 12))
    eq(request[7:], READ)
    eq(client.reply_length, 7 + len(REPLY))
    seen = 0
    for _ in range(65536):
        number = client.start(12, READ)[:2]
        seen += number == request[:2]
    eq(seen, 1)  # it comes round only after all the others


def test_reply_at_every_split():
    for cut in range(1, 7 + len(REPLY)):
        client, number = started()
        data = adu(number, REPLY)
        eq(client.feed(data[:cut]), None)
        eq(client.feed(data[cut:]), VERDICT)
        client, number = started()
        got = [client.feed(data[i : i + 1]) for i in range(len(data))]
        eq(got, [None] * (len(data) - 1) + [VERDICT])


def test_late_and_duplicate_replies_are_dropped():
    client, number = started()
    client.stop()
    late = adu(number, b"\x03\x06\x00\x09\x00\x09\x00\x09")
    client.start(12, READ)
    eq(client.feed(late), None)
    good = adu(number + 1, REPLY)
    eq(client.feed(good + good), VERDICT)  # two in one segment
    eq(client.late, 2)
    eq(client.feed(good), None)
    eq((client.late, client.broken), (3, ""))


def test_the_right_number_with_a_wrong_reply_is_final_and_named():
    cases = (
        (adu(1, REPLY, unit=13), "unit"),
        (adu(1, b"\x04" + REPLY[1:]), "function"),
        (adu(1, b"\x03\x04\x00\x01\x00\x02"), "byte count"),
        (adu(1, b"\x03\x06\x00\x01\x00\x02"), "length"),
        (adu(1, b"\x83"), "exception length"),
    )
    for data, reason in cases:
        client, number = started()
        eq(number, 1)
        eq(client.feed(data), (reason, 0, ()))
        eq((client.reason, client.mismatches, client.broken), (reason, 1, ""))
        eq(client.feed(adu(1, REPLY)), None)
    client, _ = started()
    eq(client.feed(adu(1, b"\x83\x0b")), ("exception", 11, ()))


def test_a_stream_out_of_step_is_broken():
    cases = (
        (adu(1, REPLY, protocol=1), "protocol id"),
        (adu(1, REPLY, length=0), "length"),
        (adu(1, REPLY, length=1), "length"),
        (adu(1, REPLY, length=255), "length"),
        (b"\x55" + adu(1, REPLY), "protocol id"),
    )
    for data, why in cases:
        client, _ = started()
        eq(client.feed(data), None)
        eq(client.broken, why)
        eq(client.feed(adu(1, REPLY)), None)  # not even what looks right
        eq(client.dropped_bytes, len(data) + 7 + len(REPLY))
        client.reset()
        eq(client.broken, "")
        number = struct.unpack(">H", client.start(12, READ)[:2])[0]
        eq(client.feed(adu(number, REPLY)), VERDICT)


def test_a_good_reply_in_front_of_garbage_is_used():
    client, number = started()
    eq(client.feed(adu(number, REPLY) + b"\xff" * 9), VERDICT)
    eq(client.broken, "protocol id")


def test_any_sequence_of_faults_gives_no_wrong_value():
    state = 1
    for _ in range(300):
        client, number = started()
        data = b""
        for _ in range(5):
            state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
            other = (number + 1 + (state >> 8) % 65535) & 0xFFFF
            data += adu(other, b"\x03\x06" + struct.pack(">HHH", 7, 7, 7), 1 + (state >> 9) % 247)
        data += adu(number, REPLY)
        step = 1 + (state >> 10) % 40
        got = [client.feed(data[i : i + step]) for i in range(0, len(data), step)]
        eq([answer for answer in got if answer is not None], [VERDICT])
        eq((client.late, got[-1] is None), (5, False))
        assert len(client.buffer) < 260
