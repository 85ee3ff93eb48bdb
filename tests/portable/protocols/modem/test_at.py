# SPDX-License-Identifier: Apache-2.0
"""AT lines with unsolicited codes at any byte, SBD binary transfers, checksums and times."""

from protocols.modem import sbd
from protocols.modem.at import AtReader
from protocols.modem.checksum import crc16, sum16
from tests.portable.support.check import eq

_RINGS = (b"SBDRING\r\n", b"\r\nSBDRING\r\n")
URCS = ((b"SBDRING", True), (b"+CIEV:", False))


def is_response(line):
    return line in (b"OK", b"ERROR", b"READY", b"0", b"1", b"2", b"3") or (
        sbd.parse_session(line) is not None or (line.startswith(b"+CSQ:") and len(line) == 6)
    )


def _lines(data, size=0):
    reader = AtReader(is_response, URCS)
    events = []
    for i in range(0, len(data), size or len(data)):
        events += reader.feed(data[i : i + (size or len(data))])
    return events


def test_checksums():
    eq(sum16(b"hello"), 0x0214)
    eq(crc16(b"123456789"), 0x31C3)  # CRC-16/XMODEM's check value
    eq(sbd.build_transfer(b"hello"), b"hello\x02\x14")


def test_ring_alert_inside_response():
    answer = b"\r\n+SBDIX: 0, 12, 1, 3, 6, 2\r\n\r\nOK\r\n"
    for ring in _RINGS:
        for cut in range(len(answer) + 1):
            for size in (0, 1):
                events = _lines(answer[:cut] + ring + answer[cut:], size)
                eq([e for e in events if e[0] == "urc"], [("urc", b"SBDRING")])
                lines = [line for kind, line in events if kind == "line"]
                eq(len(lines), 2)
                eq(sbd.parse_session(lines[0])[:5], [0, 12, 1, 3, 6])
                eq(lines[1], b"OK")


def test_urcs_and_noise():
    events = _lines(b"\r\n+CIEV:0,4\r\nAT+CSQ\r\n+CSQ:3\r\nOK\r\n", 1)
    eq(events[0], ("urc", b"+CIEV:0,4"))
    eq(events[1:], [("unknown", b"AT+CSQ"), ("line", b"+CSQ:3"), ("line", b"OK")])
    eq(sbd.parse_signal(b"+CIEV:0,4"), 4)
    eq(sbd.parse_service(b"+CIEV:1,1"), 1)
    eq(sbd.parse_signal(b"+CSQ:9"), None)


def test_overlong_line_is_dropped():
    reader = AtReader(is_response, URCS)
    for _ in range(100):
        reader.feed(b"x" * 100)
    eq(reader.overlong_lines, 2)
    eq(reader.feed(b"\r\nOK\r\n")[-1], ("line", b"OK"))


def _binary(content):
    return len(content).to_bytes(2, "big") + sbd.build_transfer(content)


def test_ring_alert_inside_binary_message():
    for content in (b"OK\r\nERROR\r\n", b"\x00\x01\r\nOK\r\n", b"", b"\xff" * 20):
        stream = _binary(content) + b"\r\nOK\r\n"
        for ring in _RINGS:
            for cut in range(len(stream) + 1):
                data = stream[:cut] + ring + stream[cut:]
                for size in (0, 1):
                    reader = AtReader(is_response, URCS)
                    reader.expect_binary(sbd.parse_received, 600)
                    events = []
                    for i in range(0, len(data), size or len(data)):
                        events += reader.feed(data[i : i + (size or len(data))])
                    eq(events[0], ("binary", content))
                    eq([e for e in events[1:] if e[0] == "line"], [("line", b"OK")])


def test_ring_alert_text_in_message_is_ambiguous():
    # The sum does not show which of the two is the ring alert. A tag authenticates the agent's
    # messages.
    stream = _binary(b"OK\r\nSBDRING\r\nE")
    for cut in range(len(stream) + 1):
        found = sbd.parse_received(stream[:cut] + _RINGS[0] + stream[cut:] + b"\r\n")
        eq(sum16(found[0]), sum16(b"OK\r\nSBDRING\r\nE"))


def test_truncated_message_is_awaited():
    whole = _binary(b"hello")
    for cut in range(len(whole)):
        eq(sbd.parse_received(whole[:cut]), None)
    eq(sbd.parse_received(whole[:-1] + b"\x15"), None)
    eq(sbd.parse_received(b"\r\nERROR\r\n"), (None, b"\r\nERROR\r\n"))


def test_every_mo_status_has_meaning():
    words = (sbd.SENT, sbd.RETRY, sbd.WAIT, sbd.REJECTED, sbd.BLOCKED)
    for value in range(256):
        word, text = sbd.interpret_status(value)
        assert word in words
        assert text
        eq(word == sbd.SENT, value <= 4)


def test_invalid_responses():
    for line in (
        b"+SBDIX: 0, 1, 2",
        b"+SBDIX: 0, x, 1, 2, 3, 4",
        b"+SBDIX:",
        b"+SBDIX: 0,,1,2,3,4",
    ):
        eq(sbd.parse_session(line), None)


def test_system_time_counter_wrap():
    near = 1_795_500_000_000_000  # after the counter has wrapped
    ticks = (near - 1_399_818_235_000_000) // 90_000
    assert ticks > 1 << 32
    line = b"-MSSTM: %08x" % (ticks % (1 << 32))
    got = sbd.parse_system_time(line, near + 3_000_000_000)
    assert got is not None
    assert 0 <= near - got < 90_000
    eq(sbd.parse_system_time(b"-MSSTM: no network service", near), None)
    eq(sbd.parse_system_time(b"-MSSTM: 1234567g", near), None)
