# SPDX-License-Identifier: Apache-2.0
"""Sniffed frames are classified, paired and timed, with every split and after noise."""

from protocols.modbus import pdu
from protocols.modbus.crc import with_crc
from protocols.modbus.sniffer import MAX_BUFFER, Sniffer
from protocols.time_units import MILLISECOND, NEVER, SECOND
from tests.portable.support.check import eq

CHAR = 573
READ_REQUEST = with_crc(b"\x01" + pdu.read_holding(0, 2))
READ_REPLY = with_crc(b"\x01\x03\x04\x00\x0a\x00\x14")
WRITE_REQUEST = with_crc(b"\x01" + pdu.write_single(5, 9))


def sniff_chunks(*chunks):
    """Return the kinds of events for (pause in ms, bytes) chunks, with a long pause at the end."""
    sniffer, now, events = Sniffer(CHAR), 0, []
    for pause, data in chunks:
        now += pause * MILLISECOND + len(data) * CHAR
        while sniffer.deadline() <= now:
            events.extend(sniffer.wake(sniffer.deadline()))
        events.extend(sniffer.feed(data, now))
    while sniffer.deadline() != NEVER:
        events.extend(sniffer.wake(sniffer.deadline()))
    return events


def frame_kinds(*chunks):
    return [event.kind for event in sniff_chunks(*chunks)]


def test_reply_is_paired_with_request_and_timed():
    request, reply = sniff_chunks((10, READ_REQUEST), (7, READ_REPLY))
    eq((request.kind, reply.kind), ("request", "reply"))
    eq(reply.response_us, 7 * MILLISECOND)
    eq((request.gap_us, reply.gap_us), (-1, 7 * MILLISECOND))
    eq(reply.request, request)
    eq(reply.end - reply.start, len(READ_REPLY) * CHAR)


def test_times_within_chunk_follow_character_time():
    request, reply = sniff_chunks((10, READ_REQUEST + READ_REPLY))
    eq(reply.start - request.end, 0)
    eq(request.end - request.start, len(READ_REQUEST) * CHAR)


def test_every_split_gives_same_frames():
    both = READ_REQUEST + READ_REPLY + WRITE_REQUEST + WRITE_REQUEST
    for cut in range(1, len(both)):
        found = frame_kinds((10, both[:cut]), (1, both[cut:]))
        eq(found, ["request", "reply", "request", "reply"])


def test_reply_whose_crc_ends_with_zero_is_no_request():
    # Without its last byte the reply is a valid frame of eight bytes, the length of a request.
    request = with_crc(b"\x1f" + pdu.read_holding(0, 2))
    reply = with_crc(b"\x1f\x03\x04\x04\x7f\x36\xa6")
    eq(reply[-1], 0)
    both = request + reply
    for cut in range(1, len(both)):
        eq(frame_kinds((10, both[:cut]), (1, both[cut:])), ["request", "reply"])


def test_write_echo_is_reply_and_later_copy_is_request():
    eq(frame_kinds((10, WRITE_REQUEST), (5, WRITE_REQUEST)), ["request", "reply"])
    eq(
        frame_kinds((10, WRITE_REQUEST), (1500, WRITE_REQUEST)),
        ["request", "silent", "request", "silent"],
    )


def test_repeated_read_means_no_reply():
    eq(
        frame_kinds((10, READ_REQUEST), (200, READ_REQUEST), (5, READ_REPLY)),
        ["request", "silent", "request", "reply"],
    )


def test_broadcast_expects_no_reply():
    eq(frame_kinds((10, with_crc(b"\x00" + pdu.write_single(1, 2)))), ["request"])


def test_exceptions_and_unsolicited_replies():
    refused = with_crc(b"\x01\x83\x02")
    eq(frame_kinds((10, READ_REQUEST), (5, refused)), ["request", "exception"])
    eq(frame_kinds((10, refused), (5, READ_REPLY)), ["stray", "stray"])
    other = with_crc(b"\x02\x03\x04\x00\x0a\x00\x14")
    eq(frame_kinds((10, READ_REQUEST), (5, other)), ["request", "stray", "silent"])


def test_reply_with_wrong_crc_is_reported():
    events = sniff_chunks(
        (10, READ_REQUEST), (5, READ_REPLY[:-1] + b"\x00"), (100, READ_REQUEST), (5, READ_REPLY)
    )
    eq([event.kind for event in events], ["request", "crc", "request", "reply"])
    eq(events[1].unit, 1)


def test_noise_hides_no_frame():
    events = sniff_chunks((10, b"\xff\x00\x81"), (100, READ_REQUEST), (5, b"\x00" + READ_REPLY))
    eq([event.kind for event in events], ["noise", "request", "noise", "reply"])
    eq(events[0].data, b"\xff\x00\x81")


def test_device_identification_length():
    request = with_crc(b"\x03" + pdu.read_device_id())
    reply = with_crc(b"\x03\x2b\x0e\x01\x01\x00\x00\x02\x00\x04ACME\x01\x02P1")
    for cut in range(1, len(reply)):
        eq(frame_kinds((10, request), (5, reply[:cut]), (1, reply[cut:])), ["request", "reply"])


def test_unknown_function_is_framed_by_pauses():
    request = with_crc(b"\x05\x64hello")
    eq(frame_kinds((10, request), (60, with_crc(b"\x05\x64yes")))[0], "request")
    eq(frame_kinds((10, request), (60, with_crc(b"\x05\x64yes")))[1], "reply")


def test_noise_is_bounded_and_never_raises():
    seed, sniffer, now = 1, Sniffer(CHAR), 0
    known = 0
    for _ in range(400):
        data = bytearray()
        for _ in range(seed % 61 + 1):
            seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
            data.append(seed >> 16 & 0xFF)
        now += len(data) * CHAR + (seed >> 8) % (50 * MILLISECOND)
        for event in sniffer.feed(bytes(data), now):
            known += len(event.data) if event.kind != "silent" else 0
        assert len(sniffer._buffer) <= MAX_BUFFER
        assert len(sniffer._arrivals) <= MAX_BUFFER
    for event in sniffer.wake(now + SECOND):
        known += len(event.data) if event.kind != "silent" else 0
    assert sniffer.discarded_bytes > 0
    assert known > 0
