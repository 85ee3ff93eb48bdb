# SPDX-License-Identifier: Apache-2.0
"""Modbus ASCII: frames, the matcher at every split, and characters at random."""

from protocols.errors import EncodeError
from protocols.modbus import pdu
from protocols.modbus.ascii_mode import MAX_BUFFER, AsciiClient, build_frame, parse_frame
from protocols.modbus.crc import with_crc
from protocols.modbus.expected_reply import OTHER_MASTER
from tests.portable.support.check import eq, raises

READ = pdu.read_holding(0, 2)
GOOD = build_frame(17, b"\x03\x04\x02\x2b\x00\x64")
EXPECTED = ("ok", 0, (555, 100))


def test_frame_of_the_specification():
    # The read of V1.1b3 section 6.3 (start 0x6B, 3 registers), unit 17: sum 0x11+3+0x6B+3 = 0x82.
    eq(build_frame(17, pdu.read_holding(0x6B, 3)), b":1103006B00037E\r\n")
    eq(parse_frame(b"1103006B00037E"), b"\x11\x03\x00\x6b\x00\x03")
    eq(parse_frame(b"1103006b00037e"), b"\x11\x03\x00\x6b\x00\x03")
    for wrong in (b"", b"11", b"1103006B00037F", b"1103006B00037", b"1103006B00 37E", b"+1" * 8):
        eq(parse_frame(wrong), None)
    raises(EncodeError, build_frame, 0, READ)
    raises(EncodeError, build_frame, 256, READ)


def test_reply_at_every_split():
    for before in (b"", b"noise", b":12", b":1103\r\n", build_frame(18, b"\x03\x02\x00\x01")):
        for step in (1, 2, 7, 99):
            client = AsciiClient()
            client.start(17, READ)
            data, results = before + GOOD, []
            for at in range(0, len(data), step):
                result = client.feed(data[at : at + step])
                if result is not None:
                    results.append(result)
            eq((before, step, results), (before, step, [EXPECTED]))
            eq(client.reply_length, len(GOOD))


def test_frames_that_are_not_the_reply():
    client = AsciiClient()
    request = client.start(17, READ)
    eq(client.feed(request), None)  # the echo
    eq((client.counters.echoes, client.line_echo), (1, True))
    eq(client.feed(build_frame(18, b"\x03\x04\x00\x01\x00\x02")), None)
    eq(client.feed(build_frame(17, b"\x03\x02\x00\x01")), None)
    counters = client.counters
    eq((counters.other_unit_frames, counters.mismatches, client.reason), (1, 1, "byte count"))
    eq(client.late_frames[1], with_crc(b"\x11\x03\x02\x00\x01"))
    eq(client.feed(build_frame(17, b"\x83\x02")), ("exception", 2, ()))
    client.feed(GOOD)
    eq(client.counters.unsolicited, 1)
    write = client.start(17, pdu.write_single(1, 2))
    eq(client.feed(write), None)  # the line echoes
    eq(client.feed(write), ("ok", 0, ()))
    client.feed(build_frame(17, pdu.read_holding(9, 3)))
    eq(client.unanswered_others(), [bytes((17,)) + pdu.read_holding(9, 3)])
    eq(client.unanswered_others(), [])


def test_request_of_another_master_after_a_withdrawn_reply():
    """Ours is still due, so nothing shows which of the two requests the unit answers first."""
    own_reply = build_frame(5, b"\x03\x04\x00\x01\x00\x02")
    for count, expected in ((3, "ok"), (2, OTHER_MASTER)):
        other = bytes((5,)) + pdu.read_holding(99, count)
        client = AsciiClient()
        client.start(5, pdu.read_holding(16, 2))
        eq(client.feed(own_reply + build_frame(5, other[1:]))[0], "ok")
        client.discard()
        eq(client.beside, (other,))
        eq(client.feed(own_reply)[0], expected)
        eq(client.unanswered_others(), [other])


def test_any_characters_are_bounded():
    state = 12345
    client = AsciiClient()
    for number in range(3000):
        if number % 3 == 0:
            client.start(17, READ)
        data = []
        for _ in range(40):
            state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
            data.append(b":0123456789ABCDEF\r\n\x00\xff\x80:\n"[(state >> 8) % 22])
        result = client.feed(bytes(data))
        assert result is None or result[0] in ("ok", "exception")
        assert len(client.buffer) <= MAX_BUFFER
        client.late_frames.clear()


def test_a_line_end_before_the_reply_hides_nothing():
    """The reply is whole although a line end is before it and the next line has begun."""
    for before in (b"\n", b"\r\n", b"\x00\n\n"):
        client = AsciiClient()
        client.start(5, pdu.read_holding(16, 1))
        found = client.feed(before + build_frame(5, b"\x03\x02\x00\x07") + b":05")
        eq(found, ("ok", 0, (7,)))


def test_a_line_without_an_end_is_bounded():
    client = AsciiClient()
    client.feed(b":" + b"0" * (MAX_BUFFER - 2))
    eq(len(client.buffer), MAX_BUFFER - 1)  # all but the line end
    client.feed(b"0")
    eq((len(client.buffer), client.counters.discarded_bytes), (0, MAX_BUFFER))
