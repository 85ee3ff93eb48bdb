# SPDX-License-Identifier: Apache-2.0
"""What receivers state about themselves: leap seconds, antenna, gain, jamming, spoofing.

pyubx2 1.4 and pynmeagps 1.1 wrote the frames and sentences. The logs of Unicore are from captures
of a UM980 and a UM482 in public drivers.
"""

from drivers.gnss.receiver import ReceiverDriver
from protocols.nmea import casic_status
from protocols.nmea.binary_frames import casic_checksum, ubx_checksum
from protocols.nmea.sentences import parse
from protocols.nmea.ubx_status import parse_frame
from protocols.nmea.unicore_log import crc32, parse_log
from protocols.nmea.vendor_sentences import VendorSentence
from tests.portable.support.check import eq
from tests.portable.support.nmeatext import line, rmc

TIMELS = bytes.fromhex("b56201261800e80300000000000002120201100e000093090700000000030548")
SPOOFED = bytes.fromhex("b56201031000010000000300001000000000000000002831")
HARDWARE = bytes.fromhex("b5620a093c00" + "00" * 20 + "04000c" + "00" * 37 + "5fa7")
TWO_BANDS = bytes.fromhex("b5620a3834000002000000010200000000000000000000000000000000000000"
                          "000000030300000000000000000000000000000000000000000081a8")  # fmt: skip
NEXT_PULSE = bytes.fromhex("b5620d011000e8739914000000007ce3ffff8e0903304d69")
ACCEPTED = bytes.fromhex("b56205010200068a98c1")
REJECTED = bytes.fromhex("b56205000200068a97bc")
GPS_UTC = (
    b"#GPSUTCA,97,GPS,FINE,2379,372336000,0,0,18,20;2379,589824,-9.313225746154785e-10,"
    b"-1.776356839e-15,2441,7,18,18,0,0*8301ddef"
)
BD3_UTC = (
    b"#BD3UTCA,97,GPS,FINE,2379,374230000,0,0,18,21;1023,80,1.600710675120354e-09,"
    b"-1.021405183e-14,0.000000000000000e+00,61,6,4,4,0,0*4b99b719"
)
BDS_UTC = (
    b"#BDSUTCA,97,GPS,FINE,2379,372996000,0,0,18,20;0,0,1.862645149230957e-09,"
    b"-9.769962617e-15,1085,6,4,4,0,0*2bd1f58c"
)
UTC_LOGS = (GPS_UTC, BD3_UTC, BDS_UTC)
GAIN_LOG = b"#AGCA,65,GPS,FINE,2190,375570000,0,0,18,37;44,46,63,-1,-1,41,1,0,-1,-1*634f1e4b"


def statement(frame: bytes) -> VendorSentence:
    found = parse_frame(frame)
    assert found is not None
    return found


def test_leap_seconds_from_a_satellite() -> None:
    notice = statement(TIMELS)
    eq((notice.leap_s, notice.leap_known, notice.vendor), (18, True, "ublox"))
    for source in (0, 1, 6, 7, 255):
        changed = TIMELS[:14] + bytes([source]) + TIMELS[15:]
        eq((statement(changed).leap_s, statement(changed).leap_known), (18, False))
    invalid = TIMELS[:29] + b"\x02" + TIMELS[30:]
    eq((statement(invalid).leap_s, statement(invalid).leap_known), (None, False))
    eq(statement(TIMELS[:15] + b"\xff" + TIMELS[16:]).leap_s, -1)


def test_interference_and_antenna() -> None:
    eq(statement(SPOOFED).spoofing, "warning")
    for value, word in ((0, None), (1, "ok"), (3, "critical")):
        frame = SPOOFED[:13] + bytes([value << 3]) + SPOOFED[14:]
        eq(statement(frame).spoofing, word)
    eq((statement(HARDWARE).antenna, statement(HARDWARE).jamming), ("open", "critical"))
    eq((statement(TWO_BANDS).antenna, statement(TWO_BANDS).jamming), ("ok", "critical"))


def test_quantisation_of_the_next_pulse() -> None:
    eq(statement(NEXT_PULSE).pulse, (345_601, -7))
    for early_ps, early_ns in ((0, 0), (10_499, 10), (10_500, 11), (-999_999, -1000)):
        value = (early_ps & 0xFFFFFFFF).to_bytes(4, "little")
        eq(statement(NEXT_PULSE[:14] + value + NEXT_PULSE[18:]).pulse, (345_601, early_ns))
    for at, value in ((20, 0x02), (20, 0x01), (20, 0x13), (6, 0xE9), (10, 1), (17, 0x7F)):
        changed = NEXT_PULSE[:at] + bytes([value]) + NEXT_PULSE[at + 1 :]
        eq(parse_frame(changed), None)


def test_replies_to_commands() -> None:
    eq(statement(ACCEPTED).reply, (b"\x06\x8a", True))
    eq(statement(REJECTED).reply, (b"\x06\x8a", False))
    receiver = ReceiverDriver(0, 9600, max_epochs=9, timing_valid=False)
    receiver.decoder  # noqa: B018 - frames are kept from its first use on
    receiver.receive(rmc("120000.00") + ACCEPTED + REJECTED + ACCEPTED + rmc("120001.00"), 0)
    eq([epoch.ubx_replies for epoch in receiver.finish_stream()][-1], (2, 1))


def test_other_frames_state_nothing() -> None:
    eq(parse_frame(b"\xb5\x62\x05\x02\x02\x00\x06\x01\x10\x3d"), None)
    for frame in (TIMELS, SPOOFED, HARDWARE, TWO_BANDS, NEXT_PULSE, ACCEPTED, REJECTED):
        for size in range(len(frame) - 8):
            eq(parse_frame(frame[:6] + bytes(size) + b"\0\0"), None)


def test_leap_seconds_in_sentences() -> None:
    for body, expected in (
        (b"PUBX,04,010203.00,251126,1.0,2450,18,1930035,-2660.664,43", (18, True)),
        (b"PUBX,04,010203.00,251126,1.0,2450,18D,1930035,-2660.664,43", (18, False)),
        (b"PUBX,04,010203.00,251126,1.0,2450,,1930035,-2660.664,43", (None, False)),
        (b"PQTMLS,1,195494,1,2299,18,0,1,,137,7,18", (18, True)),
        (b"PQTMLS,1,195494,0,2299,18,0,0,,137,7,18", (18, False)),
        (b"PUBX,00,081350.00", (None, False)),
    ):
        notice, reason = parse(body)
        assert isinstance(notice, VendorSentence), reason
        eq((notice.leap_s, notice.leap_known), expected)
    for body in (b"PUBX,04,010203.00", b"PUBX,04,,,,,1x,1", b"PQTMLS,1,195494"):
        eq(parse(body)[0], None)


def test_epoch_has_the_last_statement() -> None:
    receiver = ReceiverDriver(0, 9600, max_epochs=9, timing_valid=False)
    receiver.decoder  # noqa: B018 - frames are kept from its first use on
    receiver.receive(rmc("120000.00") + SPOOFED + TIMELS + rmc("120001.00"), 0)
    receiver.receive(rmc("120002.00") + line("PUBX,04,,,,,18D,1,1,1") + rmc("120003.00"), 0)
    epochs = receiver.finish_stream()
    eq([epoch.spoofing for epoch in epochs][-2:], ["warning", "warning"])
    eq([epoch.leap_s for epoch in epochs][1:], [18, None, None])
    assert "spoofing" in epochs[-1].flags


def test_kept_frames_are_bounded() -> None:
    receiver = ReceiverDriver(0, 9600, max_epochs=9)
    receiver.receive(SPOOFED * 50, 0)
    eq(receiver.framer.frames, None)
    receiver.decoder  # noqa: B018 - as above
    receiver.receive(SPOOFED * 50, 0)
    eq(len(receiver.framer.frames or []), 8)


def casic_frame(kind: int, number: int, payload: bytes) -> bytes:
    head = len(payload).to_bytes(2, "little") + bytes((kind, number)) + payload
    return b"\xba\xce" + head + casic_checksum(head).to_bytes(4, "little")


def ubx_frame(kind: int, number: int, payload: bytes) -> bytes:
    body = bytes((kind, number)) + len(payload).to_bytes(2, "little") + payload
    return b"\xb5\x62" + body + ubx_checksum(body).to_bytes(2, "little")


def test_unicore_logs_of_a_capture() -> None:
    for log in UTC_LOGS:
        notice = parse_log(log)
        assert notice is not None
        eq((notice.leap_s, notice.leap_known, notice.vendor), (18, True, "unicore"))
        for at in (1, 30, len(log) - 1):
            eq(parse_log(log[:at] + bytes([log[at] ^ 1]) + log[at + 1 :]), None)
        for size in range(len(log)):
            eq(parse_log(log[:size]), None)
    gain = parse_log(GAIN_LOG)
    assert gain is not None
    eq((gain.gain, gain.jamming), (0, None))


def test_unicore_interference() -> None:
    def log(text: bytes) -> VendorSentence:
        found = parse_log(b"#" + text + b"*%08x" % crc32(text))
        assert found is not None
        return found

    head = b"STATUSA,97,GPS,FINE,2190,365412000,0,0,18,14;SINGLE,"
    one, three = log(b"JAM" + head + b"120,2,0,0"), log(b"FREQJAM" + head + b"1,1,9,3,0,0,0")
    eq((one.cw_level, one.jamming), (120, "warning"))
    eq((three.cw_level, three.jamming), (9, "critical"))
    for body in (b"JAM" + head + b"x,1", b"JAM" + head, b"JAM" + head + b"1,7", b"OTHERA,1;2"):
        eq(parse_log(b"#" + body + b"*%08x" % crc32(body)), None)


def test_casic_leap_seconds() -> None:
    for number, leap in ((5, 18), (0, 4)):
        for valid in range(4):
            payload = bytes(12) + bytes((leap, leap, 0, 0, 137, 7, valid, 0))
            notice = casic_status.parse_frame(casic_frame(8, number, payload))
            assert notice is not None
            eq((notice.leap_s, notice.leap_known), (18, True) if valid == 3 else (None, False))
    for system, kind, expected in ((0, 2, 18), (1, 2, 32), (0, 3, None)):
        payload = bytes(8) + bytes((system, 0, 9, kind, 137, 7, 18, 18))
        notice = casic_status.parse_frame(casic_frame(0x12, 7, payload))
        assert notice is not None
        eq(notice.leap_s, expected)
    hardware = casic_frame(0x0A, 9, bytes(12) + b"\x34\x12" + bytes(6) + b"\x04" + bytes(35))
    notice = casic_status.parse_frame(hardware)
    assert notice is not None
    eq((notice.gain, notice.antenna), (0x1234, "open"))
    for frame in (hardware, casic_frame(8, 5, bytes(19)), casic_frame(0x12, 7, bytes(15))):
        eq(casic_status.parse_frame(frame[:6] + frame[7:]), None)
    eq(casic_status.parse_frame(casic_frame(1, 3, bytes(80))), None)


def test_ublox_gain_and_signatures() -> None:
    noise = bytes(16) + b"\x00\x00\x10\x0f\x02\x01\x04" + bytes(22) + b"\x21" + bytes(14)
    notice = statement(ubx_frame(0x0A, 0x09, noise))
    eq((notice.gain, notice.cw_level, notice.antenna), (0x0F10, 0x21, "ok"))
    block = b"\0\1\2\1" + bytes(10) + b"\x10\x0f\x21" + bytes(7)
    weak = b"\1\1\2\1" + bytes(10) + b"\x10\x0e\x11" + bytes(7)
    notice = statement(ubx_frame(0x0A, 0x38, b"\0\2\0\0" + block + weak))
    eq((notice.gain, notice.cw_level), (0x0E10, 0x21))
    proven = bytes(79) + b"\x40" + bytes(12)
    eq(statement(ubx_frame(1, 7, proven)).authenticated, True)
    eq(parse_frame(ubx_frame(1, 7, bytes(92))), None)
    for version, at, size in ((2, 12, 20), (3, 20, 28)):
        for key, satellites, expected in ((1, 5, True), (2, 5, False), (1, 0, None)):
            payload = bytearray(size)
            payload[0], payload[2], payload[at], payload[at + 4] = version, 1, key, satellites
            notice = statement(ubx_frame(0x27, 0x0A, bytes(payload)))
            eq(notice.authenticated, expected)
            payload[2] = 0
            eq(parse_frame(ubx_frame(0x27, 0x0A, bytes(payload))), None)


def test_epoch_has_the_statements_of_all_vendors() -> None:
    for frame, name, expected in (
        (UTC_LOGS[0] + b"\r\n", "leap_s", 18),
        (casic_frame(8, 5, bytes(12) + bytes((18, 18, 0, 0, 137, 7, 3, 0))), "leap_s", 18),
        (ubx_frame(1, 7, bytes(79) + b"\x40" + bytes(12)), "authenticated", True),
    ):
        for size in (1, 7, 4000):
            receiver = ReceiverDriver(0, 9600, max_epochs=9, timing_valid=False)
            receiver.decoder  # noqa: B018 - as above
            data = rmc("120000.00") + frame + rmc("120001.00") + rmc("120002.00")
            for at in range(0, len(data), size):
                receiver.receive(data[at : at + size], 0)
            eq(getattr(receiver.finish_stream()[-1], name), expected)


def test_log_without_an_end_takes_no_memory() -> None:
    receiver = ReceiverDriver(0, 9600, max_epochs=9, timing_valid=False)
    receiver.decoder  # noqa: B018 - as above
    for _ in range(100):
        receiver.receive(b"#GPSUTCA," + b"x" * 90, 0)
    assert len(receiver.framer._log) <= 400
    receiver.receive(b"\n" + UTC_LOGS[0] + b"\r\n" + rmc("120001.00") + rmc("120002.00"), 0)
    eq(receiver.finish_stream()[-1].leap_s, 18)
