"""What is overheard is told apart, paired and timed, at every split and after noise."""

from protocols.modbus import pdu
from protocols.modbus import sniffer as sniff
from protocols.modbus.crc import sealed
from protocols.modbus.sniffer import Sniffer
from protocols.time_units import MILLISECOND, NEVER, SECOND
from tests.portable.support.check import eq

CHAR = 573
ASK = sealed(b"\x01" + pdu.read_holding(0, 2))
TOLD = sealed(b"\x01\x03\x04\x00\x0a\x00\x14")
SET = sealed(b"\x01" + pdu.write_single(5, 9))


def overheard(*chunks):
    """Kinds of events of (pause in ms, bytes) chunks, with a long silence at the end."""
    sniffer, now, events = Sniffer(CHAR), 0, []
    for pause, data in chunks:
        now += pause * MILLISECOND + len(data) * CHAR
        while sniffer.deadline() <= now:
            events.extend(sniffer.wake(sniffer.deadline()))
        events.extend(sniffer.feed(data, now))
    while sniffer.deadline() != NEVER:
        events.extend(sniffer.wake(sniffer.deadline()))
    return events


def kinds(*chunks):
    return [event.kind for event in overheard(*chunks)]


def test_a_reply_belongs_to_its_request_and_has_its_times():
    asked, told = overheard((10, ASK), (7, TOLD))
    eq((asked.kind, told.kind), ("request", "reply"))
    eq(told.wait_us, 7 * MILLISECOND)
    eq((asked.gap_us, told.gap_us), (-1, 7 * MILLISECOND))
    eq(told.request, asked)
    eq(told.end - told.start, len(TOLD) * CHAR)


def test_times_within_one_chunk_follow_from_the_characters():
    asked, told = overheard((10, ASK + TOLD))
    eq(told.start - asked.end, 0)
    eq(asked.end - asked.start, len(ASK) * CHAR)


def test_every_split_gives_the_same():
    both = ASK + TOLD + SET + SET
    for cut in range(1, len(both)):
        found = kinds((10, both[:cut]), (1, both[cut:]))
        eq(found, ["request", "reply", "request", "reply"])


def test_the_echo_of_a_write_is_its_reply_and_a_later_one_a_new_request():
    eq(kinds((10, SET), (5, SET)), ["request", "reply"])
    eq(kinds((10, SET), (1500, SET)), ["request", "silent", "request", "silent"])


def test_the_same_read_again_means_that_nobody_answered():
    eq(kinds((10, ASK), (200, ASK), (5, TOLD)), ["request", "silent", "request", "reply"])


def test_a_broadcast_is_never_silent():
    eq(kinds((10, sealed(b"\x00" + pdu.write_single(1, 2)))), ["request"])


def test_exceptions_and_strays():
    refused = sealed(b"\x01\x83\x02")
    eq(kinds((10, ASK), (5, refused)), ["request", "exception"])
    eq(kinds((10, refused), (5, TOLD)), ["stray", "stray"])
    other = sealed(b"\x02\x03\x04\x00\x0a\x00\x14")
    eq(kinds((10, ASK), (5, other)), ["request", "stray", "silent"])


def test_a_reply_with_a_wrong_crc_is_named_so():
    events = overheard((10, ASK), (5, TOLD[:-1] + b"\x00"), (100, ASK), (5, TOLD))
    eq([event.kind for event in events], ["request", "crc", "request", "reply"])
    eq(events[1].unit, 1)


def test_noise_costs_only_its_own_bytes():
    events = overheard((10, b"\xff\x00\x81"), (100, ASK), (5, b"\x00" + TOLD))
    eq([event.kind for event in events], ["noise", "request", "noise", "reply"])
    eq(events[0].data, b"\xff\x00\x81")


def test_identification_is_measured_by_its_objects():
    asked = sealed(b"\x03" + pdu.read_device_id())
    told = sealed(b"\x03\x2b\x0e\x01\x01\x00\x00\x02\x00\x04ACME\x01\x02P1")
    for cut in range(1, len(told)):
        eq(kinds((10, asked), (5, told[:cut]), (1, told[cut:])), ["request", "reply"])


def test_an_unknown_function_is_framed_by_the_pauses():
    asked = sealed(b"\x05\x64hello")
    eq(kinds((10, asked), (60, sealed(b"\x05\x64yes")))[0], "request")
    eq(kinds((10, asked), (60, sealed(b"\x05\x64yes")))[1], "reply")


def test_rubbish_is_bounded_and_never_raises():
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
        assert len(sniffer._buffer) <= sniff.LIMIT
        assert len(sniffer._marks) <= sniff.LIMIT
    for event in sniffer.wake(now + SECOND):
        known += len(event.data) if event.kind != "silent" else 0
    assert sniffer.broken_bytes > 0
    assert known > 0
