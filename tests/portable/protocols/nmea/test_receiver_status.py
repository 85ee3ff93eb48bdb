# SPDX-License-Identifier: Apache-2.0
"""What receivers state about themselves: leap seconds, antenna, jamming, spoofing.

pyubx2 1.4 and pynmeagps 1.1 wrote the frames and sentences.
"""

from drivers.gnss.receiver import ReceiverDriver
from protocols.nmea.sentences import parse
from protocols.nmea.ubx_status import parse_frame
from protocols.nmea.vendor_sentences import VendorSentence
from tests.portable.support.check import eq
from tests.portable.support.nmeatext import line, rmc

TIMELS = bytes.fromhex("b56201261800e80300000000000002120201100e000093090700000000030548")
SPOOFED = bytes.fromhex("b56201031000010000000300001000000000000000002831")
HARDWARE = bytes.fromhex("b5620a093c00" + "00" * 20 + "04000c" + "00" * 37 + "5fa7")
TWO_BANDS = bytes.fromhex("b5620a3834000002000000010200000000000000000000000000000000000000"
                          "000000030300000000000000000000000000000000000000000081a8")  # fmt: skip


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


def test_other_frames_state_nothing() -> None:
    eq(parse_frame(b"\xb5\x62\x05\x01\x02\x00\x06\x01\x0f\x38"), None)
    for frame in (TIMELS, SPOOFED, HARDWARE, TWO_BANDS):
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
